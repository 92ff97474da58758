"""From a container's configuration to the OCI config.json that the runtime gets (runtime-spec, config.md)."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.engine import spec_mounts
from pypod.engine.config import ContainerConfig
from pypod.engine.users import User
from pypod.errors import PypodError, UsageError, reason
from pypod.oci import capabilities, paths, seccomp, spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


@record
class SpecRequest:
    """What the spec is made from. Paths are absolute, and those of the mount namespace the runtime is started in.

    ``etc_files`` are files to bind, destination → file of ours: /etc/hosts, /etc/resolv.conf, /etc/hostname, …
    ``joined`` are the namespaces to join: OCI type → path. ``shm`` is the directory that becomes /dev/shm ("" for
    none). ``cgroups_path`` is empty if the runtime shall not make a cgroup; ``resources`` is limits.resources().
    """

    config: ContainerConfig
    rootfs: str
    user: User = User()
    etc_files: dict[str, str] = {}
    joined: dict[str, str] = {}
    shm: str = ""
    hostname: str = ""
    rootless: bool = False
    init_path: str = ""  # the init program of the host, for --init
    cgroups_path: str = ""
    resources: dict[str, Any] = {}
    unified_cgroup: bool = False
    gid_count: int = 65536  # ids of the user namespace that we run in
    extra_mounts: list[dict[str, Any]] = []  # OCI mounts of the caller's: image mounts, secrets
    unmade: Sequence[str] = ()  # sources that will be made before the runtime is called
    subpaths: dict[str, str] = {}  # destination → where the part of a mount's source is that is to be mounted


def runtime_spec(request: SpecRequest) -> dict[str, Any]:
    """The config.json as a dict. Raises UsageError, PypodError (a device or seccomp profile that is gone)."""
    config = request.config
    granted, process_capabilities = _capabilities(request)
    linux: dict[str, Any] = {
        "namespaces": _namespaces(request),
        "resources": request.resources,
    }
    if config.sysctl:
        linux["sysctl"] = config.sysctl
    if config.uid_map:
        linux["uidMappings"] = _mappings(config.uid_map)
        linux["gidMappings"] = _mappings(config.gid_map)
    if request.cgroups_path:
        linux["cgroupsPath"] = request.cgroups_path
    filter_ = _seccomp(config, granted)
    if filter_ is not None:
        linux["seccomp"] = filter_
    masked, read_only = _kernel_paths(request)
    if masked:
        linux["maskedPaths"] = masked
    if read_only:
        linux["readonlyPaths"] = read_only
    mounts, devices = spec_mounts.plan(request)
    if devices:
        linux["devices"] = devices
    propagation = spec_mounts.rootfs_propagation(mounts)
    if propagation:
        linux["rootfsPropagation"] = propagation

    process: dict[str, Any] = {
        "terminal": config.terminal,
        "user": _user(request),
        "args": arguments(config),
        "env": environment(config, request.user, request.hostname),
        "cwd": config.workdir,
        "capabilities": process_capabilities,
        "rlimits": _rlimits(config, request.rootless),
    }
    if config.no_new_privileges:
        process["noNewPrivileges"] = True
    if config.oom_score_adj is not None:
        process["oomScoreAdj"] = config.oom_score_adj
    if config.apparmor and config.apparmor != "unconfined" and not config.privileged:
        process["apparmorProfile"] = config.apparmor
    result: dict[str, Any] = {
        "ociVersion": spec.VERSION,
        "process": process,
        "root": {"path": request.rootfs},
        "mounts": mounts,
        "annotations": _annotations(config),
        "linux": linux,
    }
    if config.read_only:
        result["root"]["readonly"] = True
    if config.uts.mode == "private":
        result["hostname"] = request.hostname
    return result


def default_hostname(config: ContainerConfig) -> str:
    """The name that the container has: its own, the host's where that is shared, else the short id."""
    if config.hostname:
        return config.hostname
    if config.uts.mode == "host" or config.network.mode == "host":
        return os.uname().nodename
    return config.id[:12]


def arguments(config: ContainerConfig) -> list[str]:
    """The words of PID 1. Raises UsageError if there are none."""
    words = [*config.entrypoint, *config.command]
    if not words:
        raise UsageError("no command or entrypoint provided, and no CMD or ENTRYPOINT from image")
    return ["/run/podman-init", "--", *words] if config.init else words


def environment(config: ContainerConfig, user: User, hostname: str) -> list[str]:
    """The container's variables, with HOME and HOSTNAME if nobody has set them."""
    names = {entry.partition("=")[0] for entry in config.env}
    result = list(config.env)
    if "HOME" not in names:
        result.append(f"HOME={user.home}")
    if "HOSTNAME" not in names:
        result.append(f"HOSTNAME={hostname}")
    if config.systemd:
        result.append(f"container_uuid={config.id[:32]}")
    return result


def _user(request: SpecRequest) -> dict[str, Any]:
    user = request.user
    result: dict[str, Any] = {"uid": user.uid, "gid": user.gid, "umask": int(request.config.umask, 8)}
    if user.groups:
        result["additionalGids"] = user.groups
    return result


def _namespaces(request: SpecRequest) -> list[dict[str, str]]:
    config = request.config
    wanted = [
        ("pid", config.pid.mode),
        ("network", config.network.mode),
        ("ipc", config.ipc.mode),
        ("uts", config.uts.mode),
        ("mount", "private"),
        ("cgroup", config.cgroupns.mode),
    ]
    if config.uid_map or "user" in request.joined:
        wanted.append(("user", "private"))
    result = []
    for kind, mode in wanted:
        path = request.joined.get(kind, "")
        if path:
            result.append({"type": kind, "path": path})
        elif mode != "host":
            result.append({"type": kind})
    return result


