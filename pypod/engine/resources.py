"""--memory, --cpus, --pids-limit, --ulimit and their like, as fields of the configuration."""

from __future__ import annotations

import os

from pypod.engine import sizes
from pypod.errors import UsageError
from pypod.oci import spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.engine.config import Namespace


_QUOTA = 1000  # microseconds: the kernel takes no smaller one
# As device_limits.KINDS has them, which is not loaded where none is given.
DEVICE_FLAGS = ("blkio_weight_device", "device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops")


def size(text: str, flag: str) -> int:
    """Bytes; raises UsageError that names the flag."""
    try:
        return sizes.parse_size(text)
    except ValueError as error:
        raise UsageError(f"invalid value for {flag}: {error}") from None


def _cpuset(text: str, flag: str) -> str:
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        numbers = [first, last] if dash else [first]
        # No kernel has so many, and who makes a mask of them needs a bit for each.
        if not all(number.isdecimal() and number.isascii() and len(number) < 6 for number in numbers) or (
            dash and int(last) < int(first)
        ):
            raise UsageError(f"invalid value {text!r} for --{flag}: must be a list like 0-3,5")
    return text


def _between(options: Mapping[str, Any], flag: str, low: int, high: int, unset: int) -> int:
    value = options.get(flag.replace("-", "_"))
    if value is None or value == unset:
        return unset
    if not low <= value <= high:
        raise UsageError(f"invalid value {value} for --{flag}: must be between {low} and {high}")
    return int(value)


def parse(options: Mapping[str, Any], settings: Mapping[str, Any], spaces: Mapping[str, Namespace]) -> dict[str, Any]:
    """The resource fields. ``spaces`` are the container's ipc, network and uts namespaces. Raises UsageError."""
    memory = size(options["memory"], "memory") if options.get("memory") else 0
    swap_text = options.get("memory_swap") or ""
    swap = -1 if swap_text == "-1" else size(swap_text, "memory-swap") if swap_text else 0
    reservation = (
        size(options["memory_reservation"], "memory-reservation") if options.get("memory_reservation") else 0
    )
    if swap > 0 and memory and swap < memory:
        raise UsageError("Minimum memoryswap limit should be larger than memory limit, see usage")
    if swap > 0 and not memory:
        raise UsageError("You should always set the Memory limit when using Memoryswap limit, see usage")
    if reservation and memory and reservation > memory:
        raise UsageError("Minimum memory limit cannot be less than memory reservation limit, see usage")
    if memory and not swap:
        swap = 2 * memory  # podman-run(1): --memory-swap
    cpus = float(options.get("cpus") or 0)
    if not 0 <= cpus <= 1_000_000:  # nan is neither
        raise UsageError(f"invalid value {options['cpus']} for --cpus: must be positive")
    period, quota = options.get("cpu_period") or 0, options.get("cpu_quota") or 0
    if cpus and (period or quota):
        raise UsageError("--cpu-period, --cpu-quota and --cpus cannot be set together")
    if cpus:
        period, quota = 100_000, int(cpus * 100_000)
        if quota < _QUOTA:
            raise UsageError(f"invalid value {options['cpus']} for --cpus: must be at least {_QUOTA / period}")
    if cpus and len(os.sched_getaffinity(0)) < cpus:
        from pypod.base import report

        report.warning(f"--cpus={options['cpus']} is more than the CPUs of this host")
    pids = options.get("pids_limit")
    return {
        "memory": memory,
        "memory_reservation": reservation,
        "memory_swap": swap,
        "memory_swappiness": _between(options, "memory-swappiness", 0, 100, -1),
        "cpus": cpus,
        "cpu_shares": int(options.get("cpu_shares") or 0),
        "cpu_period": int(period),
        "cpu_quota": int(quota),
        "cpuset_cpus": _cpuset(options.get("cpuset_cpus") or "", "cpuset-cpus"),
        "cpuset_mems": _cpuset(options.get("cpuset_mems") or "", "cpuset-mems"),
        # 0 is podman's older word for no limit.
        "pids_limit": 0 if pids is None else (int(pids) or -1),
        "blkio_weight": _between(options, "blkio-weight", 10, 1000, 0),
        **_devices(options),
        "oom_score_adj": None
        if options.get("oom_score_adj") is None
        else _between(options, "oom-score-adj", -1000, 1000, 1 << 31),
        "oom_kill_disable": bool(options.get("oom_kill_disable")),
        "ulimits": ulimits([*(settings.get("default_ulimits") or ()), *(options.get("ulimit") or ())]),
        "sysctl": _sysctl(options.get("sysctl") or (), settings.get("default_sysctls"), spaces),
        "cgroups": _cgroups(options.get("cgroups") or str(settings.get("cgroups") or "enabled")),
        "cgroup_parent": _inside(options.get("cgroup_parent") or ""),
        "cgroup_conf": _assignments(options.get("cgroup_conf") or (), "cgroup-conf"),
    }


