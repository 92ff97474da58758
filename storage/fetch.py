"""An image's layers from somewhere else into the store: those that it has not, in order."""

from __future__ import annotations

from pypod.base.record import record
from storage import limits, space
from storage.commit import Commit, layer_id
from storage.progress import SILENT, Writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storage import stream
    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store


@record
class LayerBlob:
    """A layer as a manifest describes it; ``size`` in bytes, -1 if it does not say."""

    digest: str
    size: int
    media_type: str
    diff_id: str
    urls: tuple[str, ...] = ()


def fetch(
    store: Store,
    blobs: Sequence[LayerBlob],
    open_: Callable[[LayerBlob, int], stream.Read],
    *,
    config: bytes,
    manifests: Sequence[bytes],
    names: Sequence[str],
    created: str,
    signatures: Sequence[bytes] = (),
    parallel: int = 6,
    progress: Progress = SILENT,
) -> Image:
    """The image of ``config``, complete and named; or the store is as before.

    ``open_(blob, offset)`` returns how to read a blob's bytes from there on. ``manifests``: the image's own, then the
    indexes that lead to it; ``signatures`` are of its own. Raises BadArchive, StorageError, and what ``open_`` and
    its readers raise.
    """
    from pypod.oci import digest as digests

    limits.check(store.limits, "max_layers", len(blobs), "an image")
    known = store.layers()
    top, needed = "", 0
    for blob in blobs:
        top = layer_id(top, blob.diff_id)
        if top not in known:
            needed += max(blob.size, 0)
    space.require(store.imagestore or store.graphroot, needed, "pull the image")
    with Commit(store) as commit:
        for blob in blobs:
            if commit.reuse(blob.diff_id):
                progress.begin(blob.digest, f"Copying blob {blob.digest}")
                progress.end(blob.digest, "skipped: already exists")
            else:
                read = open_(blob, 0)
                commit.add(read, diff_id=blob.diff_id, blob=blob.digest, size=blob.size, progress=progress)
        with Writing(progress, digests.of(config)):
            return commit.finish(
                config=config, manifests=manifests, names=names, created=created, signatures=signatures
            )
