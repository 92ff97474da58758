"""Whole directory trees, copied and removed in C by as many threads as there are processors (csrc/copy.c, remove.c).

``pypod.base.files.remove_tree`` is for small things; this is for layers.
"""

from __future__ import annotations

import os

from pypod.errors import StorageError, reason
from storage._native import ffi, lib
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.progress import Progress

_POLL = 100  # ms after which a waiting caller looks for signals, and reports
_SMALL = 5  # ms


def threads() -> int:
    return min(len(os.sched_getaffinity(0)), 8)


class NoRoom(Exception):
    """A map has no room for an id: ``kind`` ("uid" or "gid"), ``id`` and the ``path`` in the tree that has it."""

    def __init__(self, kind: str, id: int, path: str) -> None:
        super().__init__(kind, id, path)
        self.kind, self.id, self.path = kind, id, path


def copy(
    source: str,
    target: str,
    *,
    uid_map: Sequence[Sequence[int]] = (),
    gid_map: Sequence[Sequence[int]] = (),
    backing: Sequence[str] = (),
    skip_devices: bool = False,
    progress: Progress = SILENT,
    key: str = "",
) -> None:
    """Copy what is in ``source``, with its own attributes, to the empty directory ``target``.

    Owners, modes, times, attributes, hard links and holes are kept, blocks shared where the file system can: with
    those of the directories ``backing`` (nearest first) if the source is an overlay of them. With maps ([id in the
    container, id here, how many]) owners change. ``progress`` is told the bytes under ``key``. Raises OSError (its
    path is relative to ``source``), NoRoom; a part of the copy stays behind then.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    opened: list[int] = []
    try:
        for path in (source, target, *backing):
            opened.append(os.open(path, flags))
        ids = ffi.new("uint32_t[]", [number for row in (*uid_map, *gid_map) for number in row])
        below = ffi.new("int[]", opened[2:])
        copying = lib.st_copy_start(
            opened[0], opened[1], ids, len(uid_map), len(gid_map), below, len(backing), skip_devices, threads()
        )
        if copying == ffi.NULL:
            raise OSError(12, os.strerror(12))
        result = ffi.new("struct st_copy_result *")
        try:
            _wait(copying, progress, key)
        except BaseException:
            lib.st_copy_cancel(copying)
            raise
        finally:
            lib.st_copy_end(copying, result)
    finally:
        for fd in opened:
            os.close(fd)
    if result.error:
        path = os.fsdecode(ffi.string(result.path))
        if result.no_room:
            raise NoRoom("uid" if result.no_room == 1 else "gid", result.id, path)
        raise OSError(-result.error, os.strerror(-result.error), path or source)


def _wait(copying: object, progress: Progress, key: str) -> None:
    told = 0
    done = ffi.new("uint64_t[2]")
    ended = False
    while not ended:
        ended = bool(lib.st_copy_wait(copying, _POLL))
        if progress is not SILENT:
            lib.st_copy_done(copying, done, done + 1)
            if done[0] != told:
                progress.advance(key, done[0] - told)
                told = done[0]


def remove(path: str, *, budget: int = 0) -> bool:
    """rm -rf of a tree, entering no mount and following no link; gone already is fine.

    With a ``budget`` (milliseconds) it may return False: the time is over, or a file is large, and something is left.
    Raises OSError for the first thing that could not be removed, after everything else has been.
    """
    parent, name = os.path.split(path)
    try:
        directory = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        failed = ffi.new("char[1024]")
        # What is small is gone before threads would have been made.
        result = lib.st_remove(directory, os.fsencode(name), 1, budget or _SMALL, failed)
        if result == 1 and not budget:
            result = lib.st_remove(directory, os.fsencode(name), threads(), 0, failed)
    finally:
        os.close(directory)
    if result < 0:
        below = os.fsdecode(ffi.string(failed))
        raise OSError(-result, os.strerror(-result), f"{path}/{below}" if below else path)
    return not result


def remove_later(parent: str, tree: str, lock: str, lock_fd: int) -> bool:
    """Hand a staging area to a process in the background; False if there can be none. See ``st_remove_later``."""
    directory = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        area = os.path.basename(parent)
        names = [os.fsencode(name) for name in (tree, lock)]
        return bool(lib.st_remove_later(directory, *names, lock_fd, os.fsencode(area), threads()) == 0)
    finally:
        os.close(directory)


class FileSystem:
    """The file system that the directory ``path`` is on; a context manager.

    To be opened before what is to be flushed is written: the kernel tells a descriptor of the writes that have failed
    since, whoever else has been told meanwhile (syncfs(2)). Raises StorageError.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"cannot open {path}: {reason(error)}") from None

    def __enter__(self) -> FileSystem:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def sync(self) -> None:
        """Raises StorageError."""
        result = lib.st_syncfs(self._fd)
        if result:
            raise StorageError(f"cannot flush {self.path}: {os.strerror(-result)}")
