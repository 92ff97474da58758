"""The way down, from a stored status alone: whoever set the network up may be gone."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_SIGKILL = 9

# In the environment of a program whose command line does not name the container's run directory.
MARK = "PYPOD_NETWORK_OF"


def end_process(pid: int, started: int) -> None:
    """Kill a program of ours and wait until it has gone, its ports with it. Another process of that pid is spared.

    SIGKILL, as pasta is pid 1 of a pid namespace of its own and neither program has anything to tidy up.
    """
    if not proc.alive(pid, started):
        _reap(pid)
        return
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        # The descriptor pins the process; only now is it known which one it is.
        if proc.alive(pid, started):
            try:
                os.kill(pid, _SIGKILL)
            except ProcessLookupError:
                pass
            import select

            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll(5000)
    finally:
        os.close(fd)
    _reap(pid)


def _reap(pid: int) -> None:
    if pid > 0:
        try:
            os.waitpid(pid, os.WNOHANG)
        except OSError:
            pass  # not a child of ours


# Everything that the drivers put into a container's run directory.
_FILES = (
    "pasta.pid",
    "slirp4netns.pid",
    "slirp4netns.log",
    "slirp4netns.sock",
    "relay.pid",
    "netavark.json",
)


def note(rundir: str, name: str, pid: int) -> None:
    """Write down a process of ours at once: whoever started it may be killed before it stores the whole status."""
    files.replace(f"{rundir}/{name}.pid", f"{pid} {proc.start_time(pid)}".encode())


def noted(rundir: str, name: str) -> tuple[int, int]:
    """(pid, start time) from a pid file, (0, 0) if there is none. pasta writes its own, without the start time."""
    try:
        words = files.read(f"{rundir}/{name}.pid").split()
        if len(words) == 2:
            return int(words[0]), int(words[1])
        pid = int(words[0])
        if f"{rundir}/{name}.pid".encode() in files.read(f"/proc/{pid}/cmdline").split(b"\0"):
            return pid, proc.start_time(pid)
    except (OSError, ValueError, IndexError):
        pass
    return 0, 0


def _strays(rundir: str, programs: tuple[bytes, ...]) -> list[int]:
    """The ``programs`` of a container whose pid nobody wrote down: told by its directory in their words or in their
    environment.
    """
    found = []
    place = rundir.encode()
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            command = files.read(f"/proc/{name}/cmdline")
            program = command.partition(b"\0")[0].rpartition(b"/")[2]
            if not program.startswith(programs):
                continue
            if place in command or place in files.read(f"/proc/{name}/environ"):
                found.append(int(name))
        except OSError:
            continue
    return found


def end_strays(rundir: str, programs: tuple[bytes, ...] = (b"pasta", b"slirp4netns")) -> None:
    """Whoever started the program was killed before it wrote down the pid, or before pasta did."""
    quiet = 0
    for _ in range(50):
        found = _strays(rundir, programs)
        for pid in found:
            end_process(pid, proc.start_time(pid))
        # pasta forks into the background: one that forked during the look and ended is not seen, nor its child.
        quiet = 0 if found else quiet + 1
        if quiet == 3:
            return


def teardown(status: Mapping[str, Any]) -> None:
    """See ``pypod.network.teardown``."""
    rundir = str(status.get("rundir") or "")
    driver = str(status["driver"])
    for name, key in (("relay", "relay"), (driver, "")):
        pid = int(status.get(f"{key}_pid" if key else "pid") or 0)
        started = int(status.get(f"{key}_start" if key else "pid_start") or 0)
        if not pid and rundir:
            pid, started = noted(rundir, name)
            if not pid and name in ("pasta", "slirp4netns"):
                end_strays(rundir)
        end_process(pid, started)
    try:
        if driver == "bridge":
            from pypod.network import bridge

            bridge.teardown(status)
    finally:
        for name in _FILES if rundir else ():
            try:
                os.unlink(f"{rundir}/{name}")
            except OSError:
                pass
