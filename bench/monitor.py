"""The monitor beside conmon, in pairs: memory, throughput, processor time, system calls and the time to start.

    make bench-monitor
    bench/monitor.py [--rounds 3] [--size 1024] [--only memory,log,calls,attach,start] [--json] [--strict]

Both have a runtime that does next to nothing (tests/csrc/runtime.c) and a container that is a small C program
(tests/csrc/load.c): lines of 100 bytes, written 64 KiB, 4 KiB or one line at a time, to a k8s-file on a tmpfs
(/dev/shm). Each log is read again and compared with what was written. Processor seconds are the monitor's alone.
The memory for a log is used and freed just before: pages that a virtual machine has given back to its host cost ten
times as much, and whom they are given to is chance.
System calls are counted by strace, and no times are taken then. Needs conmon, a C compiler and strace; no privilege.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import conmon  # noqa: E402

LINE = 100
CHUNKS = {"64 KiB": 65536, "4 KiB": 4096, "one line": LINE}
SPEED_BARS = {"64 KiB": 3.0, "4 KiB": 2.0, "one line": 1.3}
CPU_BAR = 0.45
CALLS_BAR = 10_000  # per 100 MB
ATTACH_BAR = 1.5
START_BAR = 0.5
MEMORY_BAR = 0.25
MONITORS = 50  # idle at a time
IDLE = 5.0  # seconds before their memory is looked at
MB = 1_000_000
CALLS_SIZE = 100 * MB
STARTS = 200  # pairs
LIMIT = 300.0  # seconds for anything


@dataclass(frozen=True)
class Row:
    """One figure of both; the bar is for ours/conmon's, or for ours alone."""

    title: str
    ours: float
    theirs: float
    bar: float
    at_least: bool = False
    absolute: bool = False

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    @property
    def held(self) -> bool:
        value = self.ours if self.absolute else self.ratio
        return value >= self.bar if self.at_least else value <= self.bar


class Place:
    """A directory for one monitor at a time, on a tmpfs."""

    def __init__(self, base: Path, programs: Path) -> None:
        self.base, self.load, self.runtime = base, programs / "load", programs / "runtime"
        self.log = base / "log"
        self.bundle = base / "b"

    def words(self, monitor: str, log: str, number: int = 0) -> list[str]:
        bundle = self.bundle.with_name(f"b{number}") if number else self.bundle
        shutil.rmtree(bundle, ignore_errors=True)
        bundle.mkdir()
        cid = f"bench{number:08}"
        words = [monitor, "--api-version", "1", "-c", cid, "-u", cid, "-n", cid, "-r", str(self.runtime)]
        words += ["-b", str(bundle), "-p", str(bundle / "pid"), "-P", str(bundle / "conmon.pid"), "-l", log]
        return [*words, "--exit-dir", str(bundle), "--full-attach", "--no-sync-log"]

    def environment(self, script: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "TZ": "UTC", "FAKE_SCRIPT": script, "TMPDIR": str(self.base)}

    def start(self, words: list[str], script: str) -> Running:
        self.log.unlink(missing_ok=True)
        return Running(words, self.environment(script))

    def warm(self, size: int) -> None:
        """Have the pages for a log of ``size`` bytes of lines (and their prefixes) ready in the kernel."""
        block = bytes(1 << 20)
        with self.log.open("wb", buffering=0) as file:
            for _ in range(size * 3 // 2 // len(block) + 1):
                file.write(block)
        self.log.unlink()

    def writer(self, chunk: int, size: int, *more: str) -> str:
        return " ".join(["exec", str(self.load), "write", str(chunk), str(size), *more])

    def check(self, size: int) -> int:
        """Compare the log with what was written. Returns the number of lines that are torn."""
        done = subprocess.run([self.load, "check", self.log, str(size)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the log is wrong: {done.stdout}")
        whole, pieces = map(int, done.stdout.split())
        self.log.unlink()
        return pieces if whole == size // LINE else pieces + size // LINE - whole


class Running:
    """A monitor that is our child (--sync), from its message on."""

    def __init__(self, words: list[str], env: dict[str, str]) -> None:
        ours, its = os.pipe()
        os.set_inheritable(its, True)
        env["_OCI_SYNCPIPE"] = str(its)
        self.process = subprocess.Popen(words, env=env, pass_fds=[its], stdin=subprocess.DEVNULL)
        os.close(its)
        message = os.read(ours, 65536)
        self.began = time.perf_counter()
        os.close(ours)
        if not message.startswith(b'{"data": ') or b"-1" in message:
            raise RuntimeError(f"{words[0]}: {message!r}")

    def end(self) -> tuple[float, float]:
        """Wait for it. Returns wall seconds since the message and the monitor's own processor seconds."""
        fd = os.pidfd_open(self.process.pid)
        os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOWAIT)
        wall = time.perf_counter() - self.began
        os.close(fd)
        # Not what wait4() says: that would have the container's seconds in it, which the monitor waited for.
        nanoseconds = int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0])
        if self.process.wait():
            raise RuntimeError(f"{self.process.args!r}: exit status {self.process.returncode}")
        return wall, nanoseconds / 1e9


