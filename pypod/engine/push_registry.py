"""One image to a registry: its layers side by side, each straight from the store through compression and hash.

What the registry has is not sent again. A layer's blob is looked for under the digest that it came with and under
those of earlier pushes (``blob_cache``): in the repository itself, then in others of the same registry, from which
it is mounted. Only then is the layer compressed and sent.
"""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine import blob_cache
from pypod.errors import ConnectionCut, NotThere, PypodError, RegistryError, Unauthorized
from pypod.oci import digest as digests
from pypod.oci import manifest_write
from pypod.oci import reference as references
from storage import squeeze
from storage.outgoing import Outgoing
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor
    from threading import Event

    from pypod.oci.manifest_write import Blob
    from pypod.registry.client import Client
    from pypod.registry.endpoints import Endpoint
    from storage.progress import Progress
    from storage.records import Image, Layer
    from storage.squeeze import Packing
    from storage.store import Store

_KINDS = (manifest_write.OCI, manifest_write.DOCKER)
PARALLEL = 6  # layers at once, as podman
_PATIENCE = 5  # seconds for uploads to be cancelled
_MOST_MOUNTS = 4  # repositories that are asked for one blob


@record
class Form:
    """In which form an image is pushed. ``kind``: media type of the manifest, the image's own if "".

    ``packing``: how layers that have to be sent are compressed. ``force``: send those that the registry has in
    another compression again.
    """

    kind: str = ""
    packing: Packing = squeeze.GZIP
    force: bool = False


@record
class Pushed:
    """The manifest that the registry has now."""

    data: bytes
    media_type: str
    digest: str


class _Stopped(Exception):
    """Another layer has failed."""


