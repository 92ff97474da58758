"""Names of images given and taken, and images removed."""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine import images, rootless
from pypod.engine.images import Overview
from pypod.errors import InUse, NoSuchContainer, NoSuchImage, NotFound, PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.context import Context
    from storage.records import Image
    from storage.store import Store


def new_name(text: str) -> str:
    """The complete name that an image of ours gets from what the user typed: ``localhost/`` if it has no registry.

    Raises PypodError in podman's words.
    """
    from pypod.oci import reference

    try:
        return reference.normalise(text)
    except reference.BadReference as error:
        raise PypodError(f'normalizing name "{text}": {error.message}') from None


def tag(context: Context, store: Store, name: str, targets: Sequence[str]) -> None:
    """Raises NoSuchImage, PypodError."""
    image = store.find_image(name)
    names = []
    for target in targets:
        if "@" in target or target.startswith("sha256:"):
            raise PypodError(f"{target}: tag by digest not supported")
        names.append(new_name(target))
    rootless.enter_user(context)
    store.tag(image.id, names)


def untag(context: Context, store: Store, name: str, targets: Sequence[str]) -> None:
    """Without ``targets`` all names go.

    Raises NotFound, PypodError.
    """
    image = store.find_image(name)
    names = [new_name(target) for target in targets]
    for complete in names:
        if complete not in image.names:
            raise NotFound(f"{complete}: tag not known")
    rootless.enter_user(context)
    store.untag(image.id, names or image.names)


@record
class Removed:
    """What happened to one image."""

    untagged: list[str] = []
    deleted: list[str] = []


def remove(context: Context, store: Store, name: str, *, force: bool = False, prune: bool = True) -> Removed:
    """``rmi NAME``: take the name away; with the last name, or if it was called by its id, the image itself.

    Enters the user namespace. ``force`` removes our containers of the image too. ``prune`` also removes its parents
    that have no name. Raises NoSuchImage, InUse (code 2), PypodError.
    """
    image = _resolve(store, name)
    if image.read_only:
        raise InUse(f"cannot remove read-only image {image.id}")
    called = images.resolved_name(image, name)
    by_id = called not in image.names or image.id.startswith(name.removeprefix("sha256:"))
    if "@" in name and not by_id and len(image.names) == 1:
        by_id = True
    rootless.enter_user(context)
    if not by_id and len(image.names) > 1:
        store.untag(image.id, [called])
        return Removed(untagged=[called])
    if by_id and len(image.names) > 1 and not force:
        tags = " ".join(image.names)
        raise InUse(
            f'unable to delete image "{image.id}" by ID with more than one tag ([{tags}]): please force removal'
        )
    return remove_image(context, store, image, force=force, prune=prune)


def _resolve(store: Store, name: str) -> Image:
    try:
        return store.find_image(name)
    except NoSuchImage:
        from pypod.oci import reference

        reference.parse(name)  # a name that cannot be one is told from one that is not there
        raise


def remove_image(context: Context, store: Store, image: Image, *, force: bool = False, prune: bool = True) -> Removed:
    """An image with all its names.

    Raises InUse (code 2), StorageError.
    """
    if force:
        _remove_containers(context, store, image)
    overview = Overview(store)
    if overview.children(image):
        if image.names:
            store.untag(image.id, image.names)
            return Removed(untagged=list(image.names))
        raise InUse(f"unable to delete image {image.id}: it has dependent images", code=2)
    parent = overview.parent(image)
    store.delete_image(image.id)
    deleted = [image.id]
    while prune and parent is not None and not parent.names and not parent.read_only:
        overview = Overview(store)
        above = overview.parent(parent)
        if overview.children(parent) or overview.used(parent):
            break
        store.delete_image(parent.id)
        deleted.append(parent.id)
        parent = above
    return Removed(untagged=list(image.names), deleted=deleted)


def _remove_containers(context: Context, store: Store, image: Image) -> None:
    from pypod.engine import container as containers
    from pypod.engine import remove as removal

    for found in store.containers():
        if found.image != image.id:
            continue
        try:
            ours = containers.load(context, store, found)
        except NoSuchContainer:
            raise InUse(
                f"image used by {found.id}: image is in use by a container of another tool",
                hint="remove that container with podman rm or buildah rm",
                code=2,
            ) from None
        removal.remove(context, store, ours, force=True, depend=True)


def prune(context: Context, store: Store, *, everything: bool = False, filters: Sequence[str] = ()) -> list[Removed]:
    """Remove images without a name, or (``everything``) all that no container uses.

    Enters the user namespace. Raises UsageError.
    """
    from pypod.engine import image_filters

    rootless.enter_user(context)
    result: list[Removed] = []
    while True:
        overview = Overview(store)
        tests = image_filters.compile(overview, filters)
        before = len(result)
        for image in overview.images:
            summary = overview.summary(image, full=False)
            if image.read_only or summary.containers or summary.intermediate:
                continue
            if not (everything or summary.dangling) or not all(test(summary) for test in tests):
                continue
            try:
                result.append(remove_image(context, store, image))
            except NoSuchImage:
                continue  # somebody was faster
        if len(result) == before:
            return result
