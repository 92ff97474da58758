"""Room on the disk, asked for before the work where its size is known."""

from __future__ import annotations

import errno
import os

from pypod.base.record import record
from pypod.errors import StorageError

_BLOCK = 4096
_FICLONE = 0x40049409


@record
class Sizes:
    """Of a tree, in bytes: ``archive`` as a tar stream, ``disk`` unpacked again."""

    archive: int
    disk: int


def free(path: str) -> int:
    """Bytes that may still be written where ``path`` is, or its nearest parent that exists; -1 if nobody knows."""
    while True:
        try:
            found = os.statvfs(path)
            return found.f_bavail * found.f_frsize if found.f_blocks else -1
        except FileNotFoundError:
            parent = os.path.dirname(path.rstrip("/"))
            if parent == path or not parent:
                return -1
            path = parent
        except OSError:
            return -1


def require(path: str, needed: int, what: str) -> None:
    """Raises StorageError ("cannot ``what``: …") if ``path`` has less than ``needed`` bytes free."""
    there = free(path)
    if 0 <= there < needed:
        from pypod.base import units

        raise StorageError(
            f"cannot {what}: it needs {units.size(needed)}, and {path} has {units.size(there)} free: "
            + os.strerror(errno.ENOSPC)
        )


def require_copy(directory: str, needed: int, what: str) -> None:
    """``require``, for a copy within a file system: where blocks are shared it takes next to no room."""
    there = free(directory)
    if 0 <= there < needed and not _shares_blocks(directory):
        require(directory, needed, what)


def _shares_blocks(directory: str) -> bool:
    """Whether a file can be a clone of another there (ioctl_ficlone(2)): tried out, as only that tells."""
    import fcntl
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=directory) as one, tempfile.TemporaryFile(dir=directory) as other:
            one.write(bytes(_BLOCK))
            one.flush()
            fcntl.ioctl(other.fileno(), _FICLONE, one.fileno())
            return True
    except OSError:
        return False


def tree(path: str) -> Sizes:
    """How large a directory tree is; what cannot be read counts nothing."""
    archive, disk = 1024, 0
    seen: set[tuple[int, int]] = set()
    todo = [path]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    archive += 512
                    if entry.is_dir(follow_symlinks=False):
                        disk += _BLOCK
                        todo.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        found = entry.stat(follow_symlinks=False)
                        if found.st_nlink > 1:
                            if (found.st_dev, found.st_ino) in seen:
                                continue
                            seen.add((found.st_dev, found.st_ino))
                        archive += -(-found.st_size // 512) * 512
                        disk += -(-found.st_size // _BLOCK) * _BLOCK
        except OSError:
            continue
    return Sizes(archive=archive, disk=disk)
