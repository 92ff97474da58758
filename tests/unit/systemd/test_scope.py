"""The D-Bus call that asks systemd for a scope, against a manager of our own that speaks the wire format."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pypod.systemd import bus, scope
from support.dbus import opened, packet, refusal


def test_message() -> None:
    data = scope.message("pypod-1.scope", [7, 8], "user.slice", "what it is")
    unit, mode, values, others = opened(data, "StartTransientUnit", "ssa(sv)a(sa(sv))")
    assert (unit, mode, others) == ("pypod-1.scope", "fail", [])
    assert dict(values) == {
        "Description": ("s", "what it is"),
        "Slice": ("s", "user.slice"),
        "PIDs": ("au", [7, 8]),
        "Delegate": ("b", True),
        "CollectMode": ("s", "inactive-or-failed"),
    }


def test_limits_of_a_unit() -> None:
    disks = [("/dev/sda", 1), ("/dev/nvme0n1", 1 << 40)]
    wanted = {"MemoryMax": 64 << 20, "TasksMax": (1 << 64) - 1, "AllowedCPUs": b"\5", "IOReadBandwidthMax": disks}
    unit, runtime, values = opened(scope.properties_message("a.scope", wanted), "SetUnitProperties", "sba(sv)")
    assert (unit, runtime) == ("a.scope", True)
    assert {name: value for name, (_, value) in values} == wanted
    assert [kind for _, (kind, _) in values] == ["t", "t", "ay", "a(st)"]


def test_an_error_of_the_manager(manager: tuple[str, list[bytes]]) -> None:
    path, answers = manager
    answers += [b"OK 123\r\n", packet(4, b"12345678") + refusal("no such slice")]
    with pytest.raises(bus.BusError, match="no such slice"):
        scope.start(path, 0, "x.scope", [os.getpid()], slice="x.slice")


def test_refused_and_gone(manager: tuple[str, list[bytes]], tmp_path: Path) -> None:
    path, answers = manager
    answers.append(b"REJECTED\r\n")
    with pytest.raises(bus.BusError, match="refused"):
        scope.start(path, 0, "x.scope", [os.getpid()], slice="x.slice")
    with pytest.raises(bus.BusError, match="cannot talk to systemd"):
        scope.start(str(tmp_path / "none"), 0, "x.scope", [os.getpid()], slice="x.slice")


def test_waits_until_the_processes_are_there(
    manager: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, answers = manager
    answers += [b"OK 123\r\n", packet(2)]
    monkeypatch.setattr(scope, "PATIENCE", 0.05)
    with pytest.raises(bus.BusError, match="did not move"):
        scope.start(path, 0, "nonexistent-unit.scope", [os.getpid()], slice="x.slice")
