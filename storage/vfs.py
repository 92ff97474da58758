"""The vfs driver: each layer is a whole tree, a copy of its parent's. Slow, but it works on any file system.

A layer is the directory ``vfs/dir/<id>``; there is nothing to mount.
"""

from __future__ import annotations

import os

from pypod.errors import StorageError, reason
from storage import overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Map = Sequence[Sequence[int]]


def copy(source: str, target: str, uid_map: Map = (), gid_map: Map = ()) -> None:
    """Copy a tree with owners, modes, times, links and attributes; blocks are shared where the file system can.

    Owners change by the maps, if there are any (``mapped``). Raises StorageError; ``target`` is gone then.
    """
    from storage import trees

    try:
        os.mkdir(target, 0o700)
        trees.copy(source, target, uid_map=uid_map, gid_map=gid_map, skip_devices=overlay.in_user_namespace())
        return
    except trees.NoRoom as error:
        from storage import mapped

        failure = mapped.no_room(error.kind, error.id, error.path)
    except OSError as error:
        where = f"{error.filename}: " if error.filename not in (None, source, target) else ""
        failure = StorageError(f"cannot copy a layer from {source}: {where}{reason(error)}")
    except BaseException:
        trees.remove(target)
        raise
    trees.remove(target)
    raise failure


def create(home: str, layer: str, parent_files: str, uid_map: Map = (), gid_map: Map = ()) -> None:
    """Make a layer's tree, as its parent's ("" for none) with owners by the maps.

    Raises StorageError; nothing stays behind then.
    """
    target = f"{home}/dir/{layer}"
    if parent_files:
        copy(parent_files, target, uid_map, gid_map)
        return
    try:
        os.mkdir(target, 0o755)
        os.chmod(target, 0o755)
    except OSError as error:
        raise StorageError(f"cannot make layer {layer[:12]} in {home}: {reason(error)}") from None
