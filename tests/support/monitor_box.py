"""The monitor as a process, with a runtime of 100 lines in place of a real one (tests/csrc/runtime.c)."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import conmon
from conmon import attach, spawn
from support.box import missing

ID = "0123456789abcdef" * 4
WAIT = 20.0  # seconds: far more than anything takes


def until(what: Callable[[], Any], seconds: float = WAIT) -> Any:
    """Wait until a call gives something true, and give that."""
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
    return value


class Box:
    """A directory for one monitor and what can be seen of it from outside."""

    monitor = conmon.MONITOR

    def __init__(self, place: Path, runtime: Path) -> None:
        self.place = place
        self.bundle = place / "bundle"
        self.exits = place / "exits"
        self.log = place / "ctr.log"
        self.runtime = runtime
        self.env = {"PATH": os.environ["PATH"], "TZ": "UTC", "FAKE_ARGS": str(place / "args"), "TMPDIR": str(place)}
        self.bundle.mkdir()
        self.exits.mkdir()
        self.started: list[spawn.Started] = []

    def options(self, **more: Any) -> spawn.MonitorOptions:
        values: dict[str, Any] = dict(
            monitor=self.monitor,
            id=ID,
            name="box",
            bundle=str(self.bundle),
            runtime=str(self.runtime),
            exit_dir=str(self.exits),
            conmon_pidfile=str(self.place / "conmon.pid"),
            container_pidfile=str(self.place / "pid"),
            log_path=f"k8s-file:{self.log}",
            no_sync_log=True,
        )
        return spawn.MonitorOptions(**{**values, **more})

    def start(
        self, script: str = "true", *, env: dict[str, str] | None = None, keep_fds: Any = (), **more: Any
    ) -> Any:
        name = "FAKE_EXEC_SCRIPT" if "exec_process_spec" in more else "FAKE_SCRIPT"
        started = spawn.spawn(self.options(**more), env={**self.env, name: script, **(env or {})}, keep_fds=keep_fds)
        self.started.append(started)
        return started

    @property
    def pid(self) -> int:
        """The monitor's."""
        return int((self.place / "conmon.pid").read_text())

    def exit_code(self) -> int:
        """Wait for the exit file and read it."""
        return int(until(lambda: (self.exits / ID).exists() and (self.exits / ID).read_text()))

    def gone(self) -> None:
        """Wait until the monitor has ended."""
        pid = self.pid
        until(lambda: not alive(pid))

    def connect(self) -> socket.socket:
        sock = attach.connect(str(self.bundle))
        result = socket.socket(fileno=sock.detach())
        result.settimeout(WAIT)
        return result

    def entries(self) -> list[tuple[str, str, bytes]]:
        """The log: stream, tag, text."""
        result = []
        for line in self.log.read_bytes().split(b"\n")[:-1]:
            _, stream, tag, text = line.split(b" ", 3)
            result.append((stream.decode(), tag.decode(), text))
        return result

    def close(self) -> None:
        for name in ("pid", "conmon.pid"):
            try:
                pid = int((self.place / name).read_text())
            except (OSError, ValueError):
                continue
            if alive(pid) and str(self.place) in environment(pid):
                # The fake runtime gives the container a session of its own; the monitor has one as well.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
        for started in self.started:
            started.close()


def environment(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return ""


def alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def everything(sock: socket.socket) -> tuple[bytes, bytes]:
    """What comes on an attach socket until its end: stdout and stderr."""
    streams = {2: bytearray(), 3: bytearray()}
    while packet := sock.recv(8193):
        streams[packet[0]] += packet[1:]
    return bytes(streams[2]), bytes(streams[3])


def readable(sock: socket.socket, seconds: float = 0) -> bool:
    return bool(select.select([sock], [], [], seconds)[0])


def unshared(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code as root of a user and mount namespace."""
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        missing("there are no user namespaces")
    done = subprocess.run(
        ["unshare", "-Urm", sys.executable, "-c", program, *map(repr, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done
