"""Limits of single block devices: from flags to the OCI config, to systemd's properties and to a cgroup's files."""

from __future__ import annotations

import os

import pytest

from pypod.engine import device_limits, inspect_host, limits, resources, update
from pypod.engine.config import ContainerConfig
from pypod.errors import PypodError, UsageError
from support import disk

BPS = "device_read_bps"


def config(**fields: dict[str, int]) -> ContainerConfig:
    return ContainerConfig(id="x", name="n", created="now", **fields)


def test_from_flags_to_all_that_is_made_of_them() -> None:
    path = disk.block_device()
    found = resources.parse(
        {BPS: [f"{path}:1kb", f"{path}:1mb"], "device_write_iops": [f"{path}:7"]}, {"default_sysctls": []}, {}
    )
    assert (
        found[BPS] == {path: 1 << 20} and found["device_write_iops"] == {path: 7} and "device_read_iops" not in found
    )
    made = config(**{flag: found[flag] for flag in (BPS, "device_write_iops")})
    assert limits.given(made) and not limits.given(config())
    device = os.stat(path).st_rdev
    number = {"major": os.major(device), "minor": os.minor(device)}
    wanted = device_limits.of(made)
    assert device_limits.block_io(wanted, True) == {
        "throttleReadBpsDevice": [{**number, "rate": 1 << 20}],
        "throttleWriteIOPSDevice": [{**number, "rate": 7}],
    }
    assert device_limits.properties(wanted) == {
        "IOReadBandwidthMax": [(path, 1 << 20)],
        "IOWriteIOPSMax": [(path, 7)],
    }
    at = "{major}:{minor}".format(**number)
    assert device_limits.lines(wanted, True) == [("io.max", f"{at} rbps=1048576"), ("io.max", f"{at} wiops=7")]
    assert device_limits.lines(wanted, False) == [
        ("blkio.throttle.read_bps_device", f"{at} 1048576"),
        ("blkio.throttle.write_iops_device", f"{at} 7"),
    ]


def test_zero_is_no_limit() -> None:
    path = disk.block_device()
    assert resources.parse({BPS: [f"{path}:0"]}, {"default_sysctls": []}, {})[BPS] == {}
    before = config(device_read_bps={path: 5, "/dev/gone": 6})
    changed = update.limits_of(before, {BPS: [f"{path}:0"], "pids_limit": 9})
    assert changed == {BPS: {path: 0}, "pids_limit": 9}
    assert update.settled(before, changed) == {BPS: {"/dev/gone": 6}, "pids_limit": 9}
    (entry,) = device_limits.block_io({BPS: {path: 0}}, True)["throttleReadBpsDevice"]
    assert entry["rate"] == device_limits.NO_LIMIT
    assert device_limits.block_io({BPS: {path: 0}}, False)["throttleReadBpsDevice"][0]["rate"] == 0
    assert device_limits.lines({BPS: {path: 0}}, True)[0][1].endswith(" rbps=max")


@pytest.mark.parametrize(
    ("flag", "text", "said"),
    [
        (BPS, "sda:1", "must be DEVICE:RATE"),
        (BPS, "/dev/null", "must be DEVICE:RATE"),
        (BPS, "/dev/null:1", "not a block device"),
        (BPS, "/dev/nosuch:1", "No such file"),
        (BPS, "/dev/null:x", "with the unit kb, mb or gb"),
        (BPS, "/dev/null:-1", "with the unit kb, mb or gb"),
        (BPS, "/dev/null:9223372036854775808", "with the unit kb, mb or gb"),
        ("device_write_iops", "/dev/null:1k", "without a unit"),
        ("blkio_weight_device", "/dev/null", "must be DEVICE:WEIGHT"),
        ("blkio_weight_device", "/dev/null:9", "between 10 and 1000"),
        ("blkio_weight_device", "/dev/null:0", "between 10 and 1000"),
    ],
)
def test_nonsense(flag: str, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        resources.parse({flag: [text]}, {"default_sysctls": []}, {})
    assert str(caught.value).startswith(f"invalid value {text!r} for --{flag.replace('_', '-')}: ")


def test_a_device_that_has_gone_since() -> None:
    with pytest.raises(PypodError, match="cannot limit device /dev/nosuch: No such file"):
        device_limits.block_io({BPS: {"/dev/nosuch": 1}}, True)


def test_as_inspect_has_it() -> None:
    keys = [kind.inspect for kind in device_limits.KINDS.values()]
    none = inspect_host._resources(config())
    assert [none[key] for key in keys] == [None] * 5
    some = inspect_host._resources(config(blkio_weight_device={"/dev/sda": 20}, device_write_bps={"/dev/sda": 30}))
    assert some["BlkioWeightDevice"] == [{"Path": "/dev/sda", "Weight": 20}]
    assert some["BlkioDeviceWriteBps"] == [{"Path": "/dev/sda", "Rate": 30}] and some["BlkioDeviceReadBps"] == []
    assert device_limits.listed(some["BlkioWeightDevice"]) == {"/dev/sda": 20}


def test_the_names_of_the_flags_where_this_is_not_loaded() -> None:
    assert tuple(device_limits.KINDS) == resources.DEVICE_FLAGS
    for flag in device_limits.KINDS:
        assert limits.of_devices(config(**{flag: {"/dev/sda": 20}}))
    assert not limits.of_devices(config())
