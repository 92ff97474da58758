"""Limits as properties of the systemd unit that a container's or a pod's cgroup is (systemd.resource-control(5)).

crun sets them in a cgroup below the scope, of which systemd knows nothing: `systemctl show` would say "infinity", and
the scope's own default for tasks would bind before ours. So the scope gets them too, by annotations that the runtime
passes on to systemd when it asks for it. runc does it by itself.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.engine.context import Context

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
        found["CPUWeight"] = 1 + (min(max(cpu["shares"], 2), 262_144) - 2) * 9999 // 262_142
    if "blockIO" in resources:
        found["IOWeight"] = 1 + (resources["blockIO"]["weight"] - 10) * 9999 // 990
    found["TasksMax"] = _bound(resources.get("pids", {}).get("limit", -1))
    return found


def for_runtime(runtime: str, resources: Mapping[str, Any]) -> dict[str, str]:
    """What makes a runtime that needs it ask systemd for the properties too."""
    if os.path.basename(runtime) != "crun":
        return {}
    return {f"org.systemd.property.{name}": f"uint64 {value}" for name, value in properties(resources).items()}


def update(context: Context, runtime: str, cgroup_path: str, resources: Mapping[str, Any]) -> None:
    """Change a running container's scope as well. Raises ScopeError."""
    changed = properties(resources)
    if "pids" not in resources:
        del changed["TasksMax"]
    if changed and os.path.basename(runtime) == "crun":
        from pypod.systemd import scope

        scope.set_properties(socket(context), context.uid, unit(cgroup_path), changed)


def of_pod(limits: Mapping[str, Any]) -> dict[str, int | bytes]:
    """A pod's limits, by pod inspect's keys, as properties of its slice."""
    cpu = {"quota": limits.get("cpu_quota"), "period": limits.get("cpu_period"), "shares": limits.get("cpu_shares")}
    resources: dict[str, Any] = {"cpu": cpu}
    if limits.get("memory_limit"):
        resources["memory"] = {"limit": limits["memory_limit"], "swap": limits.get("memory_swap")}
    if limits.get("blkio_weight"):
        resources["blockIO"] = {"weight": limits["blkio_weight"]}
    found: dict[str, int | bytes] = {**properties(resources)}
    del found["TasksMax"]
    for key, name in (("cpuset_cpus", "AllowedCPUs"), ("cpuset_mems", "AllowedMemoryNodes")):
        if limits.get(key):
            found[name] = _mask(limits[key])
    return found


def limit_pod(context: Context, slice: str, limits: Mapping[str, Any]) -> None:
    """Start the slice of a pod with its limits, or give them to it. Raises ScopeError."""
    from pypod.systemd import scope

    values = of_pod(limits)
    try:
        scope.start_slice(socket(context), context.uid, slice, values)
    except scope.ScopeError:
        scope.set_properties(socket(context), context.uid, slice, values)


def forget_pod(context: Context, slice: str) -> None:
    """Stop the slice of a pod whose containers are gone: systemd keeps empty ones."""
    from pypod.systemd import scope

    try:
        scope.stop(socket(context), context.uid, slice)
    except scope.ScopeError:
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
