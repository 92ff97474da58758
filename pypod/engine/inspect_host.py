"""``inspect`` of a container, the HostConfig part: what the container was given by the host."""

from __future__ import annotations

from pypod.base import units
from pypod.engine import limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.engine.config import ContainerConfig, Namespace
    from pypod.engine.container import Container
    from pypod.engine.context import Context

PROPAGATION = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"))


def propagation(options: Sequence[str]) -> str:
    """The mount propagation among mount options; podman's default is rprivate."""
    for option in options:
        if option in PROPAGATION:
            return option
    return "rprivate"


def capabilities(config: ContainerConfig, spec: dict[str, Any]) -> list[str]:
    """The bounding set of the last start, or that of the next."""
    started = ((spec.get("process") or {}).get("capabilities") or {}).get("bounding")
    if started is not None:
        return list(started)
    from pypod.linux import caps
    from pypod.oci import capabilities as sets

    if config.privileged:
        return sorted(caps.bounding())
    try:
        return sets.merge(sets.DEFAULT, config.cap_add, config.cap_drop, known=caps.NAMES, bounding=caps.bounding())
    except ValueError:
        return list(sets.DEFAULT)


def effective(config: ContainerConfig, spec: dict[str, Any], granted: list[str]) -> list[str] | None:
    """The effective set of the last start, or that of the next; None if it is empty: another user than root's."""
    if spec:
        started = ((spec.get("process") or {}).get("capabilities") or {}).get("effective")
        return list(started) if started else None
    if config.user.partition(":")[0] in ("", "root", "0"):
        return granted
    return [name for name in granted if name.removeprefix("CAP_").lower() in _short(config.cap_add)] or None


def _short(names: Sequence[str]) -> set[str]:
    return {name.lower().removeprefix("cap_") for name in names}


def _added_and_dropped(granted: Sequence[str]) -> tuple[list[str], list[str]]:
    from pypod.oci import capabilities as sets

    # Relative to docker's default set, which has three more than podman's.
    usual = {*sets.DEFAULT, "CAP_AUDIT_WRITE", "CAP_MKNOD", "CAP_NET_RAW"}
    return sorted(set(granted) - usual), sorted(usual - set(granted))


def port_bindings(config: ContainerConfig, *, exposed: bool = False) -> dict[str, Any]:
    """Bindings by "80/tcp"; an exposed port that is not published has null."""
    found: dict[str, Any] = {item: None for item in config.exposed} if exposed else {}
    for port in config.ports:
        for step in range(port.range):
            name = f"{port.container_port + step}/{port.protocol}"
            binding = {"HostIp": port.host_ip or "0.0.0.0", "HostPort": str(port.host_port + step)}
            found[name] = [*(found.get(name) or []), binding]
    return found


def mode(namespace: Namespace) -> str:
    """A namespace as --pid and its like take it."""
    return f"{namespace.mode}:{namespace.value}" if namespace.value else namespace.mode


def _network_mode(config: ContainerConfig) -> str:
    return "bridge" if config.network.mode == "bridge" else mode(config.network)


def _userns(config: ContainerConfig) -> str:
    if config.userns.mode == "host" and not config.uid_map:
        return ""
    return mode(config.userns)


def _binds(config: ContainerConfig) -> list[str]:
    found = []
    for mount in config.mounts:
        if mount.type in ("bind", "volume"):
            rest = [item for item in mount.options if item not in ("rw", "ro") and item not in PROPAGATION]
            options = ["ro" if "ro" in mount.options else "rw", propagation(mount.options), *rest]
            found.append(f"{mount.name or mount.source}:{mount.destination}:{','.join(options)}")
    return found


def _ulimits(config: ContainerConfig, spec: dict[str, Any]) -> list[dict[str, Any]]:
    limits = (spec.get("process") or {}).get("rlimits")
    if limits is not None:
        return [{"Name": item["type"], "Soft": item["soft"], "Hard": item["hard"]} for item in limits]
    from pypod.engine import resources
    from pypod.errors import PypodError

    found = []
    for text in config.ulimits:
        try:
            name, soft, hard = resources.parse_ulimit(text)
        except PypodError:
            continue
        found.append({"Name": f"RLIMIT_{name.upper()}", "Soft": soft, "Hard": hard})
    return found


def devices(config: ContainerConfig) -> list[dict[str, str]]:
    """The devices of --device."""
    found = []
    for text in config.devices:
        host, _, rest = text.partition(":")
        inside, _, permissions = rest.partition(":")
        found.append({"PathOnHost": host, "PathInContainer": inside or host, "CgroupPermissions": permissions})
    return found


