"""--device-read-bps and its like: what the kernel then has, and `update`. tests/vm shows that they hold."""

from __future__ import annotations

import os
from pathlib import Path

from support import box, disk
from support.runner import Pypod


def kept(pypod: Pypod, name: str) -> dict[str, str]:
    """What the kernel knows of the device, by the names of cgroup v2's io.max."""
    device = os.stat(disk.block_device()).st_rdev
    at = f"{os.major(device)}:{os.minor(device)} "
    for line in Path(f"/proc/{pypod.pid(name)}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if not names and box.cgroup2():
            lines = Path(f"/sys/fs/cgroup{path}/io.max").read_text().splitlines()
            found = [line.removeprefix(at).split() for line in lines if line.startswith(at)]
            return {key: value for word in found for key, _, value in (one.partition("=") for one in word)}
        if names == "blkio":
            result = {}
            for key, file in (("rbps", "read_bps"), ("wbps", "write_bps"), ("riops", "read_iops")):
                text = Path(f"/sys/fs/cgroup/blkio{path}/blkio.throttle.{file}_device").read_text()
                values = [line.removeprefix(at) for line in text.splitlines() if line.startswith(at)]
                result[key] = values[0] if values else "max"
            return result
    raise AssertionError("no cgroup")


def test_limits_of_a_device(pypod: Pypod, image: str) -> None:
    path = disk.block_device()
    flags = (
        "--device-read-bps",
        f"{path}:1mb",
        "--device-write-bps",
        f"{path}:2mb",
        "--device-read-iops",
        f"{path}:9",
    )
    made = pypod("run", "-d", "--name", "io", *flags, image, "sleep", "100")
    if pypod.rootless and not box.cgroup2():
        assert "not supported and ignored" in made.ok().err
    else:
        made.ok()
        assert kept(pypod, "io") | {"rbps": "1048576", "wbps": "2097152", "riops": "9"} == kept(pypod, "io")
    pypod("update", "--device-read-bps", f"{path}:3mb", "--device-read-iops", f"{path}:0", "io").ok()
    shown = pypod.inspect("io")["HostConfig"]
    assert shown["BlkioDeviceReadBps"] == [{"Path": path, "Rate": 3 << 20}]
    assert shown["BlkioDeviceWriteBps"] == [{"Path": path, "Rate": 2 << 20}]
    assert shown["BlkioDeviceReadIOps"] == [] == shown["BlkioWeightDevice"]
    if pypod.rootless and not box.cgroup2():
        return
    expected = {"rbps": "3145728", "wbps": "2097152", "riops": "max"}
    assert kept(pypod, "io") | expected == kept(pypod, "io")
    # runc remembers those of the start, and sets them with every other limit that changes.
    pypod("update", "--memory", "64m", "io").ok()
    assert kept(pypod, "io") | expected == kept(pypod, "io")
    pypod("restart", "-t", "0", "io").ok()
    assert kept(pypod, "io") | expected == kept(pypod, "io")


def test_limits_of_a_pod(pypod: Pypod, image: str) -> None:
    path = disk.block_device()
    made = pypod("pod", "create", "--name", "io", "--network", "none", "--device-write-bps", f"{path}:1mb").ok()
    shown = pypod("pod", "inspect", "io").ok().json
    assert shown["device_write_bps"] == [{"Path": path, "Rate": 1 << 20}]
    pypod("run", "--rm", "--pod", "io", image, "true").ok()
    # With systemd the pod has a slice: tests/vm looks at that.
    if pypod.rootless or box.cgroup2() or os.path.isdir("/run/systemd/system"):
        assert not pypod.rootless or "ignored" in made.err
        return
    place = Path("/sys/fs/cgroup/blkio" + shown["CgroupPath"])
    assert (place / "blkio.throttle.write_bps_device").read_text().split()[1] == str(1 << 20)
