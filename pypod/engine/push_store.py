"""An image to another store, or to one more name in its own (containers-storage:)."""

from __future__ import annotations

from pypod.engine import rootless, store_copy, store_reference
from pypod.errors import PypodError, UsageError
from pypod.oci import digest as digests
from pypod.oci import reference as references
from storage.progress import SILENT, Writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store


def push(context: Context, store: Store, image: Image, text: str, *, progress: Progress = SILENT) -> str:
    """``text`` is what follows "containers-storage:". Returns the digest of the image's manifest.

    Enters the user namespace. Raises UsageError, PypodError, StorageError.
    """
    target, name = store_reference.parse(store, text)
    if not name or name.startswith("@"):
        raise UsageError(f'invalid destination "containers-storage:{text}": the image needs a name there')
    try:
        full = references.normalise(name, "docker.io")
    except references.BadReference as error:
        raise PypodError(f'invalid destination "containers-storage:{text}": {error.message}') from None
    if "@" in full:
        raise UsageError(f'invalid destination "containers-storage:{text}": names with a digest are for pull')
    rootless.enter_user(context)
    if target is store:
        with Writing(progress, f"sha256:{image.id}"):
            store.tag(image.id, [full])
        return image.manifest_digest
    store_copy.copy(store, image, target, [full], progress)
    return digests.of(store.image_data(image, "manifest"))
