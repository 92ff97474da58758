"""Limits as properties of the systemd unit that a container's or a pod's cgroup is (systemd.resource-control(5)).

crun sets them in a cgroup below the scope, of which systemd knows nothing: `systemctl show` would say "infinity", and
the scope's own default for tasks would bind before ours. So the scope gets them too, by annotations that the runtime
passes on to systemd when it asks for it. runc does it by itself.

Limits of single devices are no annotations, and runc says nothing of them: systemd is told when the scope is there.
"""

from __future__ import annotations

import os

from pypod.engine.resources import DEVICE_FLAGS
from pypod.errors import PypodError
from pypod.linux import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.engine.context import Context
    from pypod.systemd.scope import Limit

INFINITY = (1 << 64) - 1


def unit(cgroup_path: str) -> str:
    """The scope of SLICE:PREFIX:NAME, as the OCI config has it."""
    _, prefix, name = cgroup_path.split(":")
    return f"{prefix}-{name}.scope"


def socket(context: Context) -> str:
    """The private socket of the manager that serves this user."""
    return f"{context.runtime_dir if context.rootless else '/run'}/systemd/private"


def properties(resources: Mapping[str, Any]) -> dict[str, int]:
    """linux.resources of the OCI config as properties; those that are set."""
    found: dict[str, int] = {}
    memory = resources.get("memory", {})
    limit = memory.get("limit", 0)
    if limit:
        found["MemoryMax"] = _bound(limit)
    if memory.get("swap"):
        # OCI's is that of memory and swap together.
        found["MemorySwapMax"] = _bound(memory["swap"] if memory["swap"] < 0 else max(memory["swap"] - limit, 0))
    if memory.get("reservation"):
        found["MemoryLow"] = _bound(memory["reservation"])
    cpu = resources.get("cpu", {})
    if cpu.get("quota"):
        quota = cpu["quota"]
        found["CPUQuotaPerSecUSec"] = INFINITY if quota < 0 else quota * 1_000_000 // (cpu.get("period") or 100_000)
        if cpu.get("period"):
            found["CPUQuotaPeriodUSec"] = cpu["period"]
    if cpu.get("shares"):
        found["CPUWeight"] = cgroups.cpu_weight(cpu["shares"])
    if resources.get("blockIO", {}).get("weight"):
        found["IOWeight"] = cgroups.io_weight(resources["blockIO"]["weight"])
    found["TasksMax"] = _bound(resources.get("pids", {}).get("limit", -1))
    return found


def for_runtime(runtime: str, resources: Mapping[str, Any]) -> dict[str, str]:
    """What makes a runtime that needs it ask systemd for the properties too."""
    wanted = properties(resources)
    if os.path.basename(runtime) != "crun":
        # All that runc says nothing of: systemd would write its own there, sooner or later.
        wanted = {name: value for name, value in wanted.items() if name == "IOWeight"}
    return {f"org.systemd.property.{name}": f"uint64 {value}" for name, value in wanted.items()}


def update(context: Context, runtime: str, cgroup_path: str, resources: Mapping[str, Any]) -> None:
    """Change a running container's scope as well. Raises BusError."""
    changed = properties(resources)
    if "pids" not in resources:
        del changed["TasksMax"]
    if os.path.basename(runtime) != "crun":
        changed = {name: value for name, value in changed.items() if name == "IOWeight"}
    if changed:
        from pypod.systemd import scope

        scope.set_properties(socket(context), context.uid, unit(cgroup_path), changed)


def limit_devices(context: Context, wanted: Mapping[str, Mapping[str, int]], cgroup_path: str) -> None:
    """Tell systemd of the limits of single devices, once the runtime has made the scope. Raises PypodError."""
    from pypod.engine import device_limits
    from pypod.systemd import bus, scope

    try:
        scope.set_properties(socket(context), context.uid, unit(cgroup_path), device_limits.properties(wanted))
    except bus.BusError as error:
        raise PypodError(f"cannot limit devices of {unit(cgroup_path)}: {error}") from None


def of_pod(limits: Mapping[str, Any]) -> dict[str, Limit]:
    """A pod's limits, by pod inspect's keys, as properties of its slice."""
    cpu = {"quota": limits.get("cpu_quota"), "period": limits.get("cpu_period"), "shares": limits.get("cpu_shares")}
    resources: dict[str, Any] = {"cpu": cpu}
    if limits.get("memory_limit"):
        resources["memory"] = {"limit": limits["memory_limit"], "swap": limits.get("memory_swap")}
    if limits.get("blkio_weight"):
        resources["blockIO"] = {"weight": limits["blkio_weight"]}
    found: dict[str, Limit] = {**properties(resources)}
    del found["TasksMax"]
    if any(flag in limits for flag in DEVICE_FLAGS):
        from pypod.engine import device_limits

        wanted = {flag: device_limits.listed(limits[flag]) for flag in DEVICE_FLAGS if flag in limits}
        found.update(device_limits.properties(wanted))
    for key, name in (("cpuset_cpus", "AllowedCPUs"), ("cpuset_mems", "AllowedMemoryNodes")):
        if limits.get(key):
            found[name] = _mask(limits[key])
    return found


def limit_pod(context: Context, slice: str, limits: Mapping[str, Any]) -> None:
    """Start the slice of a pod with its limits, or give them to it. Raises BusError."""
    from pypod.systemd import bus, scope

    values = of_pod(limits)
    try:
        scope.start_slice(socket(context), context.uid, slice, values)
    except bus.BusError:
        scope.set_properties(socket(context), context.uid, slice, values)


def forget_pod(context: Context, slice: str) -> None:
    """Stop the slice of a pod whose containers are gone: systemd keeps empty ones."""
    from pypod.systemd import bus, scope

    try:
        scope.stop(socket(context), context.uid, slice)
    except bus.BusError:
        pass  # it was never there, or there is no systemd any more


def _mask(text: str) -> bytes:
    """A list of processors like 0-2,4 as bits, the first in the lowest."""
    bits = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            bits |= 1 << number
    return bits.to_bytes(bits.bit_length() // 8 + 1, "little")


def _bound(value: int) -> int:
    return INFINITY if value < 0 else value
