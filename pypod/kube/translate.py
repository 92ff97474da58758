"""What a pod means in podman's terms: the flags of ``pod create`` and ``create``, and the volumes of its own.

Flags are as the command line has them, ``_`` for ``-``. Nothing is looked up but in ``Sources``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pypod.errors import UsageError
from pypod.kube import annotated, environment, health, quantity, security
from pypod.kube.objects import Container, Pod, Reference, Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pypod.kube.objects import VolumeMount
    from pypod.kube.sources import Sources

_RESTART = {"Always": "always", "OnFailure": "on-failure", "Never": "no"}
_PULL = {"Always": "always", "IfNotPresent": "missing", "Never": "never", "Newer": "newer"}
_MODES = frozenset("bridge container host none ns pasta private slirp4netns".split())
_PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the flags of ``kube play`` add."""

    pod_prefix: bool = True
    seccomp_root: str = "/var/lib/kubelet/seccomp"
    annotations: Mapping[str, str] = field(default_factory=dict)
    userns: str = ""
    networks: tuple[str, ...] = ()
    default_network: str = ""  # if neither the flags nor the pod say anything
    no_hosts: bool = False
    no_hostname: bool = False
    log_driver: str = ""
    log_options: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    publish_all: bool = False
    token: str = ""  # makes the names of the pod's own volumes unique


