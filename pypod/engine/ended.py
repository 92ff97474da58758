"""The exit codes of containers that are gone, or that run again: for whoever still waits for one.

Each is a line ``ID CODE`` at the end of ``<tmpdir>/ended``. A full file becomes ``ended.old`` in place of the one
before, so some hundreds of the latest are known and nothing grows.
"""

from __future__ import annotations

import os

from pypod.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context

LIMIT = 65536  # bytes: about 900 lines


def note(context: Context, container_id: str, code: int) -> None:
    """Remember how a container ended. Nothing depends on it: what cannot be written is not."""
    path = context.tmpdir + "/ended"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        if os.fstat(fd).st_size > LIMIT:
            _turn(path, fd)
        os.write(fd, f"{container_id} {code}\n".encode())
    except OSError:
        pass
    finally:
        os.close(fd)


def _turn(path: str, fd: int) -> None:
    import fcntl

    # Another process may see the same full file: only one renames it, and only while it has that name.
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if os.stat(path).st_ino == os.fstat(fd).st_ino:
        os.rename(path, path + ".old")


def lookup(context: Context, container_id: str) -> int | None:
    """The last exit code of the container with this full id; None if it is not known (any more)."""
    wanted = container_id.encode() + b" "
    for path in (context.tmpdir + "/ended", context.tmpdir + "/ended.old"):
        try:
            text = files.read(path)
        except OSError:
            continue
        at = text.rfind(wanted)
        if at >= 0 and len(container_id) == 64:
            word = text[at + len(wanted) :].partition(b"\n")[0]
            try:
                return int(word)
            except ValueError:
                continue
    return None
