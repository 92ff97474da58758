"""``mount`` and ``image mount``: layers in the caller's own mount namespace, counted with podman's and buildah's."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.engine import cleanup
from pypod.engine import container as containers
from pypod.engine.container import observe
from pypod.engine.context import in_namespace
from pypod.errors import BadState, InUse, NoSuchContainer, PypodError, StorageError
from storage import mountpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.records import Container as StorageRecord
    from storage.records import Image
    from storage.store import Store


@record
class Mounted:
    """One mounted container or image. ``names`` are a container's names, or the names of an image."""

    id: str
    names: list[str]
    path: str
    digest: str = ""


def check_namespace(context: Context, store: Store, verb: str) -> None:
    """Raise PypodError where a mount would be gone with this command: rootless, outside of ``unshare``."""
    if context.rootless and store.driver != "vfs" and not in_namespace():
        raise PypodError(
            f'cannot run command "pypod {verb}" in rootless mode, must execute `pypod unshare` first',
            hint="a mount of yours lasts as long as the shell that pypod unshare starts",
        )


# Containers.


def find(store: Store, references: Sequence[str]) -> list[StorageRecord]:
    """Containers of any tool. Raises NoSuchContainer for the first that there is not."""
    return [store.find_container(reference) for reference in references]


def ours(context: Context, store: Store) -> list[StorageRecord]:
    """What --all means."""
    return [item.record for item in containers.every(context, store)]


def _load(context: Context, store: Store, found: StorageRecord) -> Container | None:
    try:
        return containers.load(context, store, found)
    except NoSuchContainer:
        return None  # another tool's


def mount(context: Context, store: Store, found: StorageRecord) -> str:
    """Mount a container's root file system in this mount namespace; the path.

    Of a running container it is the mount that its processes use. Raises BadState, StorageError.
    """
    container = _load(context, store, found)
    if container is None:
        if not found.layer:
            raise BadState(f"cannot mount container {found.id}: it has no layer")
        return mountpoints.mount(store, found.layer, lambda _: store.mount(found.layer))
    config = container.config
    if config.rootfs:
        return config.rootfs
    with container.lock:
        state = observe(container)
        if state.unclean:
            _clean_up(context, store, container)
            state = observe(container)
        return mountpoints.mount(store, config.layer, lambda _: _make(store, container, live=state.live))


def _make(store: Store, container: Container, *, live: bool) -> None:
    if live:
        raise StorageError(f"cannot mount container {container.name}: the mount of its processes cannot be found")
    config = container.config
    store.mount(config.layer, uid_map=config.uid_map, gid_map=config.gid_map)


def _clean_up(context: Context, store: Store, container: Container) -> None:
    """Clean up after a container that has ended: in another process, as that means leaving this namespace."""
    child = os.fork()
    if child == 0:
        try:
            cleanup.enter(context, observe(container))
            cleanup.finish(context, store, container)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def unmount(context: Context, store: Store, found: StorageRecord, *, force: bool = False) -> bool:
    """Undo one ``mount``, or with ``force`` all of them. False if it was not mounted here.

    A running container of ours keeps its own mount. Raises BadState, InUse, StorageError.
    """
    if not found.layer:
        return False
    if not force and _load(context, store, found) is None and mountpoints.inhabitant(found.layer):
        raise BadState(
            f"cannot unmount storage for container {found.id} as it is running or paused: container state improper"
        )
    try:
        return mountpoints.unmount(store, found.layer, force=force)
    except InUse as error:
        error.hint = f"pypod umount -f {found.name or found.id}"
        raise


def release(store: Store, container: Container) -> None:
    """Take away all that ``mount`` has made of a container that is being removed."""
    if container.config.layer:
        try:
            mountpoints.unmount(store, container.config.layer, force=True)
        except StorageError:
            pass  # its layer is broken: then it has no mount either


def listing(store: Store) -> list[Mounted]:
    """The containers of any tool that are mounted in this namespace."""
    found = store.containers()
    paths = mountpoints.mounted(store, {item.layer for item in found if item.layer})
    return [Mounted(id=item.id, names=item.names, path=paths[item.layer]) for item in found if item.layer in paths]


# Images.


def mount_image(store: Store, image: Image) -> str:
    """Mount an image's files, read-only; the path. Raises BadState, StorageError."""
    if not image.layer:
        raise BadState(f"cannot mount image {image.id}: it has no layers")
    path = os.path.realpath(mountpoints.path_of(store, image.layer))
    return mountpoints.mount(
        store, image.layer, lambda _: store.mount(image.layer, read_only=True, target=path), read_only=True
    )


def unmount_image(store: Store, image: Image, *, force: bool = False) -> bool:
    """Undo one ``mount_image``. False if it was not mounted here. Raises InUse, StorageError."""
    if not image.layer:
        return False
    try:
        return mountpoints.unmount(store, image.layer, force=force)
    except InUse as error:
        error.hint = f"pypod image umount -f {image.names[0] if image.names else image.id[:12]}"
        raise


def listed_images(store: Store, images: Sequence[Image]) -> list[Mounted]:
    """Those of ``images`` that are mounted in this namespace."""
    paths = mountpoints.mounted(store, {image.layer for image in images if image.layer})
    return [
        Mounted(id=image.id, names=image.names, path=paths[image.layer], digest=image.digest)
        for image in images
        if image.layer in paths
    ]
