"""Limits of single block devices: --device-read-bps and its like, --blkio-weight-device (cgroups(7)).

Kept by the paths that were typed: which number a device has may change with a boot.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.base.record import record
from pypod.engine import sizes
from pypod.errors import PypodError, UsageError, reason
from pypod.linux import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.engine.config import ContainerConfig

NO_LIMIT = (1 << 64) - 1  # what the kernel and systemd take for "max"
_MOST = (1 << 63) - 1


@record
class Kind:
    """One flag: how its values are called elsewhere."""

    oci: str  # in linux.resources.blockIO
    inspect: str  # in HostConfig
    property: str  # of a systemd unit
    unified: str  # the key in io.max; "": io.weight
    v1: str  # the file of the controller blkio


KINDS = {
    "blkio_weight_device": Kind(
        oci="weightDevice", inspect="BlkioWeightDevice", property="IODeviceWeight", unified="", v1="weight_device"
    ),
    "device_read_bps": Kind(
        oci="throttleReadBpsDevice",
        inspect="BlkioDeviceReadBps",
        property="IOReadBandwidthMax",
        unified="rbps",
        v1="throttle.read_bps_device",
    ),
    "device_write_bps": Kind(
        oci="throttleWriteBpsDevice",
        inspect="BlkioDeviceWriteBps",
        property="IOWriteBandwidthMax",
        unified="wbps",
        v1="throttle.write_bps_device",
    ),
    "device_read_iops": Kind(
        oci="throttleReadIOPSDevice",
        inspect="BlkioDeviceReadIOps",
        property="IOReadIOPSMax",
        unified="riops",
        v1="throttle.read_iops_device",
    ),
    "device_write_iops": Kind(
        oci="throttleWriteIOPSDevice",
        inspect="BlkioDeviceWriteIOps",
        property="IOWriteIOPSMax",
        unified="wiops",
        v1="throttle.write_iops_device",
    ),
}


def parse(flag: str, texts: Sequence[str]) -> dict[str, int]:
    """DEVICE:VALUE of a flag of ``KINDS``; of two for one device the later counts. A rate of 0 is no limit.

    Raises UsageError.
    """
    found = {}
    shown = "--" + flag.replace("_", "-")
    for text in texts:
        path, colon, value = text.partition(":")
        bad = f"invalid value {text!r} for {shown}: "
        if not colon or not path.startswith("/dev/"):
            raise UsageError(f"{bad}must be DEVICE:{'WEIGHT' if flag == 'blkio_weight_device' else 'RATE'}, /dev/…:…")
        try:
            found[path] = _value(flag, value)
        except ValueError as error:
            raise UsageError(bad + str(error)) from None
        try:
            _look(path)
        except OSError as error:
            raise UsageError(bad + reason(error)) from None
        except _Unfit as error:
            raise UsageError(bad + error.text, hint=error.hint) from None
    return found


def _value(flag: str, text: str) -> int:
    if flag.endswith("_bps"):
        try:
            number = sizes.parse_size(text)
        except ValueError:
            number = -1
    else:
        number = int(text) if text.isascii() and text.isdecimal() else -1
    if flag == "blkio_weight_device":
        if not 10 <= number <= 1000:
            raise ValueError("the weight must be between 10 and 1000")
    elif not 0 <= number <= _MOST:
        unit = "bytes, with the unit kb, mb or gb" if flag.endswith("_bps") else "operations, without a unit"
        raise ValueError(f"the rate must be a number of {unit}, per second")
    return number


class _Unfit(Exception):
    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.text, self.hint = text, hint


def _look(path: str) -> tuple[int, int]:
    """The number of a whole block device, the only kind that the kernel limits. Raises OSError, _Unfit."""
    found = os.stat(path)
    if found.st_mode & 0o170000 != 0o060000:
        raise _Unfit("not a block device")
    number = os.major(found.st_rdev), os.minor(found.st_rdev)
    place = os.path.realpath("/sys/dev/block/{}:{}".format(*number))
    if os.path.exists(place + "/partition"):
        raise _Unfit("a partition has no limits of its own", "/dev/" + os.path.basename(os.path.dirname(place)))
    return number


def number(path: str) -> tuple[int, int]:
    """The number of a device that was given before. Raises PypodError if it is not there any more."""
    try:
        return _look(path)
    except OSError as error:
        raise PypodError(f"cannot limit device {path}: {reason(error)}") from None
    except _Unfit as error:
        raise PypodError(f"cannot limit device {path}: {error.text}", hint=error.hint) from None


def of(config: ContainerConfig) -> dict[str, dict[str, int]]:
    """The limits of a container, by flag; those that are set."""
    return {flag: values for flag in KINDS if (values := getattr(config, flag))}


def settled(before: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """What there is to remember: other devices keep their limits, and 0 takes one away."""
    return {path: value for path, value in {**before, **more}.items() if value}


def _check_scheduler(path: str) -> None:
    """Raise PypodError if the kernel would refuse a weight: only bfq and the cost model of cgroup v2 know them."""
    at = "{}:{}".format(*number(path))
    try:
        chosen = _scheduler(at)
        models = files.read(cgroups.ROOT + "/io.cost.qos").decode()
    except OSError:
        return  # then the kernel says it
    if chosen != "bfq" and f"{at} enable=1" not in models:
        name = os.path.basename(os.path.realpath(f"/sys/dev/block/{at}"))
        raise PypodError(
            f"cannot set --blkio-weight-device for {path}: its I/O scheduler {chosen} knows no weights",
            hint=f"as root: modprobe bfq; echo bfq >/sys/block/{name}/queue/scheduler",
        )


def _scheduler(at: str) -> str:
    """The I/O scheduler of the block device with this number. Raises OSError."""
    text = files.read(f"/sys/dev/block/{at}/queue/scheduler").decode()
    return text.partition("[")[2].partition("]")[0] or "none"


def block_io(wanted: Mapping[str, Mapping[str, int]], unified: bool) -> dict[str, Any]:
    """A part of linux.resources.blockIO. Raises PypodError."""
    if unified:
        for path in wanted.get("blkio_weight_device", ()):
            _check_scheduler(path)
    result: dict[str, Any] = {}
    for flag, values in wanted.items():
        word = "weight" if flag == "blkio_weight_device" else "rate"
        entries = []
        for path, value in values.items():
            major, minor = number(path)
            # 0 takes a limit away in cgroup v1; in v2 the runtimes pass it on, and the kernel refuses it.
            entries.append({"major": major, "minor": minor, word: value or (NO_LIMIT if unified else 0)})
        if entries:
            result[KINDS[flag].oci] = entries
    return result


def lines(wanted: Mapping[str, Mapping[str, int]], unified: bool) -> list[tuple[str, str]]:
    """The same as (file of a cgroup, what to write there), each device a line of its own. Raises PypodError."""
    found = []
    for flag, values in wanted.items():
        kind = KINDS[flag]
        for path, value in values.items():
            at = "{}:{}".format(*number(path))
            if not unified:
                found.append((f"blkio.{kind.v1}", f"{at} {value}"))
            elif kind.unified:
                found.append(("io.max", f"{at} {kind.unified}={value or 'max'}"))
            elif os.path.exists(f"/sys/dev/block/{at}/queue/scheduler") and _scheduler(at) == "bfq":
                found.append(("io.bfq.weight", f"{at} {value}"))
            else:
                found.append(("io.weight", f"{at} {cgroups.io_weight(value)}"))
    return found


def snapshot(place: str, unified: bool) -> dict[str, dict[str, str]]:
    """The limits that the kernel has for the cgroup in directory ``place``: file to number of a device to value."""
    names = ["io.max"] if unified else [f"blkio.{kind.v1}" for kind in KINDS.values() if kind.unified]
    found = {}
    for name in names:
        try:
            text = files.read(f"{place}/{name}").decode()
        except OSError:
            continue  # the cgroup has no such controller
        found[name] = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    return found


def restore(place: str, before: Mapping[str, Mapping[str, str]], unified: bool) -> None:
    """Give the cgroup the limits of an earlier ``snapshot``. Raises OSError."""
    none = "rbps=max wbps=max riops=max wiops=max" if unified else "0"
    for name, now in snapshot(place, unified).items():
        known = before.get(name, {})
        for at in {**known, **now}:
            value = known.get(at, none)
            if now.get(at) != value:
                cgroups.write(f"{place}/{name}", f"{at} {value}")


def properties(wanted: Mapping[str, Mapping[str, int]]) -> dict[str, list[tuple[str, int]]]:
    """The same as properties of a systemd unit, where weights go from 1 to 10000."""
    found = {}
    for flag, values in wanted.items():
        if values and flag == "blkio_weight_device":
            found[KINDS[flag].property] = [(path, cgroups.io_weight(value)) for path, value in values.items()]
        elif values:
            found[KINDS[flag].property] = [(path, value or NO_LIMIT) for path, value in values.items()]
    return found


def shown(flag: str, values: Mapping[str, int]) -> list[dict[str, Any]]:
    """As ``inspect`` has it."""
    word = "Weight" if flag == "blkio_weight_device" else "Rate"
    return [{"Path": path, word: value} for path, value in values.items()]


def listed(entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """What ``shown`` was made of."""
    return {str(entry["Path"]): int(entry.get("Rate") or entry.get("Weight") or 0) for entry in entries}
