"""The mounts and devices of an OCI config: the kernel's, ours, the user's; parents before what is in them."""

from __future__ import annotations

import os

from pypod.errors import PypodError
from pypod.oci import spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.config import Mount
    from pypod.engine.specgen import SpecRequest

# What stays writable with --read-only.
WRITABLE = ("/run", "/tmp", "/var/tmp")
TMPFS = ("rw", "rprivate", "nosuid", "nodev", "tmpcopyup")

_STATVFS_FLAGS = ((2, "suid", "nosuid"), (4, "dev", "nodev"), (8, "exec", "noexec"))  # ST_NOSUID, …


def can_mount_sys(request: SpecRequest) -> bool:
    """The kernel lets only the owner of a network namespace mount its sysfs."""
    config = request.config
    inner = request.rootless or bool(config.uid_map) or config.userns.mode in ("container", "ns")
    return not (inner and config.network.mode in ("host", "ns", "container"))


def plan(request: SpecRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All mounts in the order in which they are to be made, and the devices for the runtime to make."""
    config = request.config
    defaults = _kernel(request)
    devices, device_mounts = _devices(request)
    wanted = [_oci(item, request) for item in config.mounts if item.type != "image"]
    wanted += request.extra_mounts
    taken = {item["destination"] for item in wanted}
    covers_run = "/run" in taken
    if config.systemd:
        wanted += [item for item in _systemd(request) if item["destination"] not in taken]
        taken.update(item["destination"] for item in wanted)
    if config.read_only and config.read_only_tmpfs:
        for path in WRITABLE:
            if path not in taken:
                wanted.append(spec.mount(path, "tmpfs", "tmpfs", TMPFS))
                taken.add(path)
                covers_run = covers_run or path == "/run"
    ours = ["bind", "rprivate"]
    if config.read_only:
        ours += ["ro", "nosuid", "noexec", "nodev"]
    for path, source in request.etc_files.items():
        if path not in taken and not (path == "/run/.containerenv" and covers_run):
            wanted.append(spec.mount(path, "bind", source, ours))
    if config.init:
        wanted.append(spec.mount("/run/podman-init", "bind", request.init_path, ("bind", "ro", "rprivate")))
    if request.shm and "/dev/shm" not in taken:
        wanted.append(spec.mount("/dev/shm", "bind", request.shm, ("bind", "rprivate", *spec.SYSTEM)))
    wanted += [item for item in device_mounts if item["destination"] not in taken]
    taken.update(item["destination"] for item in wanted)
    result = [
        item
        for item in defaults
        if item["destination"] not in taken and not ("/dev" in taken and item["destination"].startswith("/dev/"))
    ]
    result += wanted
    # A stable sort: among equals the order above stays.
    result.sort(key=lambda item: item["destination"].count("/"))
    return result, devices


def _kernel(request: SpecRequest) -> list[dict[str, Any]]:
    """/proc, /dev, /sys and what is in them."""
    config = request.config
    inner = request.rootless or bool(config.uid_map)
    gids = [(inside, count) for inside, _, count in config.gid_map] or [(0, request.gid_count)]
    tty_group = any(first <= 5 < first + count for first, count in gids)
    mounts = {item["destination"]: item for item in spec.default_mounts(tty_group=tty_group)}
    writable = "rw" if config.privileged else "ro"
    if not can_mount_sys(request):
        mounts["/sys"] = spec.mount("/sys", "bind", "/sys", ("rprivate", *spec.SYSTEM, writable, "rbind"))
    else:
        if config.privileged:
            mounts["/sys"] = spec.mount("/sys", "sysfs", "sysfs", ("rprivate", *spec.SYSTEM, "rw"))
        if config.systemd and request.unified_cgroup and config.cgroupns.mode != "host":
            writable = "rw"  # systemd makes its own cgroups, in the container's namespace
        mounts["/sys/fs/cgroup"] = spec.mount(
            "/sys/fs/cgroup", "cgroup", "cgroup", ("rprivate", *spec.SYSTEM, "relatime", writable)
        )
    if inner and config.ipc.mode == "host":
        # A message queue file system belongs to the owner of the IPC namespace, as sysfs to the network's.
        del mounts["/dev/mqueue"]
        if os.path.isdir("/dev/mqueue"):
            mounts["/dev/mqueue"] = spec.mount("/dev/mqueue", "bind", "/dev/mqueue", ("bind", *spec.SYSTEM))
    if inner and config.pid.mode == "host":
        mounts["/proc"] = spec.mount("/proc", "bind", "/proc", ("rprivate", "rw", "rbind", *spec.SYSTEM))
    elif config.proc_options:
        mounts["/proc"] = spec.mount("/proc", "proc", "proc", config.proc_options)
    return list(mounts.values())


def _oci(item: Mount, request: SpecRequest) -> dict[str, Any]:
    if item.type == "tmpfs":
        return spec.mount(item.destination, "tmpfs", "tmpfs", item.options)
    if item.type in ("devpts", "ramfs"):
        return spec.mount(item.destination, item.type, item.type, item.options)
    config = request.config
    options = list(item.options)
    source = request.subpaths.get(item.destination, item.source)
    if item.type == "bind" or item.source:
        place = source if source == item.source or os.path.exists(source) else item.source
        while item.source in request.unmade and not os.path.exists(place):
            place = os.path.dirname(place)  # where it will be made
        try:
            flags = os.statvfs(place).f_flag
        except OSError as error:
            raise PypodError(f"cannot mount {source} at {item.destination}: {error.strerror or error}") from None
        if request.rootless or config.uid_map:
            # What the host has set on the file system is locked in a user namespace: it must be repeated.
            for bit, positive, negative in _STATVFS_FLAGS:
                if flags & bit and positive not in options and negative not in options:
                    options.append(negative)
    return spec.mount(item.destination, "bind", source, options)


def _systemd(request: SpecRequest) -> list[dict[str, Any]]:
    """What systemd as PID 1 expects (systemd.io, CONTAINER_INTERFACE)."""
    words = ("rw", "rprivate", "nosuid", "nodev", "tmpcopyup")
    result = [spec.mount(path, "tmpfs", "tmpfs", words) for path in ("/run", "/run/lock", "/tmp", "/var/log/journal")]
    if not request.unified_cgroup and os.path.isdir("/sys/fs/cgroup/systemd"):
        result.append(spec.mount("/sys/fs/cgroup/systemd", "bind", "/sys/fs/cgroup/systemd", ("bind", "rprivate")))
    return result


def _devices(request: SpecRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Device nodes for the runtime to make, or, where a user namespace forbids mknod(2), binds of the host's."""
    config = request.config
    if not config.devices and not config.privileged:
        return [], []
    from pypod.engine import devices

    found = devices.host(terminals=not request.rootless and not config.systemd) if config.privileged else []
    seen = {item.destination for item in found}
    for entry in config.devices:
        found += [item for item in devices.expand(entry) if item.destination not in seen]
    if request.rootless or config.uid_map:
        mounts = []
        for item in found:
            mode = "rw" if "w" in item.permissions else "ro"
            mounts.append(
                spec.mount(item.destination, "bind", item.source, ("slave", "nosuid", "noexec", mode, "rbind"))
            )
        return [], mounts
    return [
        {
            "path": item.destination,
            "type": item.kind,
            "major": item.major,
            "minor": item.minor,
            "fileMode": item.mode,
            "uid": item.uid,
            "gid": item.gid,
        }
        for item in found
    ], []


def rootfs_propagation(mounts: list[dict[str, Any]]) -> str:
    """The propagation that the root must have for that of the binds to work; "" for the runtime's own."""
    result = ""
    for item in mounts:
        options = item["options"]
        if "shared" in options or "rshared" in options:
            return "shared"
        if "slave" in options or "rslave" in options:
            result = "rslave"
    return result
