"""Limits of the OCI config as properties of a systemd unit."""

from __future__ import annotations

from pypod.engine import scope_limits

INFINITY = scope_limits.INFINITY


def test_properties() -> None:
    resources = {
        "memory": {"limit": 100, "swap": 150, "reservation": 50},
        "cpu": {"quota": 20_000, "period": 50_000, "shares": 1024},
        "pids": {"limit": 7},
        "blockIO": {"weight": 1000},
    }
    assert scope_limits.properties(resources) == {
        "MemoryMax": 100,
        "MemorySwapMax": 50,
        "MemoryLow": 50,
        "CPUQuotaPerSecUSec": 400_000,
        "CPUQuotaPeriodUSec": 50_000,
        "CPUWeight": 39,
        "TasksMax": 7,
        "IOWeight": 10_000,
    }


def test_no_limit() -> None:
    resources = {"memory": {"limit": -1, "swap": -1}, "cpu": {"quota": -1}}
    assert set(scope_limits.properties(resources).values()) == {INFINITY}
    assert scope_limits.properties({}) == {"TasksMax": INFINITY}


def test_for_the_runtime_that_needs_it() -> None:
    assert scope_limits.for_runtime("/usr/bin/runc", {"pids": {"limit": 7}, "blockIO": {}}) == {}
    assert scope_limits.for_runtime("/usr/bin/runc", {"blockIO": {"weight": 100}}) == {
        "org.systemd.property.IOWeight": "uint64 910"
    }
    assert scope_limits.for_runtime("/usr/bin/crun", {"pids": {"limit": 7}}) == {
        "org.systemd.property.TasksMax": "uint64 7"
    }


def test_of_a_pod() -> None:
    assert scope_limits.of_pod({"device_write_bps": [{"Path": "/dev/sda", "Rate": 9}]}) == {
        "IOWriteBandwidthMax": [("/dev/sda", 9)]
    }
    assert scope_limits.of_pod({"memory_limit": 9, "cpu_quota": 1000, "cpuset_cpus": "0-2,8"}) == {
        "MemoryMax": 9,
        "CPUQuotaPerSecUSec": 10_000,
        "AllowedCPUs": b"\x07\x01",
    }
