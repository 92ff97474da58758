"""Beside a thousand stopped containers: lists beside podman's, and the hot path beside that of an empty store.

    make bench-many
    bench/many.py [--containers 1000] [--rounds 15] [--mode rootless|root|both] [--json] [--strict]

pypod has a store with that many containers and one without, podman one with as many, all of the same busybox image.
They are made once, by `create`, for which podman 4 takes minutes. Then whole processes are measured in pairs, ABAB,
in changing order, with warm caches: lists beside podman's; `run --rm`, `exec` and the like beside pypod's own where
there are no other containers, as what grows must not slow them. Ratios are of medians.

Standard library only; needs podman, runc and busybox-static. The user, the stores and the processes are removed at
the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare import pairs
from measure import Sample, Stopwatch, Tool, box, call, find_runtime, images, install, median, new_tool, users

IMAGE = "localhost/bb:1"
LIST_BAR = 0.40  # ps -a --format json: pypod over podman, both with as many containers
RUN_BAR = 1.10  # run --rm: beside the containers over beside none
# What else is shown beside podman, and beside the empty store; {} is the name of a container in the middle.
LISTS = ("ps -a --format json", "ps -a", "ps", "ps -aq", "ps -a --filter name={}", "inspect {}", "images")
COMMANDS = ("run --rm RUN true", "exec idle true", "start {}", "container exists {}", "inspect {}")


class Row:
    """One comparison, in ms."""

    def __init__(
        self, mode: str, title: str, beside: str, ours: list[Sample], theirs: list[Sample], bar: float
    ) -> None:
        self.mode, self.title, self.beside, self.bar = mode, title, beside, bar
        self.ours, self.theirs = (median(samples, "wall") * 1000 for samples in (ours, theirs))
        self.least, self.their_least = (min(item.wall for item in samples) * 1000 for samples in (ours, theirs))

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    @property
    def held(self) -> bool:
        return not self.bar or self.ratio <= self.bar


def fill(tool: Tool, user: users.User, count: int, archive: Path) -> None:
    """The image, ``count`` containers that were never started, and one that runs."""
    call(tool, user, "import", str(archive), IMAGE)
    began = time.monotonic()
    for number in range(count):
        call(tool, user, "create", "--name", f"c{number}", *tool.run_flags, IMAGE, "true")
    if count:
        print(f"{tool.name}: {count} containers in {time.monotonic() - began:.0f} s", file=sys.stderr)
    if tool.name == "pypod":
        call(tool, user, "run", "-d", "--name", "idle", *tool.run_flags, IMAGE, "sleep", "100000")
        if not count:
            call(tool, user, "create", "--name", "c0", *tool.run_flags, IMAGE, "true")


def compare(mode: str, pypod: str, count: int, rounds: int, base: Path, runtime: str) -> list[Row]:
    """All comparisons as one kind of user."""
    user = users.root() if mode == "root" else (users.create() if box.ROOT else users.myself())
    podman = shutil.which("podman", path=box.PATH)
    if podman is None:
        raise RuntimeError("podman is not installed")
    place = Path(tempfile.mkdtemp(prefix="m", dir=base))
    tools: list[Tool] = []
    try:
        place.chmod(0o755)
        archive = images.busybox(base / "bb.tar")
        for name, program, size in (("pypod", pypod, count), ("pypod", pypod, 0), ("podman", podman, count)):
            # A short path: podman refuses a runroot of more than 50 characters.
            tools.append(new_tool(name, program, place / str(len(tools)), user, runtime))
            fill(tools[-1], user, size, archive)
        many, none, peer = tools
        stopwatch = Stopwatch(user)
        rows = []

        def measure(text: str, other: Tool, beside: str, rounds: int, bar: float) -> None:
            def words(tool: Tool) -> list[str]:
                own = text.format("c0" if tool is none else f"c{count // 2}").split()
                return [more for word in own for more in ([*tool.run_flags, IMAGE] if word == "RUN" else [word])]

            ours, theirs = pairs((many, other), stopwatch, words, rounds)
            rows.append(Row(mode, text.replace("RUN ", "").format("NAME"), beside, ours, theirs, bar))
            print(".", end="", file=sys.stderr, flush=True)

        for text in LISTS:
            measure(text, peer, "podman", rounds, LIST_BAR if text == LISTS[0] else 0.0)
        for text in COMMANDS:
            measure(text, none, "none", rounds * 2, RUN_BAR if text == COMMANDS[0] else 0.0)
        print(file=sys.stderr)
        stopwatch.close()
        return rows
    finally:
        clean(tools, user, mode)
        if user.switch:
            users.remove(user)
        shutil.rmtree(place, ignore_errors=True)


def clean(tools: list[Tool], user: users.User, mode: str) -> None:
    """End what runs; the files go with their directory. podman's containers hold locks of a pool on the machine."""
    for tool in tools:
        try:
            if tool.name == "pypod":
                call(tool, user, "rm", "-f", "-t", "0", "idle")
                continue
            call(tool, user, "rm", "-f", "-a")
            if mode != "root":
                call(tool, user, "system", "migrate")
        except (RuntimeError, subprocess.SubprocessError) as error:
            print(f"clean-up: {error}", file=sys.stderr)


def show(rows: list[Row], count: int) -> None:
    """Print the table."""
    print(f"{'':40}{'beside ' + str(count):>18}{'other':>18}  {'':8}{'ratio':>7}{'bar':>7}")
    for row in rows:
        ours, theirs = f"{row.ours:.1f} ({row.least:.1f})", f"{row.theirs:.1f} ({row.their_least:.1f})"
        bar = f"{row.bar:7.2f}{'  ok' if row.held else '  missed'}" if row.bar else ""
        print(f"{row.mode:9} {row.title:30}{ours:>18}{theirs:>18}  {row.beside:8}{row.ratio:7.3f}{bar}")
    print("ms: median (minimum) of wall times; other: podman with as many containers, or pypod with none")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--pypod", default="", help="a pypod that every user may run; default: a copy of the installed one"
    )
    parser.add_argument("--containers", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--rounds", type=int, default=15, help="pairs per list, half as many as per command")
    parser.add_argument("--mode", choices=("root", "rootless", "both"), default="both")
    parser.add_argument("--runtime", default="", help="the OCI runtime of both (default: one that works here)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bar is missed")
    options = parser.parse_args()
    modes = ["rootless", "root"] if options.mode == "both" else [options.mode]
    if not box.ROOT:
        modes = ["rootless"]
    runtime = options.runtime or find_runtime()
    base = Path(tempfile.mkdtemp(prefix="pypod-many-", dir="/var/tmp"))
    base.chmod(0o755)
    try:
        pypod = options.pypod or str(install.install(base / "app"))
        rows = [
            row for mode in modes for row in compare(mode, pypod, options.containers, options.rounds, base, runtime)
        ]
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if options.json:
        print(json.dumps([{**vars(row), "ratio": row.ratio} for row in rows], indent=2))
    else:
        version = subprocess.run(["podman", "--version"], capture_output=True, text=True, check=False).stdout.strip()
        print(f"{version}, {runtime}, {os.cpu_count()} processors")
        show(rows, options.containers)
    return 1 if options.strict and not all(row.held for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
