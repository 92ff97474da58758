"""The locks of containers/storage: whole-file fcntl record locks with a last-writer token in the file.

Open-file-description locks (F_OFD_SETLKW) exclude the POSIX record locks that the Go tools take and are excluded
by them, but they don't vanish when some other descriptor of the same file is closed.

Order, outermost first: storage.lock, userns.lock, layers.lock, images.lock, containers.lock.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

from pypod.base import files
from pypod.errors import StorageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from storage.table import Table

_F_OFD_SETLK, _F_OFD_SETLKW = 37, 38
_F_RDLCK, _F_WRLCK = 0, 1

_counter = 0


def _flock(kind: int) -> bytes:
    """struct flock: l_type, then l_whence, l_start, l_len and l_pid all 0, which means the whole file."""
    return kind.to_bytes(2, sys.byteorder) + bytes(30)


def token() -> bytes:
    """A new last-writer token: time in ns, a count of this process, its pid (all little endian), 44 random bytes."""
    global _counter
    _counter += 1
    return b"".join(
        (
            time.time_ns().to_bytes(8, "little"),
            _counter.to_bytes(8, "little"),
            os.getpid().to_bytes(4, "little"),
            os.urandom(44),
        )
    )


class RecordLock:
    """One of the store's lock files, held from ``__enter__`` to ``__exit__``.

    ``also`` is a second file that is taken after the first: a store with an imagestore has two for its layers.
    ``tables`` are told when the lock has been taken.
    """

    def __init__(self, path: str, *, shared: bool = False, also: str = "", tables: Sequence[Table] = ()) -> None:
        self.path = path
        self.shared = shared
        self.fd = -1
        self._tables = tables
        self._also = RecordLock(also, shared=shared) if also else None

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take the lock, False if ``blocking`` is off and somebody else has it.

        Raises StorageError (read-only file system, no permission).
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            try:
                fd = os.open(self.path, flags, 0o644)
            except FileNotFoundError:
                files.make_directory(os.path.dirname(self.path))
                fd = os.open(self.path, flags, 0o644)
        except OSError as error:
            raise StorageError(f"cannot lock the store {self.path}: {reason(error)}") from None
        kind = _F_RDLCK if self.shared else _F_WRLCK
        try:
            fcntl.fcntl(fd, _F_OFD_SETLKW if blocking else _F_OFD_SETLK, _flock(kind))
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self.fd = fd
        try:
            if self._also is None or self._also.acquire(blocking=blocking):
                for table in self._tables:
                    table.locked(self.token())
                return True
        except BaseException:
            self.release()
            raise
        self.release()
        return False

    def token(self) -> bytes:
        """The last writer's token; empty if nobody has written yet. The lock is held."""
        found = os.pread(self.fd, 64, 0)
        return found if self._also is None else found + self._also.token()

    def touch(self) -> bytes:
        """Tell the readers that the file that this lock guards is about to change; the new token.

        Written before the change: a crash in between then costs a needless reload, not a stale view.
        """
        written = token()
        os.pwrite(self.fd, written, 0)
        return written if self._also is None else written + self._also.touch()

    def release(self) -> None:
        if self._also is not None:
            self._also.release()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> RecordLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
