"""Locks that die with their holder.

flock(2) locks belong to the open file description, so the kernel drops them when the process ends, and a second
open of the same file in one process excludes the first. containers/storage has its own kind of lock
(fcntl record locks): see ``storage.locks``.
"""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class FileLock:
    """An exclusive (or shared) flock on ``path``; a context manager. For the order see docs/architecture.md."""

    def __init__(self, path: str, *, shared: bool = False) -> None:
        self.path = path
        self.shared = shared
        self.fd = -1

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take the lock. False if ``blocking`` is off and somebody else has it."""
        how = fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, how if blocking else how | fcntl.LOCK_NB)
                # The holder before us may have removed the file: a lock on a nameless file guards nothing.
                if os.fstat(fd).st_nlink:
                    self.fd = fd
                    return True
            except BlockingIOError:
                os.close(fd)
                return False
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def release(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class DirectoryLock:
    """An exclusive flock on a directory itself, for places where no file of ours should lie; a context manager.

    Raises OSError.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1

    def __enter__(self) -> DirectoryLock:
        self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX)
        except BaseException:
            os.close(self.fd)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.fd)
