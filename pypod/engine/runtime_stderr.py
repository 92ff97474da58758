"""Keep a runtime's own complaint apart from what the process that it starts writes to the same stderr.

runc says why it failed on stderr as well as in its log, so the user would read it twice. Until the process exists
(the pid file says so) what comes is runc's, and kept back; from then on everything is passed on.
"""

from __future__ import annotations

import os

from pypod.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def wait(pid: int, pipe: int, pid_file: str, reap: Callable[[int], int]) -> int:
    """Pass ``pipe`` on to stderr until the runtime ``pid`` has ended; its exit status. Closes ``pipe``."""
    import select

    held: list[bytes] = []
    started = closed = False
    ended = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        poll.register(ended, select.POLLIN)
        os.set_blocking(pipe, False)
        while True:
            over = any(fd == ended for fd, _ in poll.poll())
            # Before the pipe is read: what a process has written, it wrote after its pid was.
            started = started or os.path.exists(pid_file)
            if not closed and _read(pipe, held):
                closed = True
                poll.unregister(pipe)
            if started and held:
                _pass_on(held)
            if over:
                return reap(pid)
    finally:
        os.close(ended)
        os.close(pipe)


def _read(pipe: int, held: list[bytes]) -> bool:
    """Everything that is there now; True at its end."""
    while True:
        try:
            chunk = os.read(pipe, 65536)
        except BlockingIOError:
            return False
        if not chunk:
            return True
        held.append(chunk)


def _pass_on(held: list[bytes]) -> None:
    data = b"".join(held)
    held.clear()
    try:
        files.write_all(2, data)
    except OSError:
        pass  # nobody reads it: the process would get the same
