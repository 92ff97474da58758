"""Cgroups: who makes them, where, and which limits can be set on this host (cgroups(7)).

- as root: <parent>/libpod-ID on cgroupfs, or a scope that systemd makes;
- rootless on cgroup v2: a scope of the user's systemd, or a cgroup beside our own where that one is delegated to us;
- rootless on cgroup v1: none: the kernel gives users no cgroup of their own.
"""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.errors import PypodError, UsageError
from pypod.linux import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.engine.config import ContainerConfig
    from pypod.engine.context import Context

IGNORED = "Resource limits are not supported and ignored on cgroups V1 rootless systems"
DEFAULT_PIDS = 2048  # containers.conf(5), pids_limit


@record
class Plan:
    """What the OCI config says of cgroups. ``path`` "": the runtime makes no cgroup of its own choice for us."""

    manager: str  # cgroupfs, systemd or disabled
    path: str = ""
    resources: dict[str, Any] = {}
    unified: bool = False


def manager(context: Context, mode: str = "") -> str:
    """cgroupfs, systemd, or disabled where this user can have no cgroups. Raises UsageError."""
    mode = mode or cgroups.mode()
    asked = str(context.flags.get("cgroup_manager") or "")
    wanted = asked or str(context.engine.get("cgroup_manager") or "")
    if wanted not in ("", "cgroupfs", "systemd"):
        raise UsageError(f"invalid cgroup manager {wanted}: must be cgroupfs or systemd")
    if mode == cgroups.NONE:
        return "disabled"
    if context.rootless and mode != cgroups.UNIFIED:
        return "disabled"
    if wanted != "cgroupfs" and systemd_answers(context):
        return "systemd"
    if asked == "systemd":
        raise UsageError("cannot use the systemd cgroup manager: no systemd answers for this user")
    if context.rootless and not cgroups.delegated(cgroups.ROOT + cgroups.own()):
        return "disabled"
    return "cgroupfs"


def systemd_answers(context: Context) -> bool:
    """Whether there is a manager to ask: the system's for root, the user's own for others."""
    return os.path.isdir("/run/systemd/system") and (
        not context.rootless or os.path.exists(context.runtime_dir + "/systemd/private")
    )


def shown(context: Context) -> str:
    """The manager as `info` and `inspect` call it: podman knows no "disabled"."""
    try:
        chosen = manager(context)
    except UsageError:
        chosen = str(context.flags.get("cgroup_manager") or "")
    return "systemd" if chosen == "systemd" else "cgroupfs"


def given(config: ContainerConfig) -> bool:
    """Whether a limit was asked for."""
    return bool(
        config.memory
        or config.memory_reservation
        or config.memory_swap
        or config.memory_swappiness >= 0
        or config.cpu_shares
        or config.cpu_period
        or config.cpu_quota
        or config.cpuset_cpus
        or config.cpuset_mems
        or config.pids_limit
        or config.blkio_weight
        or of_devices(config)
        or config.oom_kill_disable
        or config.device_cgroup_rules
        or config.cgroup_conf
    )


def _controllers(config: ContainerConfig) -> list[str]:
    """The controllers of cgroup v2 that the limits need which were asked for."""
    wanted = {
        "cpu": config.cpu_shares or config.cpu_period or config.cpu_quota,
        "cpuset": config.cpuset_cpus or config.cpuset_mems,
        "io": config.blkio_weight or of_devices(config),
        "memory": config.memory or config.memory_reservation or config.memory_swap,
        "pids": config.pids_limit > 0,
    }
    return [name for name, value in wanted.items() if value]


def check_controllers(context: Context, wanted: Sequence[str]) -> None:
    """Raise PypodError if systemd hands the user's manager not all these controllers of cgroup v2."""
    uid = context.uid
    there = cgroups.controllers(f"{cgroups.ROOT}/user.slice/user-{uid}.slice/user@{uid}.service")
    missing = [name for name in wanted if name not in there]
    if there and missing:
        raise PypodError(
            f"cannot set resource limits: systemd gives this user no cgroup controller {' and '.join(missing)}",
            hint="as root, systemctl edit user@.service: [Service] Delegate=cpu cpuset io memory pids; reboot",
        )


def of_devices(config: ContainerConfig) -> bool:
    """Whether a limit of a single block device was asked for; ``device_limits`` is loaded only then."""
    return bool(
        config.blkio_weight_device
        or config.device_read_bps
        or config.device_write_bps
        or config.device_read_iops
        or config.device_write_iops
    )


def warn(context: Context, config: ContainerConfig) -> None:
    """Say at ``create`` that limits will have no effect, as podman does on cgroup v1; on v2 the start fails."""
    if given(config) and context.rootless and cgroups.mode() != cgroups.UNIFIED:
        from pypod.base import report

        report.warning(IGNORED, mark="")


