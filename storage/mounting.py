"""A layer of a store as a directory: mounted by its driver, with or without an id mapping."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.errors import StorageError, reason
from storage import overlay, overlay_mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.records import Image
    from storage.store import Store


UNMADE = "MAPPED-COPY"  # in ``plan_new``: for the id of a copy that would be made first


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
    home, planned, idmapped = plan(store, layer_id, volatile, read_only, target, uid_map)
    if home != store.home and not target:
        files.make_directory(planned.target)
    if not idmapped:
        return overlay_mount.mount(home, planned)
    from storage import mapped

    lower = [source for source, _ in idmapped]
    mapped_lower = mapped.idmapped_lowers(lower, uid_map, gid_map, f"{home}/{layer_id}/mapped")
    try:
        return overlay_mount.mount(home, planned)
    finally:
        mapped.release(mapped_lower)


def plan(
    store: Store,
    layer_id: str,
    volatile: bool,
    read_only: bool,
    target: str,
    uid_map: Sequence[Sequence[int]],
) -> tuple[str, overlay_mount.Plan, list[tuple[str, str]]]:
    """What ``mount`` does with a layer that is not mounted yet: the driver's directory that it is in, the overlay,
    and what is mounted with an id mapping before it (directory, place). Not for vfs. Raises StorageError.
    """
    chain = store.chain(layer_id)
    home = chain[0].home
    if home != store.home and not target:
        target = f"{store.runroot}/{store.driver}/{layer_id}/merged"
    lower = overlay.lowers(store.homes(home), layer_id, [item.id for item in chain[1:]])
    return home, *_plan(store, home, layer_id, lower, volatile, read_only, target, uid_map)


def _plan(
    store: Store,
    home: str,
    layer_id: str,
    lower: Sequence[str],
    volatile: bool,
    read_only: bool,
    target: str,
    uid_map: Sequence[Sequence[int]],
) -> tuple[overlay_mount.Plan, list[tuple[str, str]]]:
    """The overlay, and what is mounted with an id mapping before it: (directory, place). Raises StorageError."""
    program = mount_program(store)
    idmapped: list[tuple[str, str]] = []
    if uid_map and not overlay.in_user_namespace():
        from storage import mapped

        if program:
            from storage import masked

            masked.refuse(lower[0])
        idmapped = mapped.places(lower, f"{home}/{layer_id}/mapped")
        lower = [place for _, place in idmapped]
    planned = overlay_mount.plan(
        home,
        layer_id,
        lower,
        read_only=read_only,
        volatile=volatile and not store.disable_volatile,
        mount_program=program,
        mountopt=store.mountopt,
        target=target,
    )
    return planned, idmapped


def plan_new(
    store: Store,
    layer_id: str,
    image: Image,
    *,
    volatile: bool,
    uid_map: Sequence[Sequence[int]],
    gid_map: Sequence[Sequence[int]],
) -> tuple[overlay_mount.Plan, list[tuple[str, str]]]:
    """What ``mount`` would do with a read-write layer on ``image`` that ``create_container`` would make now.

    The overlay, and what is mounted with an id mapping before it: (directory, place). Not for vfs. Raises
    StorageError.
    """
    parent = image.layer
    above: list[str] = []
    if uid_map and overlay.in_user_namespace():
        from storage import mapped

        parent = mapped.find(store, image, uid_map, gid_map)
        if not parent:
            parent = image.layer
            above = [f"{store.image_home}/{UNMADE}/diff", f"{store.image_home}/{UNMADE}/diff1"]
    text = overlay.lower_text(store.layer(parent).home, parent)
    chain = [item.id for item in store.chain(parent)]
    lower = [*above, *overlay.resolve(store.homes(store.home), text, layer_id, chain)]
    return _plan(store, store.home, layer_id, lower, volatile, False, "", uid_map)


def view(store: Store, image: Image) -> int:
    """An image's files as a descriptor of a directory, to be read: see ``overlay_mount.view``."""
    return overlay_mount.view(store.layer(image.layer).home, store.directories(image.layer))


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
