"""Counters from the files of both kinds of cgroup, and percentages from two of their samples."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pypod.engine import container, stats, stats_cgroup
from pypod.engine.container import State
from pypod.engine.stats import Meter, Sample


def test_v2(tmp_path):
    for name, text in {
        "memory.current": "5000\n",
        "memory.stat": "anon 1\ninactive_file 1000\n",
        "memory.max": "max\n",
        "cpu.stat": "usage_usec 7\nuser_usec 3\n",
        "io.stat": "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2 rios=1\n",
        "pids.current": "3\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert stats_cgroup._unified(str(tmp_path)) == {
        "cpu": 7000,
        "memory": 4000,
        "limit": 0,
        "read": 11,
        "written": 22,
        "pids": 3,
    }
    (tmp_path / "memory.max").write_text("8000\n")
    (tmp_path / "io.stat").unlink()
    found = stats_cgroup._unified(str(tmp_path))
    assert (found["limit"], found["read"], found["written"]) == (8000, 0, 0)


def test_v1(tmp_path):
    for name, text in {
        "memory.usage_in_bytes": "5000\n",
        "memory.stat": "cache 9\ntotal_inactive_file 500\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
        "cpuacct.usage": "123456789\n",
        "pids.current": "2\n",
        "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 8192\n8:0 Total 12288\nTotal 12288\n",
    }.items():
        (tmp_path / name).write_text(text)
    found = stats_cgroup._legacy(dict.fromkeys(("memory", "cpuacct", "pids", "blkio"), str(tmp_path)))
    assert found == {"cpu": 123456789, "memory": 4500, "limit": 0, "read": 4096, "written": 8192, "pids": 2}


def test_percentages(monkeypatch):
    """First since the start, then since the last round; and one that was started again begins anew."""
    second = 1_000_000_000
    subject: Any = SimpleNamespace(id="x", name="n")
    state = State(status="running", pid=1, started_at=100 * second)
    now = Sample()
    monkeypatch.setattr(container, "observe", lambda _: state)
    monkeypatch.setattr(stats, "sample", lambda *_: now)
    meter = Meter()
    now = Sample(when=110 * second, cpu=second, memory=50, limit=200)
    first = meter.measure(subject)
    assert (first.cpu, first.average, first.memory) == (10.0, 10.0, 25.0)
    now = Sample(when=112 * second, cpu=3 * second, memory=50, limit=200)
    later = meter.measure(subject)
    assert later.cpu == 100.0 and later.average == pytest.approx(25.0)
    state = State(status="running", pid=2, started_at=113 * second)
    now = Sample(when=114 * second, cpu=second // 2, memory=0, limit=200)
    assert meter.measure(subject).cpu == 50.0
    now = Sample()
    assert meter.measure(subject).average == 0.0
