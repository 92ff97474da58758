"""pypod beside podman, in pairs, on this machine: what matters is the ratio.

    make bench
    bench/compare.py --pypod .venv/bin/pypod [--rounds 25] [--mode rootless|root|both] [--json]

Each round runs both programs once, A B A B, in changing order, so that a noisy neighbour hits both alike. Both use
the same OCI runtime, each its own store with the same busybox image. Wall time is from posix_spawn to wait4; memory
is the peak resident set of the client process alone. The user, the stores and the processes are removed at the end.

Prints medians and minima and the ratio of the medians. Standard library only; needs podman, runc and busybox-static.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import Sample, Stopwatch, Tool, box, call, find_runtime, images, install, median, new_tool, users

IMAGE = "localhost/bb:1"
# The bars of the first release, rootless: ratio of medians, pypod over podman.
BARS = {"run": 0.55, "exec": 0.40, "ps": 0.50, "--version": 0.60}
MEMORY_BAR = 20.0  # MiB, the peak of pypod's client


def pairs(
    tools: tuple[Tool, Tool], measure: Stopwatch, words: Callable[[Tool], list[str]], rounds: int
) -> tuple[list[Sample], list[Sample]]:
    """Samples of both tools, taken in turn; the first two rounds warm up and are thrown away."""
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    for number in range(rounds + 2):
        order = (0, 1) if number % 2 else (1, 0)
        for which in order:
            sample = measure([*tools[which].prefix, *words(tools[which])])
            if number >= 2:
                samples[which].append(sample)
    return samples


def compare(mode: str, pypod: str, rounds: int, base: Path, runtime: str) -> list[dict[str, object]]:
    """All comparisons as one kind of user."""
    user = users.root() if mode == "root" else (users.create() if box.ROOT else users.myself())
    place = Path(tempfile.mkdtemp(prefix="b", dir=base))
    podman = shutil.which("podman", path=box.PATH)
    if podman is None:
        raise RuntimeError("podman is not installed")
    tools = []
    try:
        place.chmod(0o755)
        for name, program in (("pypod", pypod), ("podman", podman)):
            tools.append(new_tool(name, program, place / name, user, runtime))
        pair = (tools[0], tools[1])
        archive = images.busybox(base / "bb.tar")
        for tool in tools:
            call(tool, user, "import", str(archive), IMAGE)
        stopwatch = Stopwatch(user)
        rows = []

        def row(name: str, words: Callable[[Tool], list[str]], rounds: int = rounds) -> None:
            ours, theirs = pairs(pair, stopwatch, words, rounds)
            rows.append(
                {
                    "mode": mode,
                    "command": name,
                    "pypod_ms": round(median(ours, "wall") * 1000, 1),
                    "podman_ms": round(median(theirs, "wall") * 1000, 1),
                    "pypod_min_ms": round(min(item.wall for item in ours) * 1000, 1),
                    "podman_min_ms": round(min(item.wall for item in theirs) * 1000, 1),
                    "ratio": round(median(ours, "wall") / median(theirs, "wall"), 3),
                    "pypod_mib": round(max(item.memory for item in ours), 1),
                    "podman_mib": round(max(item.memory for item in theirs), 1),
                }
            )
            print(".", end="", file=sys.stderr, flush=True)

        row("--version", lambda tool: ["--version"], rounds * 2)
        row("run", lambda tool: ["run", "--rm", *tool.run_flags, IMAGE, "true"])
        for tool in tools:
            call(tool, user, "run", "-d", "--name", "c", *tool.run_flags, IMAGE, "sleep", "10000")
        row("exec", lambda tool: ["exec", "c", "true"])
        for tool in tools:
            call(tool, user, "rm", "-f", "-t", "0", "c")
            for number in range(100):
                call(tool, user, "create", "--name", f"c{number}", *tool.run_flags, IMAGE, "true")
        row("ps", lambda tool: ["ps", "-a"])
        print(file=sys.stderr)
        stopwatch.close()
        return rows
    finally:
        for tool in tools:
            try:
                call(tool, user, "rm", "-f", "-a", "-t", "0")
                if tool.name == "podman" and mode != "root":
                    call(tool, user, "system", "migrate")
            except (RuntimeError, subprocess.SubprocessError) as error:
                print(f"clean-up: {error}", file=sys.stderr)
        if user.switch:
            users.remove(user)
        shutil.rmtree(place, ignore_errors=True)


def show(rows: list[dict[str, object]]) -> bool:
    """Print the table. Whether every rootless bar is held."""
    titles = {"run": "run --rm --network none", "exec": "exec C true", "ps": "ps -a, 100 containers"}
    print(f"{'':34}{'pypod ms':>16}{'podman ms':>16}{'ratio':>8}{'bar':>7}{'MiB':>14}")
    held = True
    for row in rows:
        bar = BARS[str(row["command"])]
        judged = row["mode"] == "rootless"
        good = float(str(row["ratio"])) <= bar and float(str(row["pypod_mib"])) <= MEMORY_BAR
        held = held and (good or not judged)
        title = f"{row['mode']:9} {titles.get(str(row['command']), row['command'])}"
        times = [f"{row[tool + '_ms']} ({row[tool + '_min_ms']})" for tool in ("pypod", "podman")]
        memory = f"{row['pypod_mib']}/{row['podman_mib']}"
        mark = "" if not judged else ("  ok" if good else "  missed")
        print(f"{title:34}{times[0]:>16}{times[1]:>16}{row['ratio']:>8}{bar if judged else '':>7}{memory:>14}{mark}")
    print("median (minimum) of wall times; MiB: peak of the client, pypod/podman")
    return held


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--pypod", default="", help="a pypod that every user may run; default: a copy of the installed one"
    )
    parser.add_argument("--rounds", type=int, default=25, help="pairs per command (default 25)")
    parser.add_argument("--mode", choices=("root", "rootless", "both"), default="both")
    parser.add_argument("--runtime", default="", help="the OCI runtime of both (default: one that works here)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a rootless bar is missed")
    options = parser.parse_args()
    runtime = options.runtime or find_runtime()
    modes = ["rootless", "root"] if options.mode == "both" else [options.mode]
    if not box.ROOT:
        modes = ["rootless"]
    base = Path(tempfile.mkdtemp(prefix="pypod-bench-", dir="/var/tmp"))
    base.chmod(0o755)
    try:
        pypod = options.pypod or str(install.install(base / "app"))
        rows = [row for mode in modes for row in compare(mode, pypod, options.rounds, base, runtime)]
    finally:
        shutil.rmtree(base, ignore_errors=True)
    version = subprocess.run(["podman", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if options.json:
        print(json.dumps({"podman": version, "runtime": runtime, "rows": rows}, indent=2))
        held = True
    else:
        who = pwd.getpwuid(os.getuid()).pw_name
        print(f"{version}, {runtime}, {os.cpu_count()} processors, run by {who}")
        held = show(rows)
    return 0 if held or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