def plan(context: Context, config: ContainerConfig) -> Plan:
    """Raises PypodError if a limit was asked for that cannot be set, UsageError."""
    mode = cgroups.mode()
    unified = mode == cgroups.UNIFIED
    if config.cgroups == "split":
        if not unified:
            raise PypodError("cannot use --cgroups=split: it needs cgroup v2")
        path = f"{unit_cgroup()}/libpod-payload-{config.id}"
        return Plan(manager="cgroupfs", path=path, resources=resources(context, config, unified), unified=unified)
    chosen = manager(context, mode) if config.cgroups != "disabled" else "disabled"
    if chosen == "disabled":
        if given(config) and (unified or not context.rootless):
            if config.cgroups == "disabled":
                raise PypodError(
                    "cannot set resource limits: --cgroups=disabled leaves the container without a cgroup"
                )
            raise PypodError(
                "cannot set resource limits: this user has no cgroup of its own",
                hint="log in through systemd (loginctl enable-linger), or run under systemd-run --user --scope",
            )
        return Plan(manager="disabled", unified=unified)
    if chosen == "systemd":
        parent = config.cgroup_parent or ("user.slice" if context.rootless else "machine.slice")
        if not parent.endswith(".slice"):
            raise UsageError(f"did not receive systemd slice as cgroup parent when using systemd: {parent}")
        path = f"{os.path.basename(parent)}:libpod:{config.id}"
        if context.rootless and given(config):
            check_controllers(context, _controllers(config))
    elif context.rootless:
        # We step aside in ours, see start._mover: it may not hold both processes and cgroups.
        own = cgroups.own().removesuffix("/supervisor")
        path = f"{(config.cgroup_parent or own).rstrip('/')}/libpod-{config.id}"
    else:
        path = f"/{(config.cgroup_parent or 'libpod_parent').strip('/')}/libpod-{config.id}"
    return Plan(manager=chosen, path=path, resources=resources(context, config, unified), unified=unified)


def unit_cgroup() -> str:
    """The cgroup that --cgroups=split divides: ours, or the one above if we are in its ``supervisor`` already.

    Raises PypodError for the root of the tree.
    """
    path = cgroups.own().removesuffix("/supervisor").rstrip("/")
    if not path:
        raise PypodError(
            "cannot use --cgroups=split: this process is in the root cgroup",
            hint="it is for units with Delegate=yes",
        )
    return path


def resources(context: Context, config: ContainerConfig, unified: bool) -> dict[str, Any]:
    """linux.resources of the OCI config."""
    result: dict[str, Any] = {}
    memory: dict[str, Any] = {}
    if config.memory:
        memory["limit"] = config.memory
    if config.memory_reservation:
        memory["reservation"] = config.memory_reservation
    if config.memory_swap:
        memory["swap"] = config.memory_swap
    if config.memory_swappiness >= 0:
        if unified:
            raise PypodError("cannot set --memory-swappiness: cgroup v2 has no such setting")
        memory["swappiness"] = config.memory_swappiness
    if config.oom_kill_disable:
        if unified:
            raise PypodError("cannot set --oom-kill-disable: cgroup v2 has no such setting")
        memory["disableOOMKiller"] = True
    if memory:
        result["memory"] = memory
    cpu: dict[str, Any] = {}
    for key, value in (
        ("shares", config.cpu_shares),
        ("quota", config.cpu_quota),
        ("period", config.cpu_period),
        ("cpus", config.cpuset_cpus),
        ("mems", config.cpuset_mems),
    ):
        if value:
            cpu[key] = value
    if cpu:
        result["cpu"] = cpu
    pids = config.pids_limit or int(context.containers.get("pids_limit") or DEFAULT_PIDS)
    if pids > 0:
        result["pids"] = {"limit": pids}
    if config.blkio_weight:
        result["blockIO"] = {"weight": config.blkio_weight}
    if of_devices(config):
        from pypod.engine import device_limits

        more = device_limits.block_io(device_limits.of(config), unified)
        result["blockIO"] = {**result.get("blockIO", {}), **more}
    if config.cgroup_conf:
        if not unified:
            raise PypodError("cannot set --cgroup-conf: it needs cgroup v2")
        result["unified"] = dict(config.cgroup_conf)
    rules = _device_rules(context, config)
    if rules:
        result["devices"] = rules
    return result


def _device_rules(context: Context, config: ContainerConfig) -> list[dict[str, Any]]:
    """The device cgroup: only a root's containers can have one."""
    if context.rootless:
        return []
    if config.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    if config.devices:
        from pypod.engine import devices

        for entry in config.devices:
            rules += [
                {
                    "allow": True,
                    "type": item.kind,
                    "major": item.major,
                    "minor": item.minor,
                    "access": item.permissions,
                }
                for item in devices.expand(entry)
            ]
    rules += [device_rule(text) for text in config.device_cgroup_rules]
    return rules


def device_rule(text: str) -> dict[str, Any]:
    """--device-cgroup-rule "TYPE MAJOR:MINOR ACCESS", * for any number. Raises UsageError."""
    words = text.split()
    major, colon, minor = words[1].partition(":") if len(words) == 3 else ("", "", "")
    if (
        not colon
        or words[0] not in ("a", "b", "c")
        or not all(word == "*" or word.isdecimal() for word in (major, minor))
        or not set(words[2]) <= set("rwm")
    ):
        raise UsageError(f"invalid device cgroup rule {text!r}: must be like c 1:3 rwm")
    rule: dict[str, Any] = {"allow": True, "type": words[0], "access": words[2]}
    for key, word in (("major", major), ("minor", minor)):
        if word != "*":
            rule[key] = int(word)
    return rule
