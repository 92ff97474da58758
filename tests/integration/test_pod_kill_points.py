"""kill -9 at the system calls of `pod create` and `pod rm` that change a file system, as test_kill_points.py does.

After each kill the pod is there with all that it has, or can be removed, or is not there; the same command again
succeeds, or says that it is done; and nothing is left that `system check --repair` does not remove.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import killpoints, users
from support.killpoints import Bench

ALL = os.environ.get("PYPOD_TEST_KILL") == "all"
SECONDS = 1.0  # for each command and kind of user, where not all points are visited
CREATE = ("pod", "create", "--name", "k", "--infra-name", "i", "--network", "none")
REMOVE = ("pod", "rm", "k")


@pytest.fixture(scope="module")
def bench(mode: str, who: users.User, base: Path, program: Path) -> Iterator[Bench]:
    made = killpoints.bench(base, f"pk-{mode}", program, who, mode)
    pypod, place = made.pypod, made.place
    try:
        pypod(*CREATE).ok()
        made.keep("pod")
        pypod(*REMOVE).ok()
        made.keep("plain")
        yield made
    finally:
        made.end()
        shutil.rmtree(place, ignore_errors=True)


def visit(bench: Bench, command: tuple[str, ...], number: int) -> str:
    """One kill; what it was killed at."""
    pypod = bench.pypod
    bench.restore("plain" if command == CREATE else "pod")
    bench.killed(number, *command)
    if len(bench.last) < number:
        return ""
    what = f"killed at {bench.last[number - 1]}"
    shown = pypod("pod", "ps", "--format", "{{.Name}} {{.NumberOfContainers}}").ok().lines
    assert shown in ([], ["k 1"], *([["k 0"]] if command == REMOVE else [])), what
    again = pypod(*command)
    done = shown == (["k 1"] if command == CREATE else [])
    assert again.code == (0 if not done else 125 if command == CREATE else 1), f"{what}: {again}"
    if command == CREATE:
        assert pypod("ps", "-a", "--format", "{{.Names}}").ok().lines == ["i"], what
        pypod("pod", "rm", "k").ok()
    bench.repair().ok()
    assert pypod("ps", "-aq").ok().out == "", what
    assert bench.leftovers(5) == [], what
    place = bench.graphroot / "pypod/pods"
    assert [name for name in os.listdir(place) if not name.startswith(".names")] == [], what
    return what


@pytest.mark.parametrize("command", [CREATE, REMOVE], ids=["create", "rm"])
def test_kill_at_every_call(bench: Bench, command: tuple[str, ...], say: Callable[[str], None]) -> None:
    bench.restore("plain" if command == CREATE else "pod")
    assert bench.killed(0, *command) == 0
    order = list(range(1, len(bench.last) + 1))
    seed = int(os.environ.get("PYPOD_TEST_SEED") or time.time_ns() % 1_000_000)
    if not ALL:
        random.Random(seed).shuffle(order)
    began = time.monotonic()
    visited = 0
    for number in order:
        visited += bool(visit(bench, command, number))
        if not ALL and time.monotonic() - began > SECONDS:
            break
    verb = " ".join(command[:2])
    say(f"kill points of {verb} ({bench.pypod.mode}): {len(order)}, visited {visited} (seed {seed})")
