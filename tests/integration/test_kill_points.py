"""kill -9 at every system call that changes a file system, during load, commit, run, rm, rmi and changes of a
list of images.

After each kill the store is as before the command or as after it, and nothing that a user sees is broken; the same
command again succeeds, or says that it is done; then nothing is left that a repair does not remove.

PYPOD_TEST_KILL=all (``make test-kill``) visits every point; else as many as fit in a few seconds for each command, in
an order that is another one each time. The number of points is printed.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import box, images, killpoints, users
from support.killpoints import Bench, Tally

ALL = os.environ.get("PYPOD_TEST_KILL") == "all"
PODMAN = 15  # of so many states one is shown to podman, instead of repeating the command
SECONDS = 5.0  # for each command and kind of user, where not all points are visited


@dataclass(frozen=True)
class Case:
    """A command, the state of the store that it begins with, and the exit codes that a repeat may have beside 0."""

    args: tuple[str, ...]
    template: str
    again: tuple[int, ...] = ()
    undo: tuple[tuple[str, ...], ...] = ()  # what it makes is removed before the end is looked at
    ids: bool = True  # the image that it makes has the same id each time


_RM = ("rm", "-f", "-a", "-t", "0")
CASES = {
    "load": Case(("load", "-q", "-i", "ARCHIVE"), "plain"),
    "commit": Case(
        ("commit", "-q", "kept", "localhost/c:1"),
        "container",
        undo=(("rmi", "localhost/c:1"), ("image", "prune", "-f")),
        ids=False,
    ),
    "run": Case(("run", "--network", "none", "--name", "k", "localhost/t:1", "true"), "plain", (125,), (_RM,)),
    "run --rm": Case(
        ("run", "--rm", "--network", "none", "--name", "k", "localhost/t:1", "true"), "plain", (125,), (_RM,)
    ),
    "rm": Case(("rm", "kept"), "container", (1,)),
    "rmi": Case(("rmi", "localhost/b:1"), "loaded", (1,)),
    "manifest create": Case(
        ("manifest", "create", "l", "localhost/t:1"), "plain", (125,), (("manifest", "rm", "l"),), ids=False
    ),
    "manifest add": Case(("manifest", "add", "l", "localhost/t:1"), "listed"),
}


@pytest.fixture(scope="module")
def bench(mode: str, who: users.User, base: Path, program: Path) -> Iterator[Bench]:
    made = killpoints.bench(base, f"k-{mode}", program, who, mode)
    pypod, place = made.pypod, made.place
    busybox = Path(box.need("busybox", "busybox-static")).read_bytes()
    root = images.tar_of(
        ("bin/", b"", 0o755), ("bin/true", busybox, 0o755), ("etc/", b"", 0o755), ("etc/f", b"f", 0o644)
    )
    (place / "t.tar").write_bytes(root)
    top = images.tar_of(("etc/", b"", 0o755), ("etc/f", b"new", 0o600), ("etc/.wh.g", b"", 0o600))
    other = images.tar_of(("etc/", b"", 0o755), ("etc/g", b"g" * 5000, 0o644))
    images.docker_archive(place / "b.tar", [root, other, top], "localhost/b:1")
    try:
        pypod("import", place / "t.tar", "localhost/t:1").ok()
        pypod("run", "--rm", "--network", "none", "localhost/t:1", "true").ok()  # what the first run makes once
        made.repair().ok()
        made.keep("plain")
        pypod("run", "--network", "none", "--name", "kept", "localhost/t:1", "true").ok()
        made.keep("container")
        made.restore("plain")
        pypod("load", "-i", place / "b.tar").ok()
        made.keep("loaded")
        made.restore("plain")
        pypod("manifest", "create", "l").ok()
        made.keep("listed")
        yield made
    finally:
        made.end()
        shutil.rmtree(place, ignore_errors=True)


def _visit(
    bench: Bench, case: Case, args: tuple[str, ...], number: int, tally: Tally, ends: dict[str, object]
) -> None:
    """One kill, and all that must be true after it."""
    bench.restore(case.template)
    bench.killed(number, *args)
    if len(bench.last) < number:
        return  # it was done before it came to that call
    tally.visited += 1
    what = f"killed at {bench.last[number - 1]}: "
    seen, damage = bench.visible(ids=case.ids), bench.damage()
    if seen == ends["before"]:
        tally.before += 1
    elif seen == ends["after"] or seen == ends.get("made"):
        tally.after += 1
    else:
        tally.faults.append(f"{what}neither before nor after: {seen}")
    tally.faults += [f"{what}{line}" for line in damage]
    if bench.leftovers():
        tally.left += 1
    if tally.visited % PODMAN == 3 and not bench.pypod.rootless:
        tally.podman += 1
        tally.faults += [f"{what}{line}" for line in bench.podman_complains()]
        bench.end()
        return
    again = bench.pypod(*args)
    if again.code not in (0, *case.again) or "Traceback" in again.err:
        tally.faults.append(f"{what}again: {again.code} {again.err.strip()}")
    if bench.visible(ids=case.ids) not in (ends["after"], ends.get("made")):
        tally.faults.append(f"{what}after the repeat: {bench.visible()}")
    for undo in case.undo:
        removed = bench.pypod(*undo)
        if removed.code:
            tally.faults.append(f"{what}{undo}: {removed.err.strip()}")
    if _RM in case.undo:
        bench.end()
    tally.faults += [f"{what}after the repeat: {line}" for line in bench.damage()]
    if bench.leftovers():
        repaired = bench.repair()
        if repaired.code:
            tally.faults.append(f"{what}repair: {repaired.code} {repaired.out} {repaired.err}")
        tally.faults += [f"{what}after the repair: {line}" for line in (*bench.damage(), *bench.leftovers(5))]
    shape, expected = bench.shape(), ends["shape"]
    if shape != expected:
        assert isinstance(expected, type(shape))
        tally.faults.append(f"{what}more: {dict(shape - expected)} less: {dict(expected - shape)}")


@pytest.mark.parametrize("command", list(CASES))
def test_kill_at_every_call(bench: Bench, command: str, say: Callable[[str], None]) -> None:
    case = CASES[command]
    args = tuple(str(bench.place / "b.tar") if arg == "ARCHIVE" else arg for arg in case.args)
    tally = Tally()
    bench.restore(case.template)
    ends: dict[str, object] = {"before": bench.visible(ids=case.ids)}
    assert bench.killed(0, *args) == 0
    tally.points = len(bench.last)
    ends["after"] = bench.visible(ids=case.ids)
    if _RM in case.undo:
        bench.pypod("create", "--network", "none", "--name", "k", "localhost/t:1", "true")
        ends["made"] = bench.visible()
    for undo in case.undo:
        bench.pypod(*undo).ok()
    assert bench.damage() == []
    bench.repair().ok()
    ends["shape"] = bench.shape()
    seed = int(os.environ.get("PYPOD_TEST_SEED") or time.time_ns() % 1_000_000)
    order = list(range(1, tally.points + 1))
    if not ALL:
        random.Random(seed).shuffle(order)
    began = time.monotonic()
    for number in order:
        _visit(bench, case, args, number, tally, ends)
        if not ALL and time.monotonic() - began > SECONDS:
            break
    say(
        f"kill points of {command} ({bench.pypod.mode}): {tally.points}, visited {tally.visited} (seed {seed}): "
        f"{tally.before} before, {tally.after} after, {tally.left} left rubbish, {tally.podman} shown to podman, "
        f"{len(tally.faults)} faults"
    )
    assert not tally.faults, "\n".join(tally.faults[:40])
