"""The vfs driver: each layer is a whole tree, a copy of its parent's. Slow, but it works on any file system.

A layer is the directory ``vfs/dir/<id>``; there is nothing to mount.
"""

from __future__ import annotations

import os

from pypod.base import files, process
from pypod.errors import StorageError, reason


def copy(source: str, target: str) -> None:
    """Copy a tree with owners, modes, times, links and attributes; blocks are shared where the file system can.

    Raises StorageError; ``target`` is gone then.
    """
    program = process.find("cp")
    if program is None:
        raise StorageError("cannot copy a layer: cp is not installed", hint="apt-get install coreutils")
    try:
        done = process.run([program, "-a", "--reflink=auto", "-T", source, target])
        if done.status == 0:
            return
        cause = done.message.splitlines()[0] if done.message else f"cp: exit status {done.status}"
    except OSError as error:
        cause = reason(error)
    files.remove_tree(target)
    raise StorageError(f"cannot copy a layer from {source}: {cause}")


def create(home: str, layer: str, parent_files: str) -> None:
    """Make a layer's tree, as its parent's ("" for none).

    Raises StorageError; nothing stays behind then.
    """
    target = f"{home}/dir/{layer}"
    if parent_files:
        copy(parent_files, target)
        return
    try:
        os.mkdir(target, 0o755)
        os.chmod(target, 0o755)
    except OSError as error:
        raise StorageError(f"cannot make layer {layer[:12]} in {home}: {reason(error)}") from None
