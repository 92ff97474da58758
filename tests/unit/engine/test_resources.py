"""Limits: from flags to the fields of the configuration, and on to the OCI config."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.engine import limits, resources
from pypod.engine.config import ContainerConfig, Namespace
from pypod.errors import PypodError, UsageError
from pypod.linux import cgroups, rlimits

PRIVATE = {kind: Namespace(mode="private") for kind in ("ipc", "network", "uts")}
ROOT: Any = SimpleNamespace(rootless=False, containers={}, engine={}, flags={})


def parse(**options: Any) -> dict[str, Any]:
    return resources.parse(options, {}, PRIVATE)


def oci(unified: bool = True, **options: Any) -> dict[str, Any]:
    config = ContainerConfig(id="x" * 64, name="n", created="now", **parse(**options))
    return limits.resources(ROOT, config, unified)


def test_nothing_asked_for() -> None:
    assert oci() == {"pids": {"limit": 2048}, "devices": [{"allow": False, "access": "rwm"}]}
    config = ContainerConfig(id="x", name="n", created="now", **parse())
    assert not limits.given(config)


def test_memory() -> None:
    assert oci(memory="64m")["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    assert oci(memory="64m", memory_swap="-1")["memory"] == {"limit": 64 << 20, "swap": -1}
    assert oci(memory="64m", memory_reservation="32m")["memory"]["reservation"] == 32 << 20


def test_cpu_and_pids() -> None:
    found = oci(cpus=1.5, cpu_shares=512, cpuset_cpus="0-1,3", pids_limit=-1)
    assert found["cpu"] == {"shares": 512, "quota": 150_000, "period": 100_000, "cpus": "0-1,3"}
    assert "pids" not in found
    assert "pids" not in oci(pids_limit=0)
    assert oci(pids_limit=7)["pids"] == {"limit": 7}


def test_what_only_one_cgroup_version_has() -> None:
    assert oci(False, memory_swappiness=10)["memory"] == {"swappiness": 10}
    with pytest.raises(PypodError):
        oci(True, memory_swappiness=10)
    assert oci(True, cgroup_conf=["memory.high=1"])["unified"] == {"memory.high": "1"}
    with pytest.raises(PypodError):
        oci(False, cgroup_conf=["memory.high=1"])


@pytest.mark.parametrize(
    "options",
    [
        {"memory": "x"},
        {"memory": "64m", "memory_swap": "32m"},
        {"memory_swap": "32m"},
        {"memory": "32m", "memory_reservation": "64m"},
        {"cpus": -1.0},
        {"cpus": float("nan")},
        {"cpus": 0.009},
        {"cpus": 0.000001},
        {"cgroup_parent": "../../tmp"},
        {"cgroup_parent": "/a/.."},
        {"cpus": 1.0, "cpu_quota": 1000},
        {"cpuset_cpus": "x"},
        {"cpuset_mems": "3-1"},
        {"cpuset_cpus": "0-99999999999"},
        {"cpuset_cpus": "9" * 5000},
        {"cpuset_cpus": "٣"},
        {"memory_swappiness": 101},
        {"oom_score_adj": 1001},
        {"blkio_weight": 5},
        {"cgroups": "x"},
        {"cgroup_conf": ["x"]},
        {"sysctl": ["x"]},
        {"sysctl": ["vm.swappiness=1"]},
        {"ulimit": ["x=1"]},
        {"ulimit": ["nofile"]},
        {"ulimit": ["nofile=2:1"]},
        {"ulimit": ["nofile=x"]},
    ],
)
def test_nonsense(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        parse(**options)


def test_the_least() -> None:
    assert parse(cpus=0.01)["cpu_quota"] == 1000
    assert parse(cgroup_parent="/a..b/c")["cgroup_parent"] == "/a..b/c"


def test_split_needs_cgroup_v2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "mode", lambda: cgroups.HYBRID)
    with pytest.raises(UsageError, match="cgroup v2"):
        parse(cgroups="split")
    monkeypatch.setattr(cgroups, "mode", lambda: cgroups.UNIFIED)
    assert parse(cgroups="split")["cgroups"] == "split"


def test_ulimits() -> None:
    assert parse(ulimit=["nofile=1:2", "NOFILE=3", "core=unlimited"])["ulimits"] == ["nofile=3", "core=unlimited"]
    assert resources.parse_ulimit("core=-1") == ("core", rlimits.INFINITY, rlimits.INFINITY)
    assert resources.parse_ulimit("nofile=1:2") == ("nofile", 1, 2)


@given(st.text(max_size=20))
def test_ulimit_never_breaks(text: str) -> None:
    try:
        resources.ulimits([text])
    except UsageError:
        pass


def test_sysctls_belong_to_a_namespace() -> None:
    assert parse()["sysctl"] == {"net.ipv4.ping_group_range": "0 0"}
    assert parse(sysctl=["net.ipv4.ip_forward=1", "kernel.msgmax=9"])["sysctl"]["kernel.msgmax"] == "9"
    shared = {**PRIVATE, "network": Namespace(mode="host")}
    assert resources.parse({}, {}, shared)["sysctl"] == {}
    with pytest.raises(UsageError, match="network namespace is set to host"):
        resources.parse({"sysctl": ["net.ipv4.ip_forward=1"]}, {}, shared)


def test_device_rules() -> None:
    assert limits.device_rule("c 1:3 rwm") == {"allow": True, "type": "c", "access": "rwm", "major": 1, "minor": 3}
    assert limits.device_rule("b 8:* r") == {"allow": True, "type": "b", "access": "r", "major": 8}
    for bad in ("", "c", "c 1 r", "x 1:3 r", "c 1:3 z", "c a:b r"):
        with pytest.raises(UsageError):
            limits.device_rule(bad)


def test_managers(monkeypatch: pytest.MonkeyPatch) -> None:
    rootless: Any = SimpleNamespace(rootless=True, runtime_dir="/nonexistent", flags={}, engine={}, containers={})
    assert limits.manager(rootless, "hybrid") == "disabled"
    assert limits.manager(rootless, "none") == "disabled"
    wrong: Any = SimpleNamespace(rootless=False, flags={"cgroup_manager": "x"}, engine={}, containers={})
    with pytest.raises(UsageError):
        limits.manager(wrong, "v2")
    plain: Any = SimpleNamespace(rootless=False, flags={"cgroup_manager": "cgroupfs"}, engine={}, containers={})
    assert limits.manager(plain, "v2") == "cgroupfs"
