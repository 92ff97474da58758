"""Whole files, read and replaced at once.

A reader sees the old content or the new, never a part (rename(2) is atomic). ``durable`` writes also survive a
power cut: the data is flushed before the rename and the directory after it. ``flush`` alone leaves the directory to
the caller: after a power cut there is the old file or the new one.
"""

from __future__ import annotations

import os

from pypod.base import fastjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read(path: str, limit: int = -1) -> bytes:
    """The content of a file, at most ``limit`` bytes if that is not negative."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        left = limit
        while left != 0:
            chunk = os.read(fd, 1 << 20 if left < 0 else min(left, 1 << 20))
            if not chunk:
                break
            chunks.append(chunk)
            if left > 0:
                left -= len(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)


def read_plain(path: str) -> bytes:
    """The content of a regular file: who opens a FIFO waits, and a device may have no end. Raises OSError."""
    # A FIFO that is opened so does not wait either.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_mode & 0o170000 != 0o100000:
            raise OSError(22, "Not a regular file", path)
        chunks = []
        while chunk := os.read(fd, 1 << 20):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)


def read_own(path: str) -> bytes:
    """The content of a file that nobody else can have written, as anybody could in a directory that is not ours.

    Raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise PermissionError(1, os.strerror(1), path)
        return os.read(fd, found.st_size)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """write(2) until everything is written."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def replace(path: str, data: bytes, *, mode: int = 0o600, durable: bool = False, flush: bool = False) -> None:
    """Put ``data`` in place of ``path``. The directory must exist."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".tmp-{name}{os.urandom(6).hex()}")
    # A signal that comes while open(2) works raises before there is a descriptor, and the file is there all the same.
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            write_all(fd, data)
            os.fchmod(fd, mode)
            if durable or flush:
                os.fdatasync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError):
            # write(2) names no file, rename(2) names the temporary one, which says nothing to a user.
            error.filename, error.filename2 = path, None
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise
    if durable:
        sync_directory(directory)


def deliver(path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Put ``data`` where a user wants it: links are followed, and a device or FIFO (/dev/null) is written
    to, not replaced. Raises OSError.
    """
    target = os.path.realpath(path)
    try:
        kind = os.stat(target).st_mode & 0o170000
    except FileNotFoundError:
        kind = 0o100000
    if kind == 0o100000:
        replace(target, data, mode=mode)
        return
    fd = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)


def move(path: str, target: str) -> None:
    """rename(2), or a copy where that leads into another file system. Raises OSError."""
    import errno

    try:
        os.rename(path, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        replace(target, read(path))
        os.unlink(path)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_json(path: str) -> Any:
    """The JSON document in a file.

    Raises OSError, BadJson (with the path in its message).
    """
    try:
        return fastjson.loads(read(path))
    except fastjson.BadJson as error:
        raise fastjson.BadJson(f"{path}: {error}") from None


def replace_json(path: str, value: object, *, mode: int = 0o600, durable: bool = False, flush: bool = False) -> None:
    """Put one JSON document in place of ``path``."""
    replace(path, fastjson.dumps(value).encode(), mode=mode, durable=durable, flush=flush)


def make_directory(path: str, mode: int = 0o700) -> None:
    """mkdir -p; parents that are missing get the same mode."""
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    except FileNotFoundError:
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            make_directory(parent, mode)
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            pass  # another process has made the same


def remove_tree(path: str, *, dir_fd: int | None = None, _tries: int = 5) -> None:
    """rm -rf, never following a link, gone already is fine. Directories without permissions are opened up.

    Raises OSError for what cannot be removed.
    """
    try:
        os.unlink(path, dir_fd=dir_fd)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        pass
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, dir_fd=dir_fd)
    except PermissionError:
        os.chmod(path, 0o700, dir_fd=dir_fd)
        fd = os.open(path, flags, dir_fd=dir_fd)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        # A file in a directory that is not ours to write: the caller opens that up.
        raise PermissionError(13, os.strerror(13), path) from None
    try:
        names = os.listdir(fd)
        for attempt in (1, 2):
            try:
                for name in names:
                    remove_tree(name, dir_fd=fd)
                break
            except PermissionError:
                if attempt == 2:
                    raise
                os.fchmod(fd, 0o700)
    finally:
        os.close(fd)
    try:
        os.rmdir(path, dir_fd=dir_fd)
    except FileNotFoundError:
        pass
    except OSError as error:
        # A monitor on its way out may have put one more file in.
        if error.errno != 39 or not _tries:  # ENOTEMPTY
            raise
        remove_tree(path, dir_fd=dir_fd, _tries=_tries - 1)
