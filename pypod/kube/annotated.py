"""io.podman.annotations.*: what Kubernetes has no field for, as podman-kube-play(1) has it.

``KEY/CONTAINER`` is for one container, ``KEY`` for all in the pod.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pypod.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pypod.kube.objects import Pod

PREFIX = "io.podman.annotations."
INIT_TYPE = PREFIX + "init.container.type"
INFRA_NAME = PREFIX + "infra.name"
USERNS = PREFIX + "userns"
ULIMIT = PREFIX + "ulimit"
PIDS_LIMIT = PREFIX + "pids-limit"
ON_FAILURE = "io.pypod.health-on-failure"  # ours: what becomes of a container that is unhealthy
# What the specification of each container says of it anyway.
_MADE = (
    "io.kubernetes.cri-o.",
    "io.container.manager",
    PREFIX + "kube.",
    PREFIX + "autoremove",
    PREFIX + "publish-all",
)
_TEXTS = {
    PREFIX + "cpuset": "cpuset_cpus",
    PREFIX + "memory-nodes": "cpuset_mems",
    ON_FAILURE: "health_on_failure",
}
_SWITCHES = {PREFIX + "init": "init", PREFIX + "privileged": "privileged"}
_OPTIONS = {PREFIX + "seccomp": "seccomp", PREFIX + "apparmor": "apparmor"}


@dataclass(frozen=True, kw_only=True)
class OfContainer:
    annotations: Mapping[str, str]
    flags: Mapping[str, Any]
    security_options: tuple[str, ...]
    init_type: str


@dataclass(frozen=True, kw_only=True)
class Split:
    """The annotations of a pod, sorted."""

    where: str  # the pod in the document, for errors
    userns: str = ""
    infra_name: str = ""
    everybody: Mapping[str, str] = field(default_factory=dict)
    single: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by container

    def of(self, *names: str) -> OfContainer:
        """What is said of the container that has one of ``names``. Raises UsageError."""
        said = dict(self.everybody)
        for name in names:
            said.update(self.single.get(name, {}))
        flags: dict[str, Any] = {}
        options: list[str] = []
        plain: dict[str, str] = {}
        init_type = ""
        for key, value in said.items():
            if key == INIT_TYPE:
                init_type = value
            elif key == ULIMIT:
                flags["ulimit"] = [word for word in value.split(",") if word]
            elif key == PIDS_LIMIT:
                if not value.removeprefix("-").isdecimal():
                    raise UsageError(f"{self.where}: metadata.annotations.{key}: {value!r} is no number")
                flags["pids_limit"] = int(value)
            elif key in _TEXTS:
                flags[_TEXTS[key]] = value
            elif key in _SWITCHES:
                if value.upper() == "TRUE":
                    flags[_SWITCHES[key]] = True
            elif key in _OPTIONS:
                options.append(f"{_OPTIONS[key]}={value}")
            elif key == PREFIX + "label":
                options.append(f"label={value}")
            else:
                plain[key] = value
        return OfContainer(annotations=plain, flags=flags, security_options=tuple(options), init_type=init_type)


def split(pod: Pod, given: Mapping[str, str], where: str) -> Split:
    """``given`` are more of them, by the command line."""
    containers = [item.name for item in pod.containers]
    names = {*containers, *(f"{pod.name}-{name}" for name in containers)}
    userns = infra = ""
    everybody: dict[str, str] = {}
    single: dict[str, dict[str, str]] = {}
    for key, value in {**pod.annotations, **given}.items():
        stem, slash, name = key.rpartition("/")
        if key == USERNS:
            userns = value
        elif key == INFRA_NAME:
            infra = value
        elif key.startswith(_MADE) or key.startswith("container.seccomp.security.alpha."):
            continue
        elif slash and name in names:
            single.setdefault(name, {})[stem] = value
        else:
            everybody[key] = value
    return Split(where=where, userns=userns, infra_name=infra, everybody=everybody, single=single)
