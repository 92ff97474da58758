"""Lists of images: made, changed, shown and removed (podman-manifest(1))."""

from __future__ import annotations

from pypod.base.record import record
from pypod.base.text import show
from pypod.engine import image_names, images, manifest_source, rootless
from pypod.errors import NoSuchImage, NotFound, PypodError, UsageError
from pypod.oci import digest as digests
from pypod.oci import manifest_list
from pypod.oci import platform as platforms
from storage import lists
from storage.lists import Content
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pypod.engine.context import Context
    from pypod.engine.image_names import Removed
    from pypod.engine.manifest_source import Item
    from pypod.registry.settings import Settings
    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store


@record
class Notes:
    """What a list says of an image; what is empty is not changed."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: Sequence[str] = ()
    features: Sequence[str] = ()
    annotations: Mapping[str, str] = {}

    def write(self, entry: manifest_list.Document) -> None:
        """Change an entry."""
        manifest_list.annotate(
            entry,
            os=self.os,
            architecture=self.architecture,
            variant=self.variant,
            os_version=self.os_version,
            os_features=self.os_features,
            features=self.features,
            annotations=self.annotations,
        )


def find(store: Store, name: str) -> Image:
    """The list that ``name`` means.

    Raises NoSuchImage; PypodError if it is an image.
    """
    image = store.find_image(name, lists=True)
    if not image.is_list:
        raise PypodError(f"{images.resolved_name(image, name)}: image is not a manifest list")
    return image


def exists(store: Store, name: str) -> bool:
    """Whether there is a list of that name."""
    try:
        return store.find_image(name, lists=True).is_list
    except NoSuchImage:
        return False


def create(
    context: Context,
    store: Store,
    name: str,
    typed: Sequence[str],
    settings: Settings,
    *,
    everything: bool = False,
    amend: bool = False,
    annotations: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> str:
    """A list called ``name`` with the images ``typed``; its id. ``amend``: add them to one that is there.

    Nothing is made if one of them cannot be read. Raises InUse, RegistryError, NoSuchImage, PypodError.
    """
    full = image_names.new_name(name)
    there = next((image for image in store.images() if full in image.names), None)
    if there is not None and not amend:
        raise PypodError(
            f'creating image to hold manifest list: image name "{full}" is already associated with image '
            f'"{there.id}": that name is already in use',
            hint="add to a list that is there with --amend",
        )
    if there is not None and not there.is_list:
        raise PypodError(f"{full}: image is not a manifest list")
    rootless.enter_user(context)
    found = _read(context, store, typed, settings, platforms.here(), everything, progress)

    def edit(content: Content) -> None:
        _put(content, found, Notes())
        if annotations:
            content.document["annotations"] = {**(content.document.get("annotations") or {}), **annotations}

    if there is not None:
        return lists.change(store, there, edit).id if found or annotations else there.id
    content = Content(manifest_list.new(), {})
    edit(content)
    return lists.create(store, [full], content).id


def add(
    context: Context,
    store: Store,
    name: str,
    typed: Sequence[str],
    notes: Notes,
    settings: Settings,
    *,
    everything: bool = False,
    progress: Progress = SILENT,
) -> str:
    """Put images into a list, with ``notes`` on each; the list's id.

    Raises NoSuchImage, RegistryError, BadArchive, PypodError; the list is as it was then.
    """
    there = find(store, name)
    rootless.enter_user(context)
    wanted = platforms.wanted(os=notes.os, architecture=notes.architecture, variant=notes.variant)
    found = _read(context, store, typed, settings, wanted, everything, progress)
    return lists.change(store, there, lambda content: _put(content, found, notes)).id


def _read(
    context: Context,
    store: Store,
    typed: Sequence[str],
    settings: Settings,
    wanted: platforms.Platform,
    everything: bool,
    progress: Progress,
) -> list[Item]:
    found: list[Item] = []
    with manifest_source.Sources(context, store, settings, progress) as sources:
        for text in typed:
            found += sources.items(text, wanted, everything=everything)
    return found


def _put(content: Content, found: Sequence[Item], notes: Notes) -> None:
    for item in found:
        entry = dict(item.entry)
        notes.write(entry)
        manifest_list.put(content.document, entry)
        if item.source:
            content.sources[entry["digest"]] = item.source


def annotate(context: Context, store: Store, name: str, which: str, notes: Notes) -> str:
    """Change what a list says of the image ``which`` (its digest, or a local image), or of itself if "": its id.

    Raises NoSuchImage, NotFound, PypodError.
    """
    there = find(store, name)
    digest = _digest(store, there, which) if which else ""

    def edit(content: Content) -> None:
        if digest:
            notes.write(_entry(content, name, digest, "annotating"))
        else:
            content.document["annotations"] = {**(content.document.get("annotations") or {}), **notes.annotations}

    rootless.enter_user(context)
    return lists.change(store, there, edit).id


def remove(context: Context, store: Store, name: str, which: str) -> str:
    """Take the image ``which`` (its digest, or a local image) out of a list; the list's id.

    Raises NoSuchImage, NotFound, PypodError.
    """
    there = find(store, name)
    try:
        digest = _digest(store, there, which)
    except UsageError as error:
        error.message = f"removing from manifest list {show(name)}: {error.message}"
        raise

    def edit(content: Content) -> None:
        content.document["manifests"].remove(_entry(content, name, digest, "removing from"))

    rootless.enter_user(context)
    return lists.change(store, there, edit).id


def _entry(content: Content, name: str, digest: str, doing: str) -> manifest_list.Document:
    try:
        return manifest_list.entry(content.document, digest)
    except NotFound as error:
        raise NotFound(f"{doing} manifest list {show(name)}: {error.message}") from None


def _digest(store: Store, there: Image, which: str) -> str:
    """The digest that an image of a list is known by there.

    Raises UsageError.
    """
    if digests.valid(which):
        return which
    from storage import image_find

    try:
        known = image_find.digests(store.find_image(which))
    except PypodError:
        raise UsageError(f'invalid image digest "{show(which)}": invalid checksum digest format') from None
    for entry in lists.content(there).document["manifests"]:
        if entry["digest"] in known:
            return str(entry["digest"])
    raise UsageError(f"image {show(which)} is not in the list")


def inspect(
    context: Context, store: Store, name: str, settings: Settings, *, progress: Progress = SILENT
) -> tuple[str, bool]:
    """A list as JSON for people, of the store or else of a registry; and whether it is a list at all.

    Raises NoSuchImage, RegistryError, BadArchive, PypodError.
    """
    from pypod.base import gojson

    image: Image | None = None
    if "://" not in name:
        try:
            image = store.find_image(name, lists=True)
        except NoSuchImage:
            if name.startswith("localhost/"):
                raise
    if image is not None and image.is_list:
        return gojson.text(lists.content(image).document, 4), True
    if image is not None and images.resolved_name(image, name).startswith("localhost/"):
        find(store, name)
    with manifest_source.Sources(context, store, settings, progress) as sources:
        data = sources.answer(name).data
    if manifest_list.is_list(data):
        return gojson.text(manifest_list.read(data), 4), True
    from pypod.oci import manifest

    return gojson.text(manifest.read_object(data, "a manifest"), 4), False


def delete(context: Context, store: Store, name: str) -> Removed:
    """Remove a list and none of its images, or one of its names if it has several.

    Raises NoSuchImage (code 1), InUse, PypodError.
    """
    try:
        find(store, name)
    except NoSuchImage as error:
        error.code = 1
        raise
    return image_names.remove(context, store, name)
