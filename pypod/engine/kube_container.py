"""One container as Kubernetes describes it, for ``kube generate``."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pypod.engine import env as environment
from pypod.engine import kube_volumes
from pypod.errors import PypodError, UsageError
from pypod.kube import annotated, expand, quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pypod.engine.config import ContainerConfig, HealthCheck, Mount
    from pypod.engine.container import Container
    from storage.store import Store

_SECOND = 1_000_000_000
_OWN_ANNOTATIONS = ("io.kubernetes.cri-o.", "io.podman.annotations.", "io.container.manager")


@dataclass
class Volumes:
    """The volumes of a pod by name: each source has one, whoever mounts it."""

    labels: Callable[[str], Mapping[str, str]]  # those of a named volume
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def name(self, wish: str, source: dict[str, Any]) -> str:
        """The name of a volume, made of ``wish``; Kubernetes allows small letters, digits and dashes."""
        for name, known in self.found.items():
            if known == source and "emptyDir" not in source:
                return name
        # Kubernetes allows 63 characters; a number may follow.
        stem = re.sub(r"[^a-z0-9]+", "-", wish.lower()).strip("-")[:56].strip("-") or "volume"
        name, number = stem, 0
        while name in self.found:
            number += 1
            name = f"{stem}-{number}"
        self.found[name] = source
        return name


@dataclass(frozen=True, kw_only=True)
class Described:
    fields: dict[str, Any]
    annotations: dict[str, str]
    warnings: list[str]


def describe(store: Store, container: Container, name: str, book: Volumes) -> Described:
    """Raises UsageError for a container of --rootfs."""
    config = container.config
    if config.rootfs:
        raise UsageError(f"container {config.name} was made of a root file system, which no YAML can name")
    image = _image(store, config)
    warnings: list[str] = []
    found: dict[str, Any] = {"name": name, "image": config.image or config.image_id}
    found.update(_words(config, image))
    env = _env(config, image)
    if env:
        found["env"] = env
    if config.workdir != (str(image.get("WorkingDir") or "") or "/"):
        found["workingDir"] = config.workdir
    if config.stdin:
        found["stdin"] = True
    if config.terminal:
        found["tty"] = True
    resources = _resources(config)
    if resources:
        found["resources"] = resources
    security = _security(config, image, warnings)
    if security:
        found["securityContext"] = security
    mounts = [_mount(item, book) for item in config.mounts if not _of_image(item, image, warnings)]
    mounts += [_device(text, book) for text in config.devices]
    if mounts:
        found["volumeMounts"] = mounts
    if config.healthcheck is not None and config.healthcheck != _check_of(image):
        found.update(_probes(config.healthcheck))
    if config.secrets:
        warnings.append("--secret cannot be described")
    if config.network.mode in ("container", "ns") and not config.pod:
        warnings.append("a network that is another's cannot be described")
    annotations = _annotations(config)
    if "livenessProbe" in found and config.healthcheck is not None:
        annotations[annotated.ON_FAILURE] = config.healthcheck.on_failure
    return Described(fields=found, annotations=annotations, warnings=warnings)


def _image(store: Store, config: ContainerConfig) -> dict[str, Any]:
    """The image's config, {} if it is gone."""
    from pypod.engine import images

    try:
        return images.image_info(store, store.find_image(config.image_id), config.image).run
    except PypodError:
        return {}


