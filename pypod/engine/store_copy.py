"""An image from one store into another, layer by layer."""

from __future__ import annotations

from pypod.oci import digest as digests
from storage import stream
from storage.commit import Commit
from storage.outgoing import Outgoing
from storage.progress import SILENT, Writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store


def copy(source: Store, image: Image, target: Store, names: Sequence[str], progress: Progress = SILENT) -> Image:
    """The image in ``target``, where it gets ``names``. In the user namespace.

    Raises StorageError, BadArchive: then ``target`` is as it was.
    """
    out = Outgoing(source, image)
    own = source.image_data(image, "manifest")
    keys = [key for key in image.big_data_names if key.startswith("manifest-") and digests.of(own) not in key]
    manifests = [own, *(source.image_data(image, key) for key in keys)]
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
            return commit.finish(config=out.config, manifests=manifests, names=names, created=image.created)
