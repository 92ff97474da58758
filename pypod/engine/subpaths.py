"""Mounts of a path inside a volume or host directory.

What is in a volume is the containers' own doing, links too. So the path is opened in its source as if that were
``/``, and it is the open file that is mounted: a detached copy, in the mount namespace that the monitor will have.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.engine import rootfs, volume_fill
from pypod.errors import PypodError, reason
from pypod.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.config import ContainerConfig, Mount
    from pypod.engine.container import Container
    from pypod.engine.deeds import Deeds


def attach(container: Container, deeds: Deeds) -> dict[str, str]:
    """Mount what the container's mounts name of their sources: destination → where it is mounted. Raises PypodError.

    A path that is not there becomes a directory, as in Kubernetes.
    """
    result = {}
    for number, item in enumerate(container.config.mounts):
        if item.subpath:
            try:
                target = f"{container.rundir}/subpath{number}"
                deeds.part(container.config, item, target)
                result[item.destination] = target
            except OSError as error:
                what = f"{item.subpath} of {item.name or item.source}"
                raise PypodError(f"cannot mount {what} at {item.destination}: {reason(error)}") from None
    return result


def mount(config: ContainerConfig, item: Mount, target: str) -> None:
    """Mount what ``item`` names of its source at ``target``. Raises OSError."""
    root = rootfs.open_root(item.source)
    found = tree = -1
    try:
        if rootfs.is_directory(root, item.subpath) is None:
            rootfs.make_directory(
                root,
                item.subpath,
                uid=volume_fill.outside(config.uid_map, 0),
                gid=volume_fill.outside(config.gid_map, 0),
            )
        found = syscalls.openat2(root, item.subpath, os.O_PATH)
        tree = syscalls.open_tree(
            "", syscalls.OPEN_TREE_CLONE | syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE, found
        )
        files.remove_tree(target)
        if os.fstat(found).st_mode & 0o170000 == 0o040000:
            files.make_directory(target)
        else:
            files.replace(target, b"")
        syscalls.move_mount(tree, target)
    finally:
        for fd in (root, found, tree):
            if fd >= 0:
                os.close(fd)
