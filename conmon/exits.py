"""How a container ended, from the files that its monitor leaves (conmon's).

The exit file, ``<exit-dir>/<id>`` or ``<persist-dir>/exit``, holds the status in decimal: 0 to 255, 128 + signal, or
-1 if the monitor's time limit ended it. The monitor renames it into place: a file that is there is complete. An empty
file ``oom`` in the bundle or the persist directory says that the kernel killed something for lack of memory.
"""

from __future__ import annotations

import os

from pypod.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    # the status, and when it was written (ns since 1970)
    Exit = tuple[int, int]

IN_CLOSE_WRITE, IN_MOVED_TO = 0x08, 0x80  # inotify(7)


def read(path: str) -> Exit | None:
    """The status in an exit file, and when it was written; None if there is none yet."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = int(os.read(fd, 32).strip() or b"-1")
        return status, os.fstat(fd).st_ctime_ns
    except ValueError:
        return None
    finally:
        os.close(fd)


def oom_killed(*directories: str) -> bool:
    """Whether the monitor saw the kernel kill for lack of memory: a look at the bundle and the persist directory."""
    return any(os.path.exists(f"{directory}/oom") for directory in directories)


def wait(path: str, monitor: int = 0, started: int = 0, *, timeout_ms: int | None = None) -> Exit | None:
    """Sleep until the exit file is there, and read it.

    ``monitor`` is the pid of the monitor, and ``started`` its start time (pypod.linux.proc): with them the wait ends
    when the monitor does. None if it ended without a word, or the time is up. Raises OSError if the directory of the
    file is not there.
    """
    import select
    import time

    from pypod.linux import syscalls

    found = read(path)
    if found is not None:
        return found
    end = 0 if timeout_ms is None else time.monotonic_ns() + timeout_ms * 1_000_000
    watch = syscalls.inotify(os.path.dirname(path) or ".", IN_MOVED_TO | IN_CLOSE_WRITE)
    alive = -1
    try:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        if monitor > 0:
            try:
                alive = os.pidfd_open(monitor)
                poll.register(alive, select.POLLIN)
            except OSError:
                return read(path)
            if started and not proc.alive(monitor, started):
                return read(path)
        # From here on nothing can be missed: what came before is there, what comes wakes us.
        while (found := read(path)) is None:
            left = None if timeout_ms is None else (end - time.monotonic_ns()) / 1e6
            if left is not None and left <= 0:
                return None
            ready = [fd for fd, _ in poll.poll(left)]
            if alive in ready:
                return read(path)
            if watch in ready:
                os.read(watch, 4096)
        return found
    finally:
        os.close(watch)
        if alive >= 0:
            os.close(alive)
