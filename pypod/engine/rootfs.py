"""Files inside a container's root file system, which may be hostile: every path is resolved as if it were ``/``."""

from __future__ import annotations

import os

from pypod.linux import syscalls

_LIMIT = 16 << 20  # no /etc/passwd is larger; a hostile one must not fill our memory


def open_root(path: str) -> int:
    """A descriptor for ``openat2``. Raises OSError."""
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def read(root: int, path: str) -> bytes:
    """The content of a regular file; b"" if there is none, or if it is something else.

    Raises OSError for other causes.
    """
    try:
        # Without O_NONBLOCK, opening a fifo would wait for a writer that never comes.
        fd = syscalls.openat2(root, path.lstrip("/") or ".", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)) or error.errno == 40:  # ELOOP
            return b""
        raise
    try:
        if os.fstat(fd).st_mode & 0o170000 != 0o100000:
            return b""
        chunks = []
        left = _LIMIT
        while left > 0:
            chunk = os.read(fd, min(left, 65536))
            if not chunk:
                break
            chunks.append(chunk)
            left -= len(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)


def is_directory(root: int, path: str) -> bool | None:
    """True, False if it is something else, None if there is nothing."""
    try:
        fd = syscalls.openat2(root, path.lstrip("/") or ".", os.O_PATH)
    except OSError:
        return None
    try:
        return os.fstat(fd).st_mode & 0o170000 == 0o040000
    finally:
        os.close(fd)


def make_directory(root: int, path: str, *, uid: int = 0, gid: int = 0, mode: int = 0o755) -> None:
    """mkdir -p below ``root``; what is missing belongs to uid:gid. Raises OSError."""
    current = ""
    for part in path.strip("/").split("/"):
        parent = current or "."
        current = f"{current}/{part}".lstrip("/")
        if is_directory(root, current):
            continue
        fd = syscalls.openat2(root, parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.mkdir(part, mode, dir_fd=fd)
            os.chown(part, uid, gid, dir_fd=fd, follow_symlinks=False)
        finally:
            os.close(fd)
