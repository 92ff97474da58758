"""An image on its way out: its config, its layers from the base up, and the manifest of what has been written."""

from __future__ import annotations

from pypod.base import fastjson
from pypod.errors import StorageError
from pypod.oci import manifest_write
from pypod.oci.manifest_write import DOCKER, OCI, Blob
from storage import export
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from storage.progress import Progress
    from storage.records import Image, Layer
    from storage.store import Store

_COMPRESSIONS = {0: "", 2: "gzip", 4: "zstd"}  # the numbers of the layer record's ``compression``


class Outgoing:
    """One image. ``layers`` are (record, diffID). Raises StorageError where store and config disagree."""

    def __init__(self, store: Store, image: Image, names: Sequence[str] = ()) -> None:
        self.store = store
        self.image = image
        self.names = list(names)
        self.config_digest = f"sha256:{image.id}"
        self.config = store.image_data(image, self.config_digest)
        rootfs = store.image_config(image).get("rootfs")
        diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        chain = store.chain(image.layer)[::-1] if image.layer else []
        known = [str(item) for item in diff_ids] if isinstance(diff_ids, list) else []
        if len(known) != len(chain):
            raise StorageError(
                f"cannot save image {image.id[:12]}: its config has {len(known)} layers, the store {len(chain)}"
            )
        self.layers: list[tuple[Layer, str]] = []
        for layer, digest in zip(chain, known, strict=True):
            if layer.diff_digest not in ("", digest):
                raise StorageError(
                    f"cannot save image {image.id[:12]}: layer {layer.id[:12]} is {layer.diff_digest}, "
                    f"the config says {digest}"
                )
            self.layers.append((layer, digest))
        self._own_data = store.image_data(image, "manifest")
        try:
            own = fastjson.loads(self._own_data)
        except fastjson.BadJson:
            own = None
        self._own: dict[str, Any] = own if isinstance(own, dict) else {}

    @property
    def kind(self) -> str:
        """The media type of the image's own manifest; OCI's if it has one that we could not write."""
        return DOCKER if self._own.get("mediaType") == DOCKER else OCI

    def pieces(self, layer: Layer, digest: str, progress: Progress = SILENT) -> Iterator[bytes]:
        """A layer's archive, with progress."""
        progress.begin(digest, f"Copying blob {digest}", layer.diff_size)
        for piece in export.layer(self.store, layer.id, digest):
            yield piece
            progress.advance(digest, len(piece))
        progress.end(digest)

    def size(self, layer: Layer, digest: str) -> int:
        """A layer's size in bytes; a record may lack it."""
        if layer.raw.get("diff-size") is not None and layer.diff_size >= 0:
            return layer.diff_size
        return sum(len(piece) for piece in export.layer(self.store, layer.id, digest))

    def came_as(self, number: int) -> Blob | None:
        """The blob that a layer was when it came into the store, which hashed it; None if nobody knows.

        Only the layer's record says so. The manifest's word is taken for urls and annotations of that same blob: its
        digest may be another one, as nobody has fetched a layer that was in the store before the image came.
        """
        layer, diff_id = self.layers[number]
        compression = _COMPRESSIONS.get(int(layer.raw.get("compression") or 0))
        if not layer.diff_digest or not layer.compressed_digest or compression is None:
            return None
        if layer.raw.get("compressed-size") is None or layer.compressed_size < 0:
            return None
        own = self._descriptor(number)
        if compression == "":
            # The manifest of a docker-archive is made up: it calls plain layers gzip'ed.
            plain = manifest_write.compression_of(str(own.get("mediaType") or "")) == ""
            if layer.compressed_digest != diff_id or not plain:
                return None
        blob = Blob(digest=layer.compressed_digest, size=layer.compressed_size, compression=compression)
        if not self.says(number, blob):
            return blob
        annotations = own.get("annotations")
        urls = own.get("urls")
        if not isinstance(annotations, dict):
            annotations = {}
        if compression == "zstd" and any("zstd-chunked" in key for key in annotations):
            compression = "zstd:chunked"
        foreign = manifest_write.is_foreign(own)
        return Blob(
            digest=blob.digest,
            size=blob.size,
            compression=compression,
            annotations=annotations,
            urls=tuple(urls) if isinstance(urls, list) and foreign else (),
            foreign=foreign,
        )

    def says(self, number: int, blob: Blob) -> bool:
        """Whether a layer is this very blob in the image's own manifest."""
        own = self._descriptor(number)
        return own.get("digest") == blob.digest and own.get("size") == blob.size

    def _descriptor(self, number: int) -> dict[str, Any]:
        layers = self._own.get("layers")
        if isinstance(layers, list) and len(layers) == len(self.layers) and isinstance(layers[number], dict):
            found: dict[str, Any] = layers[number]
            return found
        return {}

    def manifest(self, kind: str, blobs: Sequence[Blob]) -> bytes:
        """The manifest of what has been written: the image's own, to the byte, where it says the same."""
        if (self._own.get("mediaType") or OCI) == kind:
            layers = self._own.get("layers")
            config = self._own.get("config")
            if isinstance(layers, list) and isinstance(config, dict) and config.get("digest") == self.config_digest:
                said = [(item.get("digest"), item.get("size")) for item in layers if isinstance(item, dict)]
                if said == [(blob.digest, blob.size) for blob in blobs]:
                    return self._own_data
        annotations = self._own.get("annotations")
        return fastjson.dumps(
            manifest_write.build(
                kind,
                (self.config_digest, len(self.config)),
                blobs,
                annotations if isinstance(annotations, dict) else None,
            )
        ).encode()