def _inside(parent: str) -> str:
    """A cgroup: directories are made of its path, as root too, so it may not lead out of the cgroups."""
    if ".." in parent.split("/"):
        raise UsageError(f"invalid value {parent} for --cgroup-parent: it leads upwards")
    return parent


def _devices(options: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The limits of single devices, those that were asked for. Raises UsageError."""
    given = [flag for flag in DEVICE_FLAGS if options.get(flag)]
    if not given:
        return {}
    from pypod.engine import device_limits

    return {flag: device_limits.settled({}, device_limits.parse(flag, options[flag])) for flag in given}


def _cgroups(mode: str) -> str:
    if mode not in ("enabled", "disabled", "no-conmon", "split"):
        raise UsageError(f'running container create option: invalid cgroup mode "{mode}": invalid argument')
    if mode == "split":
        from pypod.linux import cgroups

        if cgroups.mode() != cgroups.UNIFIED:
            raise UsageError("cannot use --cgroups=split: it needs cgroup v2")
    return mode


def _assignments(texts: Sequence[str], flag: str) -> dict[str, str]:
    result = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UsageError(f"invalid value {text!r} for --{flag}: must be NAME=VALUE")
        result[key] = value
    return result


def _sysctl(
    texts: Sequence[str], configured: Sequence[str] | None, spaces: Mapping[str, Namespace]
) -> dict[str, str]:
    """The defaults that the container's namespaces allow, and --sysctl. Raises UsageError."""
    result: dict[str, str] = {}
    defaults = spec.DEFAULT_SYSCTLS if configured is None else _assignments(configured, "default_sysctls")
    for name, value in defaults.items():
        kind = spec.sysctl_namespace(name)
        if kind and spaces[kind].mode not in ("host", "container", "ns"):
            result[name] = value
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageError(f"{text} is invalid, sysctl values must be in the form of KEY=VALUE")
        kind = spec.sysctl_namespace(name)
        if not kind:
            raise UsageError(f"sysctl '{name}' is not allowed: it does not belong to a namespace of the container")
        if spaces[kind].mode == "host":
            raise UsageError(
                f"sysctl {name}={value} can't be set since {kind} namespace is set to host: invalid argument"
            )
        result[name] = value
    return result


def ulimits(texts: Sequence[str]) -> list[str]:
    """--ulimit NAME=SOFT[:HARD], checked; a later one of the same name wins. Raises UsageError."""
    result: dict[str, str] = {}
    for text in texts:
        if text == "host":
            result["host"] = text
            continue
        name, _, values = text.partition("=")
        parse_ulimit(text)
        result[name.lower()] = f"{name.lower()}={values}"
    return list(result.values())


def parse_ulimit(text: str) -> tuple[str, int, int]:
    """(name, soft, hard); -1 and unlimited are no limit. Raises UsageError."""
    from pypod.linux import rlimits

    name, separator, values = text.partition("=")
    name = name.lower().removeprefix("rlimit_")
    soft_text, colon, hard_text = values.partition(":")
    if not separator or name not in rlimits.NUMBERS:
        raise UsageError(
            f'ulimit option "{text}" requires name=SOFT:HARD, failed to be parsed: invalid ulimit type: {name}'
        )
    numbers = []
    for word in (soft_text, hard_text if colon else soft_text):
        if word in ("-1", "unlimited"):
            numbers.append(rlimits.INFINITY)
        elif word.isdecimal():
            numbers.append(int(word))
        else:
            raise UsageError(
                f'ulimit option "{text}" requires name=SOFT:HARD, failed to be parsed: invalid number {word!r}'
            )
    if numbers[0] > numbers[1]:
        raise UsageError(
            f'ulimit option "{text}" requires name=SOFT:HARD, failed to be parsed: ulimit soft limit must be less'
            " than or equal to hard limit"
        )
    return name, numbers[0], numbers[1]
