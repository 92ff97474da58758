"""Names of images given and taken, and images removed."""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine import events, image_users, images, rootless
from pypod.engine.images import Overview
from pypod.errors import InUse, NoSuchImage, NotFound, PypodError

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
    image = store.find_image(name, lists=True)
    names = []
    for target in targets:
        if "@" in target or target.startswith("sha256:"):
            raise PypodError(f"{target}: tag by digest not supported")
        names.append(new_name(target))
    rootless.enter_user(context)
    store.tag(image.id, names)
    for complete in names:
        events.image(context, "tag", image.id, complete)


def untag(context: Context, store: Store, name: str, targets: Sequence[str]) -> None:
    """Without ``targets`` all names go.

    Raises NotFound, PypodError.
    """
    image = store.find_image(name, lists=True)
    names = [new_name(target) for target in targets]
    for complete in names:
        if complete not in image.names:
            raise NotFound(f"{complete}: tag not known")
    rootless.enter_user(context)
    store.untag(image.id, names or image.names)
    for complete in names or image.names:
        events.image(context, "untag", image.id, complete)


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
    by_digest = "@" in name and name not in image.names
    by_id = called not in image.names or image.id.startswith(name.removeprefix("sha256:"))
    rootless.enter_user(context)
    if len(image.names) > 1:
        if not by_id and not by_digest:
            store.untag(image.id, [called])
            events.image(context, "untag", image.id, called)
            return Removed(untagged=[called])
        if not force:
            how = "ID" if by_id else "digest"
            tags = " ".join(image.names)
            raise InUse(
                f'unable to delete image "{image.id}" by {how} with more than one tag ([{tags}]):'
                " please force removal"
            )
    return remove_image(context, store, image, force=force, prune=prune)


def _resolve(store: Store, name: str) -> Image:
    try:
        return store.find_image(name, lists=True)
    except NoSuchImage:
        from pypod.oci import reference

        reference.parse(name)  # a name that cannot be one is told from one that is not there
        raise


def remove_image(context: Context, store: Store, image: Image, *, force: bool = False, prune: bool = True) -> Removed:
    """An image with all its names.

    Raises InUse (code 2), StorageError.
    """
    image_users.release(context, store, image, force=force)
    # What is built on it keeps its layers: only the record goes, and podman does not call that deleted.
    overview = Overview(store)
    parent = overview.parent(image)
    deleted = [] if overview.children(image) else [image.id]
    store.delete_image(image.id)
    for name in image.names:
        events.image(context, "untag", image.id, name)
    events.image(context, "remove", image.id, image.names[0] if image.names else "")
    while prune and parent is not None and not parent.names and not parent.read_only:
        overview = Overview(store)
        above = overview.parent(parent)
        if overview.children(parent) or overview.used(parent):
            break
        store.delete_image(parent.id)
        events.image(context, "remove", parent.id)
        deleted.append(parent.id)
        parent = above
    return Removed(untagged=list(image.names), deleted=deleted)


def prune(
    context: Context,
    store: Store,
    *,
    everything: bool = False,
    external: bool = False,
    filters: Sequence[str] = (),
) -> list[Removed]:
    """Remove images without a name, or (``everything``) all that no container uses.

    With ``external`` those that only buildah's working containers use, together with these. Enters the user
    namespace. Raises UsageError.
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
            if image.read_only or summary.intermediate or bool(summary.containers) is not external:
                continue
            if not (everything or summary.dangling) or not all(test(summary) for test in tests):
                continue
            try:
                if external and not image_users.remove_working(store, image):
                    continue
                result.append(remove_image(context, store, image))
            except (NoSuchImage, InUse):
                continue  # somebody was faster
        if len(result) == before:
            return result
