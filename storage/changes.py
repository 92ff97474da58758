"""What a layer changes, read from its upper directory and the directories below it (overlayfs.rst)."""

from __future__ import annotations

import os
import stat

from pypod.errors import StorageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# fuse-overlayfs's; names that begin with .wh. are never files of an image (image-spec, layer.md).
_OPAQUE_MARKS = (".wh..wh..opq", ".wh..opq")
_TOO_DEEP = "directories are nested too deep"
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _there(name: str, fd: int) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def is_whiteout(found: os.stat_result) -> bool:
    """A character device 0:0: the name is deleted."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(fd: int) -> bool:
    """Whether a directory hides all that is below it; fuse-overlayfs says so by a file of this name."""
    if _there(".wh..wh..opq", fd):
        return True
    for key in ("user.overlay.opaque", "trusted.overlay.opaque", "user.fuseoverlayfs.opaque"):
        try:
            if os.getxattr(fd, key) in (b"y", b"x"):
                return True
        except OSError:
            pass
    return False


def changes(upper: str, lowers: Sequence[str]) -> Iterator[tuple[str, str]]:
    """("A" | "C" | "D", path) in path order, each directory before what is in it.

    A directory is changed if its mode, owner or time differs, or anything in it changes. Raises StorageError.
    """
    fds: list[int] = []
    try:
        try:
            for path in (upper, *lowers):
                fds.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            yield from _directory(fds[0], fds[1:], "")
        except OSError as error:
            raise StorageError(f"cannot compare {upper} with the layers below it: {reason(error)}") from None
        except RecursionError:
            raise StorageError(f"cannot compare {upper} with what is below it: {_TOO_DEEP}") from None
    finally:
        for fd in fds:
            os.close(fd)


def _below(name: str, lowers: Sequence[int]) -> tuple[os.stat_result | None, list[int]]:
    """What a name is in the layers below: its status, None if it is not there; and the directories that it merges."""
    first: os.stat_result | None = None
    directories: list[int] = []
    try:
        for lower in lowers:
            try:
                found = os.stat(name, dir_fd=lower, follow_symlinks=False)
            except FileNotFoundError:
                if _there(f".wh.{name}", lower):
                    break
                continue
            if is_whiteout(found) or first is not None and not stat.S_ISDIR(found.st_mode):
                break
            if first is None:
                first = found
            if not stat.S_ISDIR(found.st_mode):
                break
            fd = os.open(name, _OPEN, dir_fd=lower)
            directories.append(fd)
            if is_opaque(fd):
                break
    except BaseException:
        for fd in directories:
            os.close(fd)
        raise
    return first, directories


def _names_below(lowers: Sequence[int]) -> list[str]:
    """The names that a merged directory shows."""
    names: dict[str, bool] = {}
    for lower in lowers:
        for name in os.listdir(lower):
            if name.startswith(".wh."):
                names.setdefault(name[4:], False)
            elif name not in names:
                names[name] = not is_whiteout(os.stat(name, dir_fd=lower, follow_symlinks=False))
    return [name for name, shown in names.items() if shown]


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_mode, one.st_uid, one.st_gid, one.st_mtime_ns) == (
        other.st_mode,
        other.st_uid,
        other.st_gid,
        other.st_mtime_ns,
    )


def _told(fd: int) -> tuple[int, int, int]:
    """Owner, group and mode of a directory as a container sees them; force_mask keeps them apart."""
    for key in ("user.fuseoverlayfs.override_stat", "user.containers.override_stat"):
        try:
            owner, group, mode = os.getxattr(fd, key).decode("ascii", "replace").split(":")[:3]
            return int(owner), int(group), int(mode, 8) & 0o7777
        except (OSError, ValueError):
            pass
    found = os.fstat(fd)
    return found.st_uid, found.st_gid, found.st_mode & 0o7777


def _same_directory(upper: int, lower: int) -> bool:
    return _told(upper) == _told(lower) and os.fstat(upper).st_mtime_ns == os.fstat(lower).st_mtime_ns


def _directory(upper: int, lowers: Sequence[int], path: str) -> Iterator[tuple[str, str]]:
    if lowers and is_opaque(upper):
        yield from _between([upper], lowers, path)
        return
    names = set(os.listdir(upper))
    marks = {name for name in names if name.startswith(".wh.")}
    names -= marks
    hidden = [name[4:] for name in marks if name not in _OPAQUE_MARKS]
    for name in sorted({*names, *hidden}):
        own = f"{path}/{name}"
        if name not in names:
            yield "D", own
            continue
        found = os.stat(name, dir_fd=upper, follow_symlinks=False)
        if is_whiteout(found):
            yield "D", own
            continue
        below, directories = _below(name, lowers)
        try:
            kind = "A" if below is None else "C"
            if not stat.S_ISDIR(found.st_mode):
                yield kind, own
                continue
            fd = os.open(name, _OPEN, dir_fd=upper)
            try:
                inside = _directory(fd, directories, own)
                first = next(inside, None)
                if first is not None or not directories or not _same_directory(fd, directories[0]):
                    yield kind, own
                if first is not None:
                    yield first
                    yield from inside
            finally:
                os.close(fd)
        finally:
            for lower in directories:
                os.close(lower)


def compare(new: str, old: str) -> Iterator[tuple[str, str]]:
    """The same from two whole trees; ``old`` is "" for none. Raises StorageError."""
    try:
        yield from _compare(new, old, "")
    except OSError as error:
        raise StorageError(f"cannot compare {new} with {old}: {reason(error)}") from None
    except RecursionError:
        raise StorageError(f"cannot compare {new} with {old}: {_TOO_DEEP}") from None


def _compare(new: str, old: str, path: str) -> Iterator[tuple[str, str]]:
    names = set(os.listdir(new))
    before = set(os.listdir(old)) if old else set()
    for name in sorted(names | before):
        own = f"{path}/{name}"
        if name not in names:
            yield "D", own
            continue
        found = os.lstat(f"{new}/{name}")
        if name not in before:
            yield "A", own
            if stat.S_ISDIR(found.st_mode):
                yield from _compare(f"{new}/{name}", "", own)
            continue
        was = os.lstat(f"{old}/{name}")
        same = _same(found, was) and found.st_rdev == was.st_rdev
        if not stat.S_ISDIR(found.st_mode):
            if not same or found.st_size != was.st_size:
                yield "C", own
            continue
        inside = _compare(f"{new}/{name}", f"{old}/{name}" if stat.S_ISDIR(was.st_mode) else "", own)
        first = next(inside, None)
        if first is not None or not same:
            yield "C", own
        if first is not None:
            yield first
            yield from inside


def between(new: Sequence[str], old: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The same from two stacks of directories, each nearest first, as an overlay would show them; nothing is mounted.

    What both have from the same layers is not looked into. Raises StorageError.
    """
    fds: list[int] = []
    try:
        try:
            for path in (*new, *old):
                fds.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            yield from _between(fds[: len(new)], fds[len(new) :], "")
        except OSError as error:
            raise StorageError(f"cannot compare the files of two layers: {error.filename}: {reason(error)}") from None
        except RecursionError:
            raise StorageError(f"cannot compare the files of two layers: {_TOO_DEEP}") from None
    finally:
        for fd in fds:
            os.close(fd)