class Bench:
    def __init__(self, place: Path, programs: Path, theirs: str, options: argparse.Namespace) -> None:
        self.place = Place(place, programs)
        self.monitors = {"ours": options.monitor, "conmon": theirs}
        self.rounds: int = options.rounds
        self.size: int = options.size << 20
        self.size -= self.size % LINE
        self.starts: int = options.starts

    def pairs(self, count: int, measure: Callable[[str], dict[str, float]]) -> dict[str, dict[str, float]]:
        """Medians by monitor and figure; the two take turns in being first."""
        found: dict[str, list[dict[str, float]]] = {"ours": [], "conmon": []}
        for number in range(count):
            for name in ("ours", "conmon") if number % 2 else ("conmon", "ours"):
                found[name].append(measure(self.monitors[name]))
            if count < 20:
                print(".", end="", file=sys.stderr, flush=True)
        return {
            name: {figure: statistics.median(item[figure] for item in items) for figure in items[0]}
            for name, items in found.items()
        }

    def memory(self) -> list[Row]:
        found = {name: self.idle(monitor) for name, monitor in self.monitors.items()}
        return [
            Row(f"{MONITORS} idle: {what}, KiB each", found["ours"][what], found["conmon"][what], MEMORY_BAR)
            for what in ("USS", "PSS")
        ]

    def idle(self, monitor: str) -> dict[str, float]:
        pids: list[tuple[int, int]] = []
        total = {"USS": 0, "PSS": 0}
        try:
            for number in range(1, MONITORS + 1):
                words = self.place.words(monitor, f"k8s-file:{self.place.base}/log{number}", number)
                subprocess.run(words, env=self.place.environment("exec sleep 1000"), check=True, timeout=LIMIT)
                bundle = self.place.bundle.with_name(f"b{number}")
                container = wait_for(bundle / "pid")
                pids.append((int((bundle / "conmon.pid").read_text()), container))
            time.sleep(IDLE)
            for pid, _ in pids:
                pss, own = rollup(pid)
                total["PSS"] += pss
                total["USS"] += own
        finally:
            for pid, container in pids:
                kill(container, pid)
        return {what: value / MONITORS for what, value in total.items()}

    def log(self) -> list[Row]:
        rows = []
        for title, chunk in CHUNKS.items():
            found = self.pairs(self.rounds, partial(self.one_log, chunk=chunk))
            ours, theirs = found["ours"], found["conmon"]
            rows.append(Row(f"log, {title}: MB/s", ours["speed"], theirs["speed"], SPEED_BARS[title], at_least=True))
            rows.append(Row(f"log, {title}: CPU s", ours["cpu"], theirs["cpu"], CPU_BAR))
            rows.append(Row(f"log, {title}: torn lines", ours["torn"], theirs["torn"], 0, absolute=True))
        return rows

    def one_log(self, monitor: str, chunk: int) -> dict[str, float]:
        words = [*self.place.words(monitor, f"k8s-file:{self.place.log}"), "--sync"]
        self.place.warm(self.size)
        running = self.place.start(words, self.place.writer(chunk, self.size))
        wall, cpu = running.end()
        return {"speed": self.size / MB / wall, "cpu": cpu, "torn": self.place.check(self.size)}

    def calls(self) -> list[Row]:
        rows = []
        for title, chunk in CHUNKS.items():
            ours, theirs = (self.count(monitor, chunk) for monitor in self.monitors.values())
            rows.append(Row(f"log, {title}: calls per 100 MB", ours, theirs, CALLS_BAR, absolute=True))
        return rows

    def count(self, monitor: str, chunk: int) -> int:
        report = self.place.base / "calls"
        words = ["strace", "-c", "-U", "calls", "-o", str(report)]
        words += [*self.place.words(monitor, f"k8s-file:{self.place.log}"), "--sync"]
        self.place.start(words, self.place.writer(chunk, CALLS_SIZE)).end()
        self.place.check(CALLS_SIZE)
        return int(report.read_text().splitlines()[-1].split()[0])

    def attach(self) -> list[Row]:
        rows = []
        for title, log in (("attach", "none"), ("attach and log", f"k8s-file:{self.place.log}")):
            found = self.pairs(self.rounds, partial(self.one_attach, log=log))
            ours, theirs = found["ours"], found["conmon"]
            rows.append(Row(f"{title}: MB/s", ours["speed"], theirs["speed"], ATTACH_BAR, at_least=True))
        return rows

    def one_attach(self, monitor: str, log: str) -> dict[str, float]:
        fifo = self.place.base / "fifo"
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
        words = [*self.place.words(monitor, log), "--sync"]
        running = self.place.start(words, self.place.writer(65536, self.size, str(fifo)))
        client = subprocess.Popen(
            [self.place.load, "attach", self.place.bundle / "attach", str(self.size)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert client.stdout
        connected = client.stdout.readline()
        with open(fifo, "wb"):
            pass
        answer = client.stdout.read()
        if client.wait() or connected != "connected\n":
            raise RuntimeError(f"{monitor}: the client says {connected}{answer}")
        running.end()
        if log != "none":
            self.place.check(self.size)
        return {"speed": self.size / MB / float(answer)}

    def start(self) -> list[Row]:
        found = self.pairs(self.starts, self.one_start)
        return [Row("spawn to sync message: ms", found["ours"]["ms"], found["conmon"]["ms"], START_BAR)]

    def one_start(self, monitor: str) -> dict[str, float]:
        words = [str(self.place.load), "spawn", *self.place.words(monitor, f"k8s-file:{self.place.log}")]
        done = subprocess.run(
            words, env=self.place.environment("true"), capture_output=True, text=True, timeout=LIMIT
        )
        if done.returncode:
            raise RuntimeError(f"{monitor}: {done.stdout}{done.stderr}")
        return {"ms": float(done.stdout)}


def wait_for(path: Path) -> int:
    end = time.monotonic() + LIMIT
    while not path.exists() or not path.read_text():
        if time.monotonic() > end:
            raise RuntimeError(f"no {path}")
        time.sleep(0.005)
    return int(path.read_text())


def kill(container: int, monitor: int) -> None:
    """Kill a container and wait for its monitor."""
    fd = os.pidfd_open(monitor)
    os.kill(container, signal.SIGKILL)
    select.select([fd], [], [], LIMIT)
    os.close(fd)


def rollup(pid: int) -> tuple[int, int]:
    """PSS and USS of a process, KiB."""
    values = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        key, value = line.split(":")
        values[key] = int(value.split()[0])
    return values["Pss"], values["Private_Clean"] + values["Private_Dirty"]


def compiled(base: Path) -> Path:
    """The runtime and the load, static where that is possible: then they cost least."""
    for name in ("runtime", "load"):
        command = ["cc", "-O2", str(ROOT / "tests" / "csrc" / f"{name}.c"), "-o", str(base / name)]
        if subprocess.run([*command, "-static"], capture_output=True, check=False).returncode:
            subprocess.run(command, check=True)
    return base


def show(rows: list[Row]) -> bool:
    """Print the table. Whether every bar is held."""
    print(f"{'':36}{'ours':>10}{'conmon':>10}{'ratio':>8}{'bar':>10}")
    for row in rows:
        bar = f"{'≥' if row.at_least else '≤'} {row.bar:g}"
        ratio = f"{row.ratio:.3f}" if row.theirs else ""
        mark = "ok" if row.held else "missed"
        print(f"{row.title:36}{figure(row.ours):>10}{figure(row.theirs):>10}{ratio:>8}{bar:>10}  {mark}")
    print("medians; the bar is for the ratio, with torn lines and calls for ours alone")
    return all(row.held for row in rows)


def figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def main() -> int:
    kinds = ["memory", "log", "calls", "attach", "start"]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--monitor", default=conmon.MONITOR, help="ours (default: that of the installed pypod)")
    parser.add_argument("--rounds", type=int, default=3, help="pairs per throughput (default 3)")
    parser.add_argument("--starts", type=int, default=STARTS, help=f"pairs of starts (default {STARTS})")
    parser.add_argument("--size", type=int, default=1024, help="MiB that are written (default 1024)")
    parser.add_argument("--only", default=",".join(kinds), help="some of " + ",".join(kinds))
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bar is missed")
    options = parser.parse_args()
    theirs = shutil.which("conmon", path="/usr/bin:/usr/libexec/podman:/usr/lib/podman")
    if theirs is None:
        parser.error("conmon is not installed")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="pb", dir="/dev/shm") as place:
        bench = Bench(Path(place), compiled(Path(place)), theirs, options)
        for kind in options.only.split(","):
            if kind == "calls" and shutil.which("strace") is None:
                print("strace is not installed: system calls are not counted", file=sys.stderr)
                continue
            rows += getattr(bench, kind)()
    print(file=sys.stderr)
    if options.json:
        print(
            json.dumps([{**vars(row), "ratio": row.theirs and row.ratio, "held": row.held} for row in rows], indent=2)
        )
        return 0
    version = subprocess.run([theirs, "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    print(f"{version}, {os.cpu_count()} processors")
    held = show(rows)
    return 0 if held or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
