"""What the benchmarks share: the two programs, a stopwatch for whole processes, and where they may work."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import box, images, install, users  # noqa: E402

__all__ = [
    "Sample",
    "Stopwatch",
    "Tool",
    "box",
    "call",
    "find_runtime",
    "images",
    "install",
    "median",
    "new_tool",
    "users",
]


@dataclass
class Tool:
    """One of the two programs with its store."""

    name: str
    prefix: list[str]
    run_flags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Sample:
    """One command: wall seconds, seconds of processor time with all children, peak memory in MiB."""

    wall: float
    cpu: float
    memory: float


# The stopwatch: a process of the user's own, so small that what it spawns is not measured as larger than it is (the
# peak of a child starts with that of its parent). It runs each line of its stdin as a command and prints figures.
STOPWATCH = """
import os, sys, time
actions = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
for line in sys.stdin:
    argv = line.rstrip("\\n").split("\\t")
    begin = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - begin
    print(os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, flush=True)
"""


class Stopwatch:
    """Measures commands as one user."""

    def __init__(self, user: users.User) -> None:
        python = install.PYTHON if os.path.exists(install.PYTHON) else sys.executable
        self.process: subprocess.Popen[str] = subprocess.Popen(
            [python, "-IS", "-c", STOPWATCH],
            env=user.environment(),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **user.popen_options(),
        )

    def __call__(self, argv: Sequence[str]) -> Sample:
        """Run one command with its output thrown away. Raises RuntimeError if it fails."""
        assert self.process.stdin and self.process.stdout
        print(*argv, sep="\t", file=self.process.stdin, flush=True)
        code, wall, cpu, peak = self.process.stdout.readline().split()
        if int(code):
            raise RuntimeError(f"{' '.join(argv)}: exit status {code}")
        return Sample(float(wall), float(cpu), int(peak) / 1024)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def call(tool: Tool, user: users.User, *args: str) -> str:
    """Run a command of the preparation. Raises RuntimeError if it fails."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [*tool.prefix, *args],
        env=user.environment(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        **user.popen_options(),
    )
    if done.returncode:
        raise RuntimeError(f"{tool.name} {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def find_runtime() -> str:
    """An OCI runtime that works on this machine."""
    names = ("crun", "runc") if box.cgroup2() else ("runc",)
    return next(name for name in names if shutil.which(name, path=box.PATH))


def new_tool(name: str, program: str, store: Path, user: users.User, runtime: str) -> Tool:
    """A program with a store of its own below ``store``, which is made and given to ``user``."""
    for path in (store, store / "g", store / "r"):
        path.mkdir(mode=0o700)
        if user.switch:
            os.chown(path, user.uid, user.gid)
    prefix = [program, "--root", str(store / "g"), "--runroot", str(store / "r"), "--runtime", runtime]
    prefix += ["--cgroup-manager", "cgroupfs", "--storage-driver", "overlay"]
    flags = ["--network", "none"]
    if user.uid == 0 and not box.may_raise_rlimits():
        flags += ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
    return Tool(name, prefix, flags)


def median(samples: list[Sample], what: str) -> float:
    values: list[float] = [getattr(sample, what) for sample in samples]
    return statistics.median(values)
