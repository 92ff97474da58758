"""A layer of a store as a directory: mounted by its driver, with or without an id mapping."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.errors import StorageError, reason
from storage import overlay, overlay_mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.store import Store


def mount(
    store: Store,
    layer_id: str,
    volatile: bool,
    read_only: bool,
    target: str,
    uid_map: Sequence[Sequence[int]],
    gid_map: Sequence[Sequence[int]],
) -> str:
    """See ``Store.mount``."""
    if store.driver == "vfs":
        return _bind(store.diff_directory(layer_id), target, read_only)
    if not read_only and not target and os.path.exists(store.mountpoints_file):
        from storage import mountpoints

        path = mountpoints.existing(store, layer_id)
        if path:
            return path
    chain = store.chain(layer_id)
    home = chain[0].home
    if home != store.home and not target:
        target = f"{store.runroot}/{store.driver}/{layer_id}/merged"
        files.make_directory(target)
    lower = overlay.lowers(store.homes(home), layer_id, [item.id for item in chain[1:]])
    program = mount_program(store)
    mapped_lower: list[str] = []
    if uid_map and not overlay.in_user_namespace():
        from storage import mapped

        if program:
            from storage import masked

            masked.refuse(lower[0])
        lower = mapped_lower = mapped.idmapped_lowers(lower, uid_map, gid_map, f"{home}/{layer_id}/mapped")
    try:
        return overlay_mount.mount(
            home,
            layer_id,
            lower,
            read_only=read_only,
            volatile=volatile and not store.disable_volatile,
            mount_program=program,
            mountopt=store.mountopt,
            target=target,
        )
    finally:
        if mapped_lower:
            mapped.release(mapped_lower)


def lock(store: Store, layer_id: str, blocking: bool) -> int:
    """See ``Store.lock_layer``."""
    import fcntl

    try:
        fd = os.open(store.layer_path(layer_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(f"cannot lock layer {layer_id[:12]}: {reason(error)}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if blocking else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return -1
    return fd


def _bind(path: str, target: str, read_only: bool) -> str:
    if not target:
        return path
    from pypod.linux import syscalls

    try:
        files.make_directory(target)
        syscalls.mount(path, target, "", syscalls.MS_BIND)
        if read_only:
            syscalls.mount("", target, "", syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY)
    except OSError as error:
        raise StorageError(f"cannot mount {path} at {target}: {reason(error)}") from None
    return target


def mount_program(store: Store) -> str:
    """What mounts layers instead of the kernel, "" for nothing.

    A store that began with fuse-overlayfs has its layers in fuse-overlayfs's format, and stays with it. Raises
    StorageError.
    """
    if store.mount_program:
        return store.mount_program
    try:
        if files.read(f"{store.home}/.has-mount-program").strip() != b"true":
            return ""
    except OSError:
        return ""
    from pypod.base import process

    program = process.find("fuse-overlayfs")
    if program is None:
        raise StorageError(
            f"cannot mount layers of {store.graphroot}: they are made by fuse-overlayfs, which is not installed",
            hint="apt-get install fuse-overlayfs",
        )
    return program