def _mappings(entries: list[list[int]]) -> list[dict[str, int]]:
    return [{"containerID": inside, "hostID": outside, "size": count} for inside, outside, count in entries]


def _capabilities(request: SpecRequest) -> tuple[list[str], dict[str, list[str]]]:
    """The bounding set, and the process's capabilities (capabilities(7))."""
    config = request.config
    added = config.cap_add
    base = config.default_caps or list(capabilities.DEFAULT)
    explicit: list[str] = []
    if config.privileged or added or config.cap_drop:
        from pypod.linux import caps

        ours = caps.bounding()
        try:
            if config.privileged:
                granted = sorted(ours)
            else:
                granted = capabilities.merge(base, added, config.cap_drop, known=caps.NAMES, bounding=ours)
            explicit = capabilities.merge([], added, [], known=caps.NAMES, bounding=ours)
        except ValueError as error:
            raise UsageError(f"{error}: invalid argument") from None
    else:
        granted = base
    if request.user.uid == 0:
        return granted, {"bounding": granted, "effective": granted, "permitted": granted}
    result = {"bounding": granted}
    if explicit:
        # Another user than root has only what was asked for by name, and keeps it over execve: ambient.
        for kind in ("effective", "inheritable", "permitted", "ambient"):
            result[kind] = explicit
    return granted, result


def _seccomp(config: ContainerConfig, granted: list[str]) -> dict[str, Any] | None:
    if config.seccomp == "unconfined" or (config.privileged and not config.seccomp):
        return None
    machine = os.uname().machine
    if not config.seccomp:
        return seccomp.default_filter(machine, frozenset(granted))
    from pypod.base import fastjson, files

    major, minor = (os.uname().release.split(".") + ["0"])[:2]
    kernel = (int(major), int("".join(char for char in minor if char.isdecimal()) or 0))
    try:
        return seccomp.resolve(files.read_json(config.seccomp), machine, frozenset(granted), kernel)
    except OSError as error:
        raise PypodError(f"cannot read seccomp profile {config.seccomp}: {reason(error)}") from None
    except (fastjson.BadJson, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"cannot use seccomp profile {config.seccomp}: {error}") from None


def _kernel_paths(request: SpecRequest) -> tuple[list[str], list[str]]:
    """Masked and read-only paths."""
    config = request.config
    if config.privileged:
        return list(config.mask), []
    everything = any(path.upper() == "ALL" for path in config.unmask)
    masked = [] if everything else [path for path in paths.MASKED if not _covered(path, config.unmask)]
    if not everything and not spec_mounts.can_mount_sys(request):
        masked.append("/sys/kernel")
    masked += [path for path in config.mask if path not in masked]
    if config.systemd and not request.unified_cgroup:
        masked.append("/sys/fs/cgroup/systemd/release_agent")
    if everything:
        return masked, []
    return masked, [path for path in paths.READ_ONLY if not _covered(path, config.unmask)]


def _covered(path: str, unmasked: list[str]) -> bool:
    if not unmasked:
        return False
    from fnmatch import fnmatchcase  # imports re: only for who asks for --security-opt unmask=

    return any(fnmatchcase(path, pattern) for pattern in unmasked)


def _rlimits(config: ContainerConfig, rootless: bool) -> list[dict[str, Any]]:
    from pypod.linux import rlimits

    given = {}
    if config.ulimits:
        from pypod.engine import resources

        if "host" in config.ulimits:
            return []
        for text in config.ulimits:
            name, soft, hard = resources.parse_ulimit(text)
            given[name] = (soft, hard)
    free = not rootless and rlimits.can_raise()
    for name, wanted in spec.DEFAULT_RLIMITS:
        if name not in given:
            # Only who has CAP_SYS_RESOURCE may raise a hard limit.
            value = min(wanted, rlimits.pid_max()) if name == "nproc" else wanted
            if not free:
                value = min(value, rlimits.current(name)[1])
            given[name] = (value, value)
    return [{"type": f"RLIMIT_{name.upper()}", "soft": soft, "hard": hard} for name, (soft, hard) in given.items()]


def _annotations(config: ContainerConfig) -> dict[str, str]:
    def truth(value: bool) -> str:
        return "TRUE" if value else "FALSE"

    result = {
        "io.container.manager": "libpod",
        "io.kubernetes.cri-o.Created": config.created,
        "io.kubernetes.cri-o.TTY": "true" if config.terminal else "false",
        "io.podman.annotations.autoremove": truth(config.auto_remove),
        "io.podman.annotations.init": truth(config.init),
        "io.podman.annotations.privileged": truth(config.privileged),
        "io.podman.annotations.publish-all": truth(config.publish_all),
        "org.opencontainers.image.stopSignal": str(config.stop_signal),
    }
    if config.seccomp:
        result["io.podman.annotations.seccomp"] = config.seccomp
    if config.apparmor:
        result["io.podman.annotations.apparmor"] = config.apparmor
    if config.label_options:
        result["io.podman.annotations.label"] = ",".join(config.label_options)
    if "keep-groups" in config.groups:
        # crun leaves the caller's supplementary groups as they are.
        result["run.oci.keep_original_groups"] = "1"
    result.update(config.annotations)
    return result
