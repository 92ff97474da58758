"""The limits of a pod: those of the cgroup that its containers' cgroups are made in (cgroups(7)).

Made before the infra container is started, each time, since a reboot takes cgroups away; removed with the pod.
"""

from __future__ import annotations

from pypod.base import files
from pypod.engine import device_limits, pods, resources
from pypod.engine.config import Namespace
from pypod.engine.limits import IGNORED, check_controllers
from pypod.errors import NoSuchPod, PypodError, UsageError, reason
from pypod.linux import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.engine.context import Context

DEVICE_FLAGS = ("blkio_weight_device", "device_read_bps", "device_write_bps")
FLAGS = ("blkio_weight", "cpu_shares", "cpus", "cpuset_cpus", "cpuset_mems", "memory", "memory_swap", *DEVICE_FLAGS)
_CONTROLLERS = {
    "cpu_shares": "cpu",
    "cpus": "cpu",
    "cpuset_cpus": "cpuset",
    "cpuset_mems": "cpuset",
    "memory": "memory",
    "memory_swap": "memory",
}  # the others need io
# pod inspect's key → the field of the resources, and the controller and its file in cgroup v1.
_V1 = {
    "cpu_period": ("cpu_period", "cpu", "cpu.cfs_period_us"),
    "cpu_quota": ("cpu_quota", "cpu", "cpu.cfs_quota_us"),
    "cpu_shares": ("cpu_shares", "cpu", "cpu.shares"),
    "cpuset_cpus": ("cpuset_cpus", "cpuset", "cpuset.cpus"),
    "cpuset_mems": ("cpuset_mems", "cpuset", "cpuset.mems"),
    "memory_limit": ("memory", "memory", "memory.limit_in_bytes"),
    "memory_swap": ("memory_swap", "memory", "memory.memsw.limit_in_bytes"),
    "blkio_weight": ("blkio_weight", "blkio", "blkio.weight"),
}


def limits(context: Context, flags: Mapping[str, Any], path: str) -> dict[str, Any]:
    """What was asked for, by pod inspect's keys. ``path`` is the pod's cgroup. Raises UsageError."""
    given = {flag: flags[flag] for flag in FLAGS if flags.get(flag)}
    if not given:
        return {}
    private = Namespace(mode="private")
    found = resources.parse(given, {}, {"ipc": private, "network": private, "uts": private})
    if context.rootless and cgroups.mode() != cgroups.UNIFIED:
        from pypod.base import report

        report.warning(IGNORED, mark="")
    elif not path:
        raise UsageError(
            "cannot limit the resources of a pod: this user has no cgroup of its own",
            hint="log in through systemd (loginctl enable-linger)",
        )
    elif context.rootless and not path.startswith("/"):
        check_controllers(context, sorted({_CONTROLLERS.get(flag, "io") for flag in given}))
    wanted = {key: found[field] for key, (field, _, _) in _V1.items() if found[field]}
    for flag in DEVICE_FLAGS:
        if found.get(flag):
            wanted[flag] = device_limits.shown(flag, found[flag])
    return wanted


def apply(context: Context, identity: str) -> None:
    """Make the cgroup of a pod that has limits. Raises PypodError."""
    try:
        pod = pods.load(context, identity)
    except NoSuchPod:
        return  # a killed `pod create` has left its infra container alone
    if not pod.limits or not pod.cgroup_path:
        return
    if not pod.cgroup_path.startswith("/"):
        _apply_slice(context, pod.name, pod.cgroup_path, pod.limits)
        return
    mode = cgroups.mode()
    if context.rootless and mode != cgroups.UNIFIED:
        return
    try:
        if mode == cgroups.UNIFIED:
            _apply_v2(pod.cgroup_path, pod.limits)
        else:
            _apply_v1(pod.cgroup_path, pod.limits)
    except OSError as error:
        raise PypodError(f"cannot limit pod {pod.name}: {error.filename}: {reason(error)}") from None


def _apply_slice(context: Context, name: str, slice: str, wanted: Mapping[str, Any]) -> None:
    from pypod.engine import scope_limits
    from pypod.systemd.bus import BusError

    try:
        scope_limits.limit_pod(context, slice, wanted)
    except BusError as error:
        raise PypodError(f"cannot limit pod {name}: {error}") from None


def _apply_v1(path: str, wanted: Mapping[str, Any]) -> None:
    for controller, file, value in _v1(wanted):
        place = f"{cgroups.ROOT}/{controller}"
        for name in path.strip("/").split("/"):
            parent, place = place, f"{place}/{name}"
            files.make_directory(place, 0o755)
            for inherited in ("cpuset.cpus", "cpuset.mems") if controller == "cpuset" else ():
                # Empty in a new cgroup, in which then nothing can run.
                if not files.read(f"{place}/{inherited}").strip():
                    cgroups.write(f"{place}/{inherited}", files.read(f"{parent}/{inherited}").decode().strip())
        cgroups.write(f"{place}/{file}", value)


def _v1(wanted: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Controllers of cgroup v1, their files, and what to write there. Raises PypodError."""
    found = [(controller, file, str(wanted[key])) for key, (_, controller, file) in _V1.items() if key in wanted]
    for file, line in device_limits.lines(_of_devices(wanted), False):
        found.append(("blkio", file, line))
    return found


def _of_devices(wanted: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    return {flag: device_limits.listed(wanted[flag]) for flag in DEVICE_FLAGS if flag in wanted}


def _apply_v2(path: str, wanted: Mapping[str, Any]) -> None:
    values, devices = _unified(wanted), device_limits.lines(_of_devices(wanted), True)
    place = cgroups.ROOT
    for name in path.strip("/").split("/"):
        for controller in sorted({file.partition(".")[0] for file in [*values, *(file for file, _ in devices)]}):
            cgroups.write(place + "/cgroup.subtree_control", "+" + controller)
        place += "/" + name
        files.make_directory(place, 0o755)
    for file, value in values.items():
        cgroups.write(f"{place}/{file}", value)
    for file, value in devices:
        cgroups.write(f"{place}/{file}", value)


def _unified(wanted: Mapping[str, Any]) -> dict[str, str]:
    """The files of cgroup v2 and what to write there; weights are converted as the runtimes do."""
    values: dict[str, str] = {}
    if "cpu_quota" in wanted:
        values["cpu.max"] = f"{wanted['cpu_quota']} {wanted.get('cpu_period', 100_000)}"
    if "cpu_shares" in wanted:
        values["cpu.weight"] = str(cgroups.cpu_weight(wanted["cpu_shares"]))
    for key in ("cpuset_cpus", "cpuset_mems"):
        if key in wanted:
            values[key.replace("_", ".")] = wanted[key]
    if "memory_limit" in wanted:
        values["memory.max"] = str(wanted["memory_limit"])
        swap = wanted.get("memory_swap", 0)
        values["memory.swap.max"] = "max" if swap < 0 else str(max(swap - wanted["memory_limit"], 0))
    if "blkio_weight" in wanted:
        values["io.weight"] = str(cgroups.io_weight(wanted["blkio_weight"]))
    return values