def _words(config: ContainerConfig, image: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    entrypoint = [str(word) for word in _listed(image.get("Entrypoint"))]
    command = [str(word) for word in _listed(image.get("Cmd"))]
    if config.entrypoint != entrypoint:
        if config.entrypoint:
            found["command"] = config.entrypoint
        if config.command:
            # Kubernetes cannot take an image's entrypoint away: what remains is the command.
            found["args" if config.entrypoint else "command"] = config.command
    elif config.command != command:
        found["args"] = config.command
    return {key: [expand.escape(word) for word in words] for key, words in found.items()}


def _listed(value: object) -> list[object]:
    """ENTRYPOINT or CMD; as text, it is a shell's."""
    if isinstance(value, str):
        return ["/bin/sh", "-c", value]
    return value if isinstance(value, list) else []


def _env(config: ContainerConfig, image: dict[str, Any]) -> list[dict[str, str]]:
    before = {**environment.DEFAULT, **environment.parse([str(item) for item in image.get("Env") or ()], {})}
    result = []
    for entry in config.env:
        name, _, value = entry.partition("=")
        if before.get(name) != value and not name.lower().endswith("_proxy"):
            result.append({"name": name, "value": expand.escape(value)})
    return result


def _resources(config: ContainerConfig) -> dict[str, Any]:
    limits: dict[str, str] = {}
    requests: dict[str, str] = {}
    cpus = config.cpus
    if not cpus and config.cpu_quota > 0:
        cpus = config.cpu_quota / (config.cpu_period or 100_000)
    if cpus:
        limits["cpu"] = quantity.of_cpus(cpus)
    if config.memory:
        limits["memory"] = quantity.of_bytes(config.memory)
    if config.memory_reservation:
        requests["memory"] = quantity.of_bytes(config.memory_reservation)
    if config.cpu_shares:
        requests["cpu"] = quantity.of_cpus(config.cpu_shares / 1024)
    return {key: value for key, value in (("limits", limits), ("requests", requests)) if value}


def _security(config: ContainerConfig, image: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if config.privileged:
        found["privileged"] = True
    if config.no_new_privileges:
        found["allowPrivilegeEscalation"] = False
    if config.read_only:
        found["readOnlyRootFilesystem"] = True
    if config.user and config.user != str(image.get("User") or ""):
        user, _, group = config.user.partition(":")
        if user.isdecimal() and (not group or group.isdecimal()):
            found["runAsUser"] = int(user)
            if group:
                found["runAsGroup"] = int(group)
        elif config.user not in ("root", "root:root"):
            warnings.append(f"user {config.user} has no number, which Kubernetes needs")
        else:
            found["runAsUser"] = 0
    capabilities = {"add": config.cap_add, "drop": config.cap_drop}
    if any(capabilities.values()):
        found["capabilities"] = {key: value for key, value in capabilities.items() if value}
    if config.seccomp == "unconfined":
        found["seccompProfile"] = {"type": "Unconfined"}
    elif config.seccomp:
        found["seccompProfile"] = {"type": "Localhost", "localhostProfile": config.seccomp}
    if config.apparmor:
        found["appArmorProfile"] = (
            {"type": "Unconfined"}
            if config.apparmor == "unconfined"
            else {"type": "Localhost", "localhostProfile": config.apparmor}
        )
    if "ALL" in [text.upper() for text in config.unmask]:
        found["procMount"] = "Unmasked"
    labels = dict(text.split(":", 1) for text in config.label_options if ":" in text)
    if labels:
        found["seLinuxOptions"] = labels
    return found


def _of_image(item: Mount, image: dict[str, Any], warnings: list[str]) -> bool:
    """Whether a mount is none that YAML should have: a volume that the image declares, or what it cannot say."""
    if item.type == "volume" and item.anonymous and item.destination in (image.get("Volumes") or {}):
        return True
    if item.type not in ("bind", "volume", "tmpfs"):
        warnings.append(f"the {item.type} mount at {item.destination} cannot be described")
        return True
    return False


def _mount(item: Mount, book: Volumes) -> dict[str, Any]:
    if item.type == "tmpfs":
        source: dict[str, Any] = {"emptyDir": {"medium": "Memory"}}
        sizes = [text.removeprefix("size=") for text in item.options if text.startswith("size=")]
        if sizes:
            source["emptyDir"]["sizeLimit"] = _size(sizes[-1])
        wish = f"{item.destination}-tmpfs"
    elif item.type == "bind":
        source = {"hostPath": {"path": item.source, "type": _kind(item.source)}}
        wish = f"{item.source}-host"
    else:
        source = {"persistentVolumeClaim": {"claimName": item.name}}
        wish = f"{item.destination}-empty" if item.anonymous else f"{item.name}-pvc"
        wish = book.labels(item.name).get(kube_volumes.NAME_LABEL, wish)
    found: dict[str, Any] = {"name": book.name(wish, source), "mountPath": item.destination}
    if "ro" in item.options:
        found["readOnly"] = True
    if item.subpath:
        found["subPath"] = item.subpath
    if "rshared" in item.options or "shared" in item.options:
        found["mountPropagation"] = "Bidirectional"
    elif "rslave" in item.options or "slave" in item.options:
        found["mountPropagation"] = "HostToContainer"
    return found


def _size(text: str) -> str:
    """A tmpfs's size, whose units are powers of two."""
    if text.isdecimal():
        return quantity.of_bytes(int(text))
    unit = text[-1:].lower()
    return f"{text[:-1]}{unit.upper()}i" if unit in ("k", "m", "g", "t") else text


def _kind(path: str) -> str:
    """hostPath's type of what is at a path."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return "Directory"
    for test, word in (
        (stat.S_ISDIR, "Directory"),
        (stat.S_ISSOCK, "Socket"),
        (stat.S_ISCHR, "CharDevice"),
        (stat.S_ISBLK, "BlockDevice"),
    ):
        if test(mode):
            return word
    return "File"


def _device(text: str, book: Volumes) -> dict[str, Any]:
    source, target, permissions = (text.split(":") + ["", ""])[:3]
    found: dict[str, Any] = {
        "name": book.name(f"{source}-dev", {"hostPath": {"path": source, "type": _kind(source)}}),
        "mountPath": target or source,
    }
    if permissions and "w" not in permissions:
        found["readOnly"] = True
    return found


def _check_of(image: dict[str, Any]) -> HealthCheck | None:
    from pypod.engine import health_options

    inner = image.get("Healthcheck")
    return health_options.parse({}, inner) if inner else None


def _probes(check: HealthCheck) -> dict[str, Any]:
    found = {
        "livenessProbe": {
            **_exec(check.test),
            "periodSeconds": max(1, check.interval // _SECOND),
            "timeoutSeconds": max(1, check.timeout // _SECOND),
            "failureThreshold": check.retries,
            "initialDelaySeconds": check.start_period // _SECOND,
        }
    }
    if check.startup_test:
        found["startupProbe"] = {
            **_exec(check.startup_test),
            "periodSeconds": max(1, check.startup_interval // _SECOND),
            "timeoutSeconds": max(1, check.startup_timeout // _SECOND),
            "failureThreshold": check.startup_retries or 3,
            "successThreshold": check.startup_success or 1,
        }
    return found


def _exec(test: list[str]) -> dict[str, Any]:
    words = ["/bin/sh", "-c", *test[1:]] if test[:1] == ["CMD-SHELL"] else test[1:]
    return {"exec": {"command": words}}


def _annotations(config: ContainerConfig) -> dict[str, str]:
    found = {key: value for key, value in config.annotations.items() if not key.startswith(_OWN_ANNOTATIONS)}
    if config.init:
        found[annotated.PREFIX + "init"] = "TRUE"
    if config.init_type == "always":
        found[annotated.INIT_TYPE] = "always"
    if config.ulimits:
        found[annotated.ULIMIT] = ",".join(config.ulimits)
    if config.pids_limit:
        found[annotated.PIDS_LIMIT] = str(config.pids_limit)
    if config.cpuset_cpus:
        found[annotated.PREFIX + "cpuset"] = config.cpuset_cpus
    if config.cpuset_mems:
        found[annotated.PREFIX + "memory-nodes"] = config.cpuset_mems
    return found
