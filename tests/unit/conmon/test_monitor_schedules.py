"""Random schedules: nothing lost, nothing doubled, no hang, no descriptor left open.

PYPOD_TEST_SCHEDULES=N (``make test-schedules``: 10,000) carries out N; else as many as fit in a few seconds.
PYPOD_TEST_SEED makes them the same as in an earlier run; ``PYTHONPATH=tests python -m support.schedules --seed N``
runs one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import conmon
from support import schedule_plans, schedules

SECONDS = 8.0


@pytest.mark.usefixtures("runtime")  # there is a compiler
def test_schedules(tmp_path: Path, say: Callable[[str], None]) -> None:
    count = int(os.environ.get("PYPOD_TEST_SCHEDULES") or 0)
    seed = int(os.environ.get("PYPOD_TEST_SEED") or time.time_ns() % 1_000_000_000)
    bench = schedules.Bench(tmp_path, conmon.MONITOR)
    began = time.monotonic()
    done = bench.many(seed, count or 10_000, lambda: not count and time.monotonic() - began > SECONDS)
    say(f"monitor: {done} random schedules from seed {seed} on in {time.monotonic() - began:.0f} s")
    assert not bench.faults, "\n".join([f"{len(bench.faults)} of {done} schedules:", *bench.faults])


def test_a_seed_is_a_schedule() -> None:
    assert str(schedule_plans.make(7)) == str(schedule_plans.make(7)) != str(schedule_plans.make(8))