@dataclass(frozen=True, kw_only=True)
class OwnVolume:
    """A volume that is made with the pod and goes with it. ``files``: path → content, mode."""

    name: str
    label: str  # emptyDir, configMap/NAME, secret/NAME
    in_pod: str  # its name in the pod
    files: Mapping[str, tuple[bytes, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ContainerPlan:
    """One ``create``: image, command and flags."""

    name: str
    image: str
    command: tuple[str, ...]
    flags: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class HostPath:
    """What must be at a place of the host before the pod is made."""

    path: str
    kind: str
    where: str  # in the document


@dataclass(frozen=True, kw_only=True)
class PodPlan:
    name: str
    flags: Mapping[str, Any]
    containers: tuple[ContainerPlan, ...]
    volumes: tuple[OwnVolume, ...]
    host_paths: tuple[HostPath, ...]
    warnings: tuple[str, ...] = ()


def pod(wanted: Pod, sources: Sources, wishes: Wishes) -> PodPlan:
    """Raises UsageError."""
    where = f"document {wanted.document} (Pod {wanted.name})"
    noted = annotated.split(wanted, wishes.annotations, where)
    own: dict[str, OwnVolume] = {}
    paths: list[HostPath] = []
    warnings: list[str] = []
    for volume in wanted.volumes:
        if volume.kind == "hostPath":
            if "/" in volume.source:
                paths.append(HostPath(path=volume.source, kind=volume.host_type, where=f"{where}: {volume.path}"))
        elif _is_own(volume, wanted):
            own[volume.name] = _own(volume, wanted, sources, wishes, where)
    network = list(wishes.networks)
    if not network:
        network = ["host"] if wanted.host_network else [wishes.default_network] if wishes.default_network else []
    flags: dict[str, Any] = {
        "name": wanted.name,
        "hostname": wanted.hostname,
        "label": [f"{key}={value}" for key, value in wanted.labels.items()],
        "network": network,
        "network_alias": [wanted.name] if any(map(_is_named, network)) else [],
        "share": "+pid" if wanted.share_pid and not wanted.host_pid else None,
        "exit_policy": "stop",
        "no_hosts": wishes.no_hosts,
        "no_hostname": wishes.no_hostname,
        "add_host": [f"{name}:{address}" for name, address in wanted.host_aliases],
        "dns": list(wanted.dns_servers),
        "dns_search": list(wanted.dns_searches),
        "dns_option": list(wanted.dns_options),
        "publish": _published(wanted, wishes),
        "sysctl": [f"{key}={value}" for key, value in wanted.security.sysctls],
        "userns": wishes.userns or noted.userns or ("auto" if wanted.host_users is False else None),
        "infra_name": noted.infra_name or None,
    }
    if network[:1] in (["host"], ["none"]):
        flags["publish"] = []  # the ports of the host's network are there anyway
    if wanted.host_aliases and wishes.no_hosts:
        raise UsageError(f"{where}: spec.hostAliases: cannot be given with --no-hosts")
    containers = []
    for item in wanted.containers:
        if item.startup is not None and item.liveness is None:
            warnings.append(f"{where}: {item.path}.startupProbe: no effect without a livenessProbe")
        containers.append(_container(item, wanted, sources, wishes, own, noted, where))
    return PodPlan(
        name=wanted.name,
        flags={key: value for key, value in flags.items() if value},
        containers=tuple(containers),
        volumes=tuple(own.values()),
        host_paths=tuple(paths),
        warnings=tuple(warnings),
    )


def _is_named(network: str) -> bool:
    """Whether it is a network that somebody made, on which pods find each other by name, and no mode."""
    return network.partition(":")[0] not in _MODES


def _is_own(volume: Volume, wanted: Pod) -> bool:
    return volume.kind in ("configMap", "secret") or (volume.kind == "emptyDir" and not _in_memory(volume, wanted))


def _in_memory(volume: Volume, wanted: Pod) -> bool:
    """A tmpfs is one container's own: what several mount is on disk all the same."""
    users = sum(mount.name == volume.name for item in wanted.containers for mount in item.mounts)
    return volume.kind == "emptyDir" and volume.memory and users <= 1


def _own(volume: Volume, wanted: Pod, sources: Sources, wishes: Wishes, where: str) -> OwnVolume:
    name = f"{wanted.name}-{volume.name}-{wishes.token}" if wishes.token else f"{wanted.name}-{volume.name}"
    if volume.kind == "emptyDir":
        return OwnVolume(name=name, label="emptyDir", in_pod=volume.name)
    kind = "ConfigMap" if volume.kind == "configMap" else "Secret"
    path = f"{where}: {volume.path}"
    reference = Reference(kind=kind, name=volume.source, optional=volume.optional)
    data = sources.get(reference, path) or {}
    files = {}
    if volume.items:
        for item in volume.items:
            if item.key in data:
                files[item.path] = (data[item.key], volume.mode if item.mode is None else item.mode)
            elif not volume.optional:
                raise UsageError(f"{path}.items: {volume.source} has no key {item.key}")
    else:
        files = {key: (content, volume.mode) for key, content in data.items()}
    for file in files:
        if file in ("", ".", "..") or "\0" in file or (not volume.items and "/" in file):
            raise UsageError(f"{path}: {file!r} cannot be the name of a file")
    return OwnVolume(name=name, label=f"{volume.kind}/{volume.source}", in_pod=volume.name, files=files)


def _published(wanted: Pod, wishes: Wishes) -> list[str]:
    result = list(wishes.publish)
    for item in wanted.containers:
        for port in item.ports:
            inside = port.container_port or port.host_port
            outside = port.host_port or (inside if wishes.publish_all else 0)
            if outside:
                address = port.host_ip and (f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip) + ":"
                result.append(f"{address}{outside}:{inside}/{port.protocol.lower()}")
    return list(dict.fromkeys(result))


def _container(
    item: Container,
    wanted: Pod,
    sources: Sources,
    wishes: Wishes,
    own: Mapping[str, OwnVolume],
    noted: annotated.Split,
    where: str,
) -> ContainerPlan:
    name = f"{wanted.name}-{item.name}" if wishes.pod_prefix else item.name
    env = environment.build(item, wanted, sources, where)
    entrypoint = environment.words(item.command, env)
    said = noted.of(item.name, name)
    flags: dict[str, Any] = {
        "name": name,
        "env": [f"{key}={value}" for key, value in env.items()],
        "entrypoint": json.dumps(entrypoint) if entrypoint else None,
        "workdir": item.workdir,
        "interactive": item.stdin,
        "tty": item.tty,
        "label": [f"{key}={value}" for key, value in wanted.labels.items()],
        "annotation": [f"{key}={value}" for key, value in said.annotations.items()],
        "pull": _pull(item),
        "stop_timeout": wanted.grace_period,
        "log_driver": wishes.log_driver,
        "log_opt": list(wishes.log_options),
        **_mounts(item, wanted, own),
        **_resources(item),
        **security.flags(item, wanted, wishes.seccomp_root, where),
    }
    flags["security_opt"] = [*flags.get("security_opt", ()), *said.security_options]
    if wanted.host_pid:
        flags["pid"] = "host"
    if wanted.host_ipc:
        flags["ipc"] = "host"
    if item.init:
        flags["init_ctr"] = said.init_type or "once"
        flags["restart"] = "no"
    else:
        flags["restart"] = _RESTART[wanted.restart]
        flags.update(health.flags(item, restarts=wanted.restart != "Never"))
    flags.update(said.flags)  # an annotation is more exact than a field
    if item.liveness is None or item.init:
        flags.pop("health_on_failure", None)
    return ContainerPlan(
        name=name,
        image=item.image,
        command=tuple(environment.words(item.args, env)),
        flags={key: value for key, value in flags.items() if value or (value == 0 and value is not False)},
    )


def _pull(item: Container) -> str:
    if item.pull_policy:
        return _PULL[item.pull_policy]
    name = item.image.rpartition("/")[2]
    latest = "@" not in name and (":" not in name or name.endswith(":latest"))
    # What was made here is nowhere else.
    return "newer" if latest and not item.image.startswith("localhost/") and "/" in item.image else "missing"


def _mounts(item: Container, wanted: Pod, own: Mapping[str, OwnVolume]) -> dict[str, Any]:
    volumes = {volume.name: volume for volume in wanted.volumes}
    mounts: list[str] = []
    devices: list[str] = []
    for mount in item.mounts:
        volume = volumes[mount.name]
        if volume.kind == "hostPath" and volume.host_type in ("CharDevice", "BlockDevice"):
            devices.append(f"{volume.source}:{mount.target}:{'r' if mount.read_only else 'rwm'}")
        elif _in_memory(volume, wanted):
            words = [f"type=tmpfs,{_word('target', mount.target)}"]
            words += [f"tmpfs-size={volume.size_limit}"] if volume.size_limit else []
            words += ["ro"] if mount.read_only else []
            mounts.append(",".join([*words, "tmpfs-mode=1777", "notmpcopyup"]))
        else:
            mounts.append(_mount(mount, volume, own))
    return {"mount": mounts, "device": devices}


def _mount(mount: VolumeMount, volume: Volume, own: Mapping[str, OwnVolume]) -> str:
    words = []
    if volume.kind == "hostPath" and "/" in volume.source:
        words += ["type=bind", _word("source", volume.source)]
    else:
        source = own[volume.name].name if volume.name in own else volume.source
        words += ["type=volume", _word("source", source)]
    words.append(_word("target", mount.target))
    if mount.sub_path:
        words.append(_word("subpath", mount.sub_path))
    if mount.read_only or volume.read_only or volume.kind in ("configMap", "secret"):
        words.append("ro")
    if mount.propagation in _PROPAGATION and words[0] == "type=bind":
        words.append(f"bind-propagation={_PROPAGATION[mount.propagation]}")
    if volume.name in own:
        words.append("nocopy")
    return ",".join(words)


def _word(key: str, value: str) -> str:
    """KEY=VALUE of a --mount, in quotes where it needs them."""
    text = f"{key}={value}"
    return '"' + text.replace('"', '""') + '"' if any(char in text for char in '",\n') else text


def _resources(item: Container) -> dict[str, Any]:
    wanted = item.resources
    flags: dict[str, Any] = {}
    if wanted.cpu_limit:
        flags["cpus"] = max(0.01, float(wanted.cpu_limit))  # the kubelet gives no less either
    if wanted.memory_limit:
        flags["memory"] = str(quantity.whole(wanted.memory_limit))
    if wanted.memory_request:
        flags["memory_reservation"] = str(quantity.whole(wanted.memory_request))
    if wanted.cpu_request:
        # 1024 for each processor, as the kubelet has it.
        flags["cpu_shares"] = max(2, quantity.whole(wanted.cpu_request * 1024))
    return flags