def _identities(fds: Sequence[int]) -> list[tuple[int, int]]:
    return [(found.st_dev, found.st_ino) for found in map(os.fstat, fds)]


def _differ(one: os.stat_result, other: os.stat_result) -> bool:
    """A directory's time does not count, it only says that something in it has changed."""
    if (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino):
        return False
    if (one.st_mode, one.st_uid, one.st_gid) != (other.st_mode, other.st_uid, other.st_gid):
        return True
    if stat.S_ISDIR(one.st_mode):
        return False
    return (one.st_size, one.st_mtime_ns, one.st_rdev) != (other.st_size, other.st_mtime_ns, other.st_rdev)


def _between(new: Sequence[int], old: Sequence[int], path: str) -> Iterator[tuple[str, str]]:
    if _identities(new) == _identities(old):
        return
    for name in sorted({*_names_below(new), *_names_below(old)}):
        own = f"{path}/{name}"
        now, now_directories = _below(name, new)
        was, was_directories = _below(name, old)
        try:
            if now is None:
                if was is not None:
                    yield "D", own
                continue
            inside = _between(now_directories, was_directories, own)
            first = next(inside, None)
            if was is None:
                yield "A", own
            elif first is not None or _differ(now, was):
                yield "C", own
            if first is not None and stat.S_ISDIR(now.st_mode):
                yield first
                yield from inside
        finally:
            for fd in (*now_directories, *was_directories):
                os.close(fd)