def _tmpfs(config: ContainerConfig) -> dict[str, str]:
    found = {item.destination: ",".join(item.options) for item in config.mounts if item.type == "tmpfs"}
    if config.read_only and config.read_only_tmpfs:
        from pypod.engine import spec_mounts

        others = {item.destination for item in config.mounts}
        found |= {path: ",".join(spec_mounts.TMPFS) for path in spec_mounts.WRITABLE if path not in others}
    return found


def host_config(context: Context, container: Container, spec: dict[str, Any]) -> dict[str, Any]:
    """The HostConfig object."""
    config = container.config
    added, dropped = _added_and_dropped(capabilities(config, spec))
    result: dict[str, Any] = {
        "Binds": _binds(config),
        "CgroupManager": limits.shown(context),
        "CgroupMode": mode(config.cgroupns),
        "ContainerIDFile": config.cidfile,
        "LogConfig": {
            "Type": config.log_driver,
            "Config": {"label": ",".join(config.log_labels)} if config.log_labels else None,
            "Path": container.log_file,
            "Tag": config.log_tag,
            "Size": units.size(max(config.log_size_max, 0), space=False),
        },
        "NetworkMode": _network_mode(config),
        "PortBindings": port_bindings(config),
        "RestartPolicy": {
            "Name": "" if config.restart_policy == "no" else config.restart_policy,
            "MaximumRetryCount": config.restart_retries,
        },
        "AutoRemove": config.auto_remove,
        "Annotations": config.annotations or None,
        "VolumeDriver": "",
        "VolumesFrom": list(config.volumes_from) or None,
        "CapAdd": added,
        "CapDrop": dropped,
        "Dns": list(config.dns),
        "DnsOptions": list(config.dns_options),
        "DnsSearch": list(config.dns_search),
        "ExtraHosts": list(config.add_hosts),
        "GroupAdd": list(config.groups),
        "IpcMode": mode(config.ipc),
        "Cgroup": "",
        "Cgroups": "default" if config.cgroups == "enabled" else config.cgroups,
        "Links": None,
        "OomScoreAdj": config.oom_score_adj or 0,
        "PidMode": mode(config.pid),
        "Privileged": config.privileged,
        "PublishAllPorts": config.publish_all,
        "ReadonlyRootfs": config.read_only,
        "SecurityOpt": list(config.security_options),
        "Tmpfs": _tmpfs(config),
        "UTSMode": mode(config.uts),
        "UsernsMode": _userns(config),
        "ShmSize": config.shm_size,
        "Runtime": "oci",
        "ConsoleSize": [0, 0],
        "Isolation": "",
    }
    if config.uid_map:
        result["IDMappings"] = {
            "UidMap": [":".join(map(str, item)) for item in config.uid_map],
            "GidMap": [":".join(map(str, item)) for item in config.gid_map],
        }
    result.update(_resources(config))
    result["Devices"] = devices(config)
    result["Ulimits"] = _ulimits(config, spec)
    return result


def _of_devices(config: ContainerConfig) -> dict[str, Any]:
    """All null without one of them, as in podman."""
    from pypod.engine import device_limits

    wanted = device_limits.of(config)
    given = bool(wanted or config.blkio_weight)
    return {
        kind.inspect: device_limits.shown(flag, wanted.get(flag, {})) if given else None
        for flag, kind in device_limits.KINDS.items()
    }


def _resources(config: ContainerConfig) -> dict[str, Any]:
    return {
        "CpuShares": config.cpu_shares,
        "Memory": config.memory,
        "NanoCpus": int(config.cpus * 1_000_000_000),
        "CgroupParent": config.cgroup_parent,
        "BlkioWeight": config.blkio_weight,
        **_of_devices(config),
        "CpuPeriod": config.cpu_period,
        "CpuQuota": config.cpu_quota,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": config.cpuset_cpus,
        "CpusetMems": config.cpuset_mems,
        "DiskQuota": 0,
        "KernelMemory": 0,
        "MemoryReservation": config.memory_reservation,
        "MemorySwap": config.memory_swap,
        "MemorySwappiness": config.memory_swappiness,
        "OomKillDisable": config.oom_kill_disable,
        "PidsLimit": config.pids_limit or 2048,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "CgroupConf": config.cgroup_conf or None,
    }