class _Push:
    def __init__(
        self,
        image: Outgoing,
        endpoint: Endpoint,
        form: Form,
        pool: ThreadPoolExecutor,
        stop: Event,
        progress: Progress,
    ) -> None:
        self.image = image
        self.client: Client = endpoint.client
        self.repository: str = endpoint.repository
        self.host: str = endpoint.client.host
        self.form = form
        self.kind = manifest_write.choose_kind(form.kind, image.kind, form.packing.format)
        self.packing = form.packing
        self.pool = pool
        self.stop = stop
        self.progress = progress
        self.beside = max(1, min(PARALLEL, len(image.layers)))
        self.sources = _repositories(image.image, self.host, self.repository)

    def blob(self, number: int) -> Blob:
        """Have one layer in the repository; what it is there. Runs in a thread."""
        layer, diff_id = self.image.layers[number]
        came = self.image.came_as(number)
        if came is not None and came.foreign and self._fits(came):
            self.progress.begin(diff_id, f"Copying blob {diff_id}")
            self.progress.end(diff_id, "skipped: foreign layer")
            return came
        known = [item for item in blob_cache.find(self.image.store, diff_id) if self._fits(item.blob)]
        if came is not None and self._fits(came):
            same = next((item for item in known if item.blob.digest == came.digest), None)
            known = [
                blob_cache.Known(came, same.places if same else []),
                *(item for item in known if item is not same),
            ]
        for item in known:
            if self._there(item.blob):
                self.progress.begin(diff_id, f"Copying blob {diff_id}")
                self.progress.end(diff_id, "skipped: already exists")
                return item.blob
        for item in known:
            if source := self._mounted(item):
                self.progress.begin(diff_id, f"Copying blob {diff_id}")
                self.progress.end(diff_id, f"mounted from {source}")
                return item.blob
        return self._send(layer, diff_id)

    def _fits(self, blob: Blob) -> bool:
        """Whether a blob may stand in the manifest, and is compressed as is wanted."""
        if blob.compression not in manifest_write.compressions(self.kind):
            return False
        return not self.form.force or blob.compression == self.packing.format

    def _there(self, blob: Blob) -> bool:
        self.check()
        return self.client.has_blob(self.repository, blob.digest) == blob.size

    def _mounted(self, known: blob_cache.Known) -> str:
        """The repository from which a blob has been mounted, "" for none."""
        sources = [item for item in known.repositories(self.host) if item != self.repository]
        if known.blob.compression:  # nobody pushes plain layers
            sources += [item for item in self.sources if item not in sources]
        for source in sources[:_MOST_MOUNTS]:
            self.check()
            try:
                mounted = self.client.mount_blob(self.repository, known.blob.digest, source)
            except ConnectionCut:
                raise
            except RegistryError:
                break  # one that has no mounts: what else is wrong, the upload will say
            if mounted and self._there(known.blob):
                return source
        return ""

    def check(self) -> None:
        if self.stop.is_set():
            raise _Stopped

    def _send(self, layer: Layer, diff_id: str) -> Blob:
        notes: dict[str, str] = {}

        def open_() -> Iterator[bytes]:
            notes.clear()
            pieces = self._watched(self.image.pieces(layer, diff_id, self.progress))
            return squeeze.packed(self.image, layer, pieces, self.packing, notes, self.pool, self.beside)

        digest, size = self.client.upload_blob(self.repository, open_)
        return manifest_write.Blob(
            digest=digest, size=size, compression=squeeze.compression(self.packing, notes), annotations=notes
        )

    def _watched(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.check()
            yield piece

    def config(self) -> None:
        digest, data = self.image.config_digest, self.image.config
        self.progress.begin("config", f"Copying config {digest}", len(data))
        if self.client.has_blob(self.repository, digest) != len(data):
            self.client.upload_blob(self.repository, lambda: iter((data,)), digest=digest, size=len(data))
        self.progress.advance("config", len(data))
        self.progress.end("config")


def _repositories(image: Image, host: str, target: str) -> list[str]:
    """The other repositories of a registry that the image has had a name in."""
    result: list[str] = []
    for name in dict.fromkeys([*image.names, *image.names_history]):
        try:
            found = references.parse(name)
        except references.BadReference:
            continue
        if found.domain == host and found.path not in (target, *result):
            result.append(found.path)
    return result


def push(
    store: Store,
    image: Image,
    endpoint: Endpoint,
    tag: str,
    *,
    form: Form,
    accept: Callable[[str], None] | None = None,
    progress: Progress = SILENT,
) -> Pushed:
    """Push an image to the endpoint's repository under ``tag``: a tag, the digest that it must have, or "" for the
    digest that it gets. ``accept`` is told of that before the manifest is sent, and may raise.

    In the user namespace; threads are started. Raises RegistryError, StorageError, UsageError.
    """
    import threading
    from concurrent.futures import ThreadPoolExecutor

    outgoing = Outgoing(store, image)
    stop = threading.Event()
    with ThreadPoolExecutor(squeeze.processors()) as pool:
        work = _Push(outgoing, endpoint, form, pool, stop, progress)
        blobs = _layers(work, stop)
        work.config()
        place = f"{work.host}/{work.repository}"
        for (_, diff_id), blob in zip(outgoing.layers, blobs, strict=True):
            if not blob.foreign:
                blob_cache.note(store, diff_id, blob, place)
        progress.begin("manifest", "Writing manifest to image destination")
        pushed = _manifest(work, blobs, tag, accept)
        progress.end("manifest")
    return pushed


def _manifest(work: _Push, blobs: Sequence[Blob], tag: str, accept: Callable[[str], None] | None) -> Pushed:
    """Send the manifest. Where nobody has chosen its kind and the registry refuses it, the other kind is tried."""
    kinds = [work.kind]
    used = {blob.compression for blob in blobs}
    if not work.form.kind and not digests.valid(tag):
        kinds += [kind for kind in _KINDS if kind != work.kind and used <= manifest_write.compressions(kind)]
    refused: RegistryError | None = None
    for kind in kinds:
        data = work.image.manifest(kind, blobs)
        digest = digests.of(data)
        if digests.valid(tag) and tag != digest:
            raise RegistryError(
                f"cannot push to {work.host}/{work.repository}@{tag}: the manifest has the digest {digest}"
            )
        if accept is not None:
            try:
                accept(digest)
            except PypodError as error:
                raise refused or error from None
        try:
            work.client.put_manifest(work.repository, tag or digest, data, kind)
        except (ConnectionCut, Unauthorized, NotThere):
            raise
        except RegistryError as error:
            refused = refused or error
            continue
        return Pushed(data=data, media_type=kind, digest=digest)
    assert refused is not None
    raise refused


def _layers(work: _Push, stop: Event) -> list[Blob]:
    """Every layer in the repository. The first failure stops the others, and is the one raised."""
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    numbers: dict[str, int] = {}
    for number, (_, diff_id) in enumerate(work.image.layers):
        numbers.setdefault(diff_id, number)
    senders = ThreadPoolExecutor(PARALLEL)
    futures = {diff_id: senders.submit(work.blob, number) for diff_id, number in numbers.items()}
    try:
        wait(futures.values(), return_when=FIRST_EXCEPTION)
    finally:
        # After a failure or a signal the uploads that have begun end at their next piece, and are cancelled at the
        # registry. One that hangs is left alone.
        stop.set()
        senders.shutdown(wait=False, cancel_futures=True)
        wait(futures.values(), timeout=_PATIENCE)
    _raise_first(list(futures.values()))
    return [futures[diff_id].result() for _, diff_id in work.image.layers]


def _raise_first(futures: Sequence[Future[Blob]]) -> None:
    errors = [item.exception() for item in futures if item.done() and not item.cancelled()]
    for kind in (PypodError, Exception):
        for error in errors:
            if isinstance(error, kind) and not isinstance(error, _Stopped):
                raise error
