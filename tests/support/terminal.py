"""A terminal of our own: a pseudo-terminal with a program on its other side, typed into and read from by a test."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from support.users import User


class Terminal:
    """``argv`` on a terminal of ``rows`` x ``columns``, which is its controlling terminal.

    ``output`` holds everything that it has written, as bytes.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        user: User,
        env: Mapping[str, str],
        rows: int = 24,
        columns: int = 80,
        cwd: str = "/",
    ) -> None:
        self.master, slave = os.openpty()
        self.output = b""
        self._read_to = 0
        try:
            self.resize(rows, columns, tell=False)
            if user.switch:
                os.fchown(slave, user.uid, user.gid)
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                list(argv),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                **user.popen_options(),
            )
        except BaseException:
            os.close(self.master)
            raise
        finally:
            os.close(slave)

    def resize(self, rows: int, columns: int, *, tell: bool = True) -> None:
        """Change the size of the window; the kernel sends SIGWINCH to the foreground processes."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            # The session leader is in the foreground; say it to the leader too in case it is not.
            os.kill(self.process.pid, signal.SIGWINCH)

    def send(self, data: str | bytes) -> None:
        os.write(self.master, data.encode() if isinstance(data, str) else data)

    def _read(self, timeout: float) -> bool:
        """Take in what there is. False at the end of the output or after ``timeout``."""
        ready, _, _ = select.select([self.master], [], [], max(timeout, 0))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError as error:
            if error.errno == errno.EIO:  # the other side is closed
                return False
            raise
        self.output += data
        return bool(data)

    def expect(self, pattern: str | bytes, timeout: float = 15) -> re.Match[bytes]:
        """Wait until the output, after the last match, matches ``pattern``."""
        wanted = re.compile(pattern.encode() if isinstance(pattern, str) else pattern)
        end = time.monotonic() + timeout
        while True:
            found = wanted.search(self.output, self._read_to)
            if found:
                self._read_to = found.end()
                return found
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {pattern!r} within {timeout} s in {self.output!r}")
            if not self._read(left) and self.process.poll() is not None:
                found = wanted.search(self.output, self._read_to)
                if found:
                    self._read_to = found.end()
                    return found
                raise AssertionError(
                    f"the program ended ({self.process.returncode}) without {pattern!r}: {self.output!r}"
                )

    def attributes(self) -> list[object]:
        """termios attributes of the terminal."""
        return termios.tcgetattr(self.master)

    def wait(self, timeout: float = 20) -> int:
        """Read until the program ends; its exit status."""
        end = time.monotonic() + timeout
        while self.process.poll() is None:
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"still running after {timeout} s: {self.output!r}")
            if not self._read(min(left, 0.1)):
                time.sleep(0.01)
        while self._read(0):
            pass
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
