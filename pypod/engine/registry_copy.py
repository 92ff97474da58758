"""One image from a registry to a registry, blob by blob: mounted from where the destination is known to have it, else
streamed through.
"""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine import blob_cache
from pypod.errors import BadArchive, PypodError, UsageError
from pypod.oci import digest as digests
from pypod.oci import manifest, manifest_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from threading import Event

    from pypod.oci.manifest import Descriptor, Manifest
    from pypod.registry.endpoints import Endpoint
    from storage.progress import Progress
    from storage.store import Store

_PARALLEL = 6
_PIECE = 1 << 18  # bytes
_MOST_MOUNTS = 4  # repositories that are asked for one blob


@record
class Copied:
    """The manifest that the destination has now."""

    data: bytes
    media_type: str
    digest: str


class _Stopped(Exception):
    """Another blob has failed."""


def copy(
    store: Store,
    source: Endpoint,
    data: bytes,
    media_type: str,
    target: Endpoint,
    *,
    kind: str = "",
    compression: str = "",
    accept: Callable[[str], None] | None = None,
    progress: Progress,
) -> Copied:
    """Copy the image of the manifest ``data`` to the repository of ``target``, under its digest there.

    It stays as it is, unless ``kind`` is the media type of another manifest. ``compression``: what its layers must
    have, as nothing is compressed on the way. ``accept`` is told of the digest before the manifest is sent, and may
    raise. Threads are started. Raises RegistryError, BadArchive, UsageError.
    """
    found = manifest.parse(data, media_type)
    if not isinstance(found, manifest.Manifest):
        raise BadArchive(f"{digests.of(data)} is a list itself: lists within lists are not supported")
    written = data
    if kind and found.media_type != kind:
        written = _as(kind, found, digests.of(data))
    else:
        kind = found.media_type
    for layer in found.layers if compression and found.is_image else ():
        if manifest_write.compression_of(layer.media_type) != compression:
            raise UsageError(
                f"image {digests.of(data)} of the list has other layers than {compression}, and is copied from its "
                "registry as it is",
                hint="pull it, and add it to the list from the store",
            )
    _blobs(store, source, target, found, progress)
    digest = digests.of(written)
    progress.begin("manifest", "Writing manifest to image destination")
    if accept is not None:
        accept(digest)
    target.client.put_manifest(target.repository, digest, written, kind)
    progress.end("manifest")
    return Copied(data=written, media_type=kind, digest=digest)


def _as(kind: str, found: Manifest, name: str) -> bytes:
    """The manifest in another form. Raises UsageError: it has no place for what the image is."""
    from pypod.base import fastjson

    if not found.is_image:
        raise UsageError(f"{name} of the list is an artifact, which has no other form of manifest")
    blobs = []
    for layer in found.layers:
        compression = manifest_write.compression_of(layer.media_type)
        manifest_write.choose_kind(kind, found.media_type, compression)
        blobs.append(
            manifest_write.Blob(
                digest=layer.digest,
                size=layer.size,
                compression=compression,
                annotations=layer.annotations,
                urls=layer.urls,
                foreign=_is_foreign(layer),
            )
        )
    config = (found.config.digest, found.config.size)
    return fastjson.dumps(manifest_write.build(kind, config, blobs, found.annotations)).encode()


def _is_foreign(item: Descriptor) -> bool:
    return manifest_write.is_foreign({"mediaType": item.media_type, "urls": item.urls})


def _blobs(store: Store, source: Endpoint, target: Endpoint, wanted: Manifest, progress: Progress) -> None:
    """All blobs of an image in the target's repository. The first failure stops the others, and is the one raised."""
    import threading
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    stop = threading.Event()
    each = {item.digest: (item, f"Copying blob {item.digest}") for item in wanted.layers}
    each[wanted.config.digest] = (wanted.config, f"Copying config {wanted.config.digest}")
    pool = ThreadPoolExecutor(_PARALLEL)
    futures = [
        pool.submit(_blob, source, target, item, what, _repositories(store, source, target, item), stop, progress)
        for item, what in each.values()
    ]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
    for kind in (PypodError, Exception):
        for item in futures:
            error = None if item.cancelled() else item.exception()
            if isinstance(error, kind) and not isinstance(error, _Stopped):
                raise error
    for layer in wanted.layers:
        if layer.size >= 0 and not _is_foreign(layer):
            # Only what is beyond doubt: the blob as content of its own, not as whose layer it claims to be.
            place = f"{target.client.host}/{target.repository}"
            blob_cache.note(store, layer.digest, manifest_write.Blob(digest=layer.digest, size=layer.size), place)


def _repositories(store: Store, source: Endpoint, target: Endpoint, item: Descriptor) -> list[str]:
    """The other repositories of the target's registry that are known to have a blob."""
    found = [source.repository] if source.client.host == target.client.host else []
    for known in blob_cache.find(store, item.digest):
        if known.blob.digest == item.digest:
            found += known.repositories(target.client.host)
    return [name for name in dict.fromkeys(found) if name != target.repository][:_MOST_MOUNTS]


def _blob(
    source: Endpoint,
    target: Endpoint,
    item: Descriptor,
    what: str,
    mounts: Sequence[str],
    stop: Event,
    progress: Progress,
) -> None:
    """Runs in a thread."""
    if _is_foreign(item):
        progress.begin(item.digest, what)
        progress.end(item.digest, "skipped: foreign layer")
        return
    if stop.is_set():
        raise _Stopped
    client = target.client
    there = client.has_blob(target.repository, item.digest)
    if there >= 0 and item.size in (there, -1):
        progress.begin(item.digest, what)
        progress.end(item.digest, "skipped: already exists")
        return
    for repository in mounts:
        if client.mount_blob(target.repository, item.digest, repository):
            progress.begin(item.digest, what)
            progress.end(item.digest, f"mounted from {repository}")
            return

    def pieces() -> Iterator[bytes]:
        progress.begin(item.digest, what, item.size)
        body = source.client.open_blob(source.repository, item.digest, size=item.size, urls=item.urls)
        try:
            while piece := body.read(_PIECE):
                if stop.is_set():
                    raise _Stopped
                yield piece
                progress.advance(item.digest, len(piece))
        finally:
            body.close()

    client.upload_blob(target.repository, pieces, digest=item.digest, size=item.size)
    progress.end(item.digest)
