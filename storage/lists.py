"""Lists of images (manifest lists, indexes) in the store, as podman keeps them.

A list is an image record without layer and config. Its big data are ``manifest``, the list itself, and
``instances.json``, which says where each of its images came from, by digest; its own id is there under "".
"""

from __future__ import annotations

from pypod.base import fastjson, files
from pypod.errors import BadArchive, InUse, NoSuchImage, StorageError, reason
from pypod.oci import digest as digests
from pypod.oci import manifest_list, platform
from storage import image_find, images, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.oci.platform import Platform
    from storage.records import Image, Row
    from storage.store import Store

MANIFEST = "manifest"
INSTANCES = "instances.json"


class Content:
    """What a list holds. ``sources``: where the image of each digest is, a transport and a name."""

    def __init__(self, document: manifest_list.Document, sources: dict[str, str]) -> None:
        self.document = document
        self.sources = sources


def content(image: Image) -> Content:
    """Raises StorageError."""
    try:
        document = manifest_list.read(images.data(image, MANIFEST))
    except BadArchive as error:
        raise StorageError(f"cannot read list {image.id[:12]}: {error.message}") from None
    sources: dict[str, str] = {}
    if INSTANCES in image.big_data_names:
        found = images.document(image, INSTANCES)
        sources = {digest: where for digest, where in found.items() if digest and isinstance(where, str)}
    return Content(document, sources)


def create(store: Store, names: Sequence[str], made: Content) -> Image:
    """A new list with these names.

    Raises InUse if a name is another image's, StorageError.
    """
    import secrets

    id = secrets.token_hex(32)
    store.prepare()
    with store.images_lock() as lock:
        rows = store.image_table.rows()
        for row in rows:
            for name in names:
                if name in (row.get("names") or ()):
                    raise InUse(f'image name "{name}" is already associated with image "{row["id"]}"')
        directory = f"{store.images_dir}/{id}"
        try:
            row = {"id": id, "names": list(names), "names-history": list(names)}
            row = _write(directory, row, made)
            row["created"] = records.now()
            files.sync_directory(store.images_dir)
            store.image_table.save([*rows, row], lock, durable=True)
        except BaseException as error:
            if not any(item["id"] == id for item in store.image_table.rows()):
                files.remove_tree(directory)
            if isinstance(error, OSError):
                raise StorageError(f"cannot write list {id[:12]}: {reason(error)}") from None
            raise
    return records.image(row, False, store.images_dir)


def change(store: Store, image: Image, edit: Callable[[Content], None]) -> Image:
    """Have ``edit`` change what a list holds, under the lock; nothing is written if it raises.

    Raises NoSuchImage, StorageError.
    """
    if image.read_only:
        images.pull_up(store, image)
    store.prepare()
    with store.images_lock() as lock:
        rows = store.image_table.rows()
        row = next((item for item in rows if item["id"] == image.id), None)
        if row is None:
            raise NoSuchImage(f"{image.id}: image not known")
        there = records.image(row, False, store.images_dir)
        held = content(there)
        edit(held)
        try:
            row = _write(there.directory, dict(row), held)
        except OSError as error:
            raise StorageError(f"cannot write list {image.id[:12]}: {reason(error)}") from None
        store.image_table.save([row if item["id"] == image.id else item for item in rows], lock, durable=True)
    return records.image(row, False, store.images_dir)


def _write(directory: str, row: Row, held: Content) -> Row:
    """Write the big data; the row that speaks of it. A crash before that row is saved leaves a sound list: the sizes
    and digests of these two in the record are not believed (``check``). Raises OSError.
    """
    kept = {item["digest"] for item in held.document["manifests"]}
    sources = {digest: where for digest, where in held.sources.items() if digest in kept}
    manifest = manifest_list.dump(held.document)
    data = {
        INSTANCES: fastjson.dumps({"": row["id"], **sources}).encode(),
        MANIFEST: manifest,
    }
    files.make_directory(directory)
    names = list(row.get("big-data-names") or [])
    sizes, sums = dict(row.get("big-data-sizes") or {}), dict(row.get("big-data-digests") or {})
    for key, value in data.items():
        files.replace(f"{directory}/{images.data_file(key)}", value, flush=True)
        if key not in names:
            names.append(key)
        sizes[key], sums[key] = len(value), digests.of(value)
    files.sync_directory(directory)
    row["digest"] = sums[MANIFEST]
    row["big-data-names"], row["big-data-sizes"], row["big-data-digests"] = names, sizes, sums
    return row


def find_instance(store: Store, digest: str) -> Image | None:
    """The image in the store that has a manifest of this digest."""
    for image in store.images():
        if not image.is_list and digest in image_find.digests(image):
            return image
    return None


def chosen(image: Image, wanted: Platform | None = None) -> tuple[str, str]:
    """The digest of a list's image for a platform, this machine's if None, and where the list says that it is.

    Raises NoSuchImage if there is none, StorageError.
    """
    from pypod.oci import manifest

    held = content(image)
    wanted = wanted or platform.here()
    descriptors = manifest_list.descriptors(held.document)
    found = manifest.best(descriptors, wanted)
    if found is None:
        why = manifest.no_platform(descriptors, wanted).message
        raise NoSuchImage(f"{image.names[0] if image.names else image.id}: {why}: image not known")
    return found.digest, held.sources.get(found.digest, "")


def instance(store: Store, image: Image, wanted: Platform | None = None) -> Image:
    """The image that a list means on a platform, this machine's if None.

    Raises NoSuchImage if it is not in the store, StorageError.
    """
    digest, _ = chosen(image, wanted)
    found = find_instance(store, digest)
    if found is None:
        name = image.names[0] if image.names else image.id
        raise NoSuchImage(f"{name}: the list's image {digest} is not here: image not known")
    return found
