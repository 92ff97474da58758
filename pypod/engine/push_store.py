"""An image to another store, or to one more name in its own (containers-storage:)."""

from __future__ import annotations

from pypod.engine import rootless, store_reference
from pypod.errors import PypodError, UsageError
from pypod.oci import digest as digests
from pypod.oci import reference as references
from storage import stream
from storage.commit import Commit
from storage.outgoing import Outgoing
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
        return image.digest
    out = Outgoing(store, image)
    manifest = store.image_data(image, "manifest")
    with Commit(target) as commit:
        for layer, diff_id in out.layers:
            if commit.reuse(diff_id):
                progress.begin(diff_id, f"Copying blob {diff_id}")
                progress.end(diff_id, "skipped: already exists")
                continue
            buffer = stream.Buffer(out.pieces(layer, diff_id))
            commit.add(
                lambda count, buffer=buffer: bytes(buffer.some(count)),  # type: ignore[misc]
                diff_id=diff_id,
                kind=stream.PLAIN,
                progress=progress,
                total=layer.diff_size,
            )
        with Writing(progress, out.config_digest):
            commit.finish(config=out.config, manifests=[manifest], names=[full], created=image.created)
    return digests.of(manifest)
