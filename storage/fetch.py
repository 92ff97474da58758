"""An image's layers from a registry into the store: side by side, each unpacked while it comes.

Nobody waits for a layer below: what a layer takes from those (``staged``) is given to it when all are there. What is
kept of a try that was cut off, and how two pulls share a layer, is in ``partial``.
"""

from __future__ import annotations

import queue
import threading

from pypod.base.record import record, replace
from pypod.errors import BadArchive, ConnectionCut, StorageError
from pypod.oci import digest as digests
from storage import checkpoints, export, flow, limits, overlay, partial, space, staged, stream
from storage.commit import Commit, layer_id, verify
from storage.progress import SILENT, Writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Protocol

    from storage.checkpoints import Checkpoint
    from storage.partial import Place
    from storage.progress import Progress
    from storage.records import Image, Layer
    from storage.staged import Staged
    from storage.store import Store

    class Body(Protocol):
        """Bytes that come from somewhere else. ``close`` may be called by another thread, and ends a ``read``."""

        def read(self, count: int) -> bytes: ...

        def close(self) -> None: ...


_LARGE = 8 << 20  # bytes that a decompressor keeps: more than zstd's usual levels need
_TRACKED = 4 << 20  # bytes of a blob below which a try that is cut off begins anew


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
    open_: Callable[[LayerBlob, int], Body],
    *,
    config: bytes,
    manifests: Sequence[bytes],
    names: Sequence[str],
    created: str,
    signatures: Sequence[bytes] = (),
    parallel: int = 6,
    progress: Progress = SILENT,
) -> Image:
    """The image of ``config``, complete and named; or the store is as before but for layers kept for the next try.

    ``open_(blob, offset)`` gives a blob's bytes from there on; it is called by several threads, at most ``parallel``
    at once. ``manifests``: the image's own, then the indexes that lead to it; ``signatures`` are of its own. Raises
    BadArchive, StorageError, and what ``open_`` and its bodies raise; after ConnectionCut, or an interrupt, the next
    call for the same layers goes on where this one stopped.
    """
    limits.check(store.limits, "max_layers", len(blobs), "an image")
    missing = _missing(store, blobs)
    while True:
        with _Places(store, missing, progress) as places, Commit(store) as commit:
            rest = list(blobs)
            while rest and commit.reuse(rest[0].diff_id):
                skipped(progress, rest.pop(0))
            if not places.have(rest):
                missing = rest  # a layer that was there has been removed meanwhile
                continue
            space.require(store.imagestore or store.graphroot, places.needed(rest), "pull the image")
            if store.driver == "vfs":
                # A layer of vfs begins as a copy of the one below it.
                for blob in rest:
                    _add(commit, blob, open_(blob, 0), progress)
            else:
                made = _Fetch(store, places.of, open_, progress).all(rest, parallel)
                for blob in rest:
                    commit.adopt(made[blob.digest], diff_id=blob.diff_id, blob=blob.digest, size=blob.size)
            with Writing(progress, digests.of(config)):
                return commit.finish(
                    config=config, manifests=manifests, names=names, created=created, signatures=signatures
                )


def skipped(progress: Progress, blob: LayerBlob) -> None:
    """Tell that a layer is there."""
    progress.begin(blob.digest, f"Copying blob {blob.digest}")
    progress.end(blob.digest, "skipped: already exists")


def _missing(store: Store, blobs: Sequence[LayerBlob]) -> list[LayerBlob]:
    """The layers from the first on that the store has not."""
    known = store.layers()
    top = ""
    for number, blob in enumerate(blobs):
        top = layer_id(top, blob.diff_id)
        if top not in known:
            return list(blobs[number:])
    return []


def _add(commit: Commit, blob: LayerBlob, body: Body, progress: Progress) -> None:
    try:
        commit.add(body.read, diff_id=blob.diff_id, blob=blob.digest, size=blob.size, progress=progress)
    finally:
        body.close()


class _Places:
    """The places of the layers, for the length of a ``with`` block: of two pulls with a common layer one waits.

    They are taken in one order by everybody, so nobody waits for ever.
    """

    def __init__(self, store: Store, blobs: Iterable[LayerBlob], progress: Progress) -> None:
        store.prepare()
        self._home = "" if store.driver == "vfs" else store.image_home
        names = sorted({blob.digest for blob in blobs}) if self._home else []
        # A layer that was unpacked by other rules is not the same.
        rules = (store.mount_program, store.force_mask, store.ignore_chown_errors, overlay.in_user_namespace())
        self.of: dict[str, Place] = {name: partial.Place(self._home, name, repr(rules)) for name in names}
        self._progress = progress

    def __enter__(self) -> _Places:
        told = False
        try:
            for name, place in self.of.items():
                if not place.acquire(blocking=False):
                    if not told:
                        self._progress.say(f"Waiting for another process that pulls blob {name}")
                        told = True
                    place.acquire()
        except BaseException:
            self._release(True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release(value is not None and _worth_keeping(value))

    def have(self, blobs: Iterable[LayerBlob]) -> bool:
        """Whether each of these layers has its place; vfs needs none."""
        return not self._home or all(blob.digest in self.of for blob in blobs)

    def needed(self, blobs: Sequence[LayerBlob]) -> int:
        """The bytes that are still to come, at least: as they are compressed."""
        result = 0
        for blob in {blob.digest: blob for blob in blobs}.values():
            place = self.of.get(blob.digest)
            if place is None:
                result += max(blob.size, 0)
            elif place.whole() is None:
                kept = place.cut()
                result += max(blob.size - (kept[0].offset if kept is not None else 0), 0)
        return result

    def _release(self, keep: bool) -> None:
        for place in self.of.values():
            place.release(keep=keep)


def _worth_keeping(error: BaseException) -> bool:
    """Whether the next try may go on: the connection broke or somebody interrupted, but nothing was wrong."""
    return isinstance(error, ConnectionCut) or not isinstance(error, Exception)


class _Fetch:
    """The layers of one image, by threads."""

    def __init__(
        self, store: Store, places: dict[str, Place], open_: Callable[[LayerBlob, int], Body], progress: Progress
    ) -> None:
        self._store = store
        self._places = places
        self._open = open_
        self._progress = progress
        self._bodies: set[Body] = set()
        self._lock = threading.Lock()
        self.large = threading.Lock()  # whoever has it may take much memory
        self._over: BaseException | None = None  # why all have to stop
        self._twins: dict[tuple[str, str], Layer] = {
            (layer.diff_digest, str(layer.raw.get("compressed-diff-digest"))): layer
            for layer in store.layers().values()
        }

    def all(self, blobs: Sequence[LayerBlob], parallel: int) -> dict[str, Staged]:
        """Each blob's layer by its digest. Raises what the first one that fails raises."""
        todo = list({blob.digest: blob for blob in blobs}.values())[::-1]
        done: dict[str, Staged] = {}
        ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                while self._over is None:
                    try:
                        blob = todo.pop()
                    except IndexError:
                        break
                    done[blob.digest] = self._named(blob)
            except BaseException as error:
                ended.put(error)
            else:
                ended.put(None)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(parallel, len(todo)))]
        try:
            for thread in threads:
                thread.start()
            for _ in threads:
                error = ended.get()
                if error is not None:
                    raise error
        except BaseException as error:
            self._stop(error)
            raise
        finally:
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
        return done

    def _stop(self, error: BaseException) -> None:
        with self._lock:
            self._over = error
            bodies = list(self._bodies)
        for body in bodies:
            body.close()

    def _named(self, blob: LayerBlob) -> Staged:
        """The layer; what is wrong with it is said with its digest."""
        try:
            return self._layer(blob)
        except BadArchive as error:
            if blob.digest not in error.message and blob.diff_id not in error.message:
                error.message = f"layer {blob.digest}: {error.message.removeprefix('broken archive: ')}"
            raise

    def _layer(self, blob: LayerBlob) -> Staged:
        """One layer, in a thread: kept from another try, a copy of one that the store has, or fetched."""
        place = self._places[blob.digest]
        whole = place.whole()
        if whole is not None:
            try:
                verify(whole.passed, whole.size, blob.digest, blob.size, blob.diff_id)
            except BadArchive:
                place.forget()
            else:
                skipped(self._progress, blob)
                return whole
        twin = self._twins.get((blob.diff_id, blob.digest))
        if twin is not None:
            try:
                return self._copy(blob, place, twin)
            except (StorageError, BadArchive):
                pass  # it is damaged: another one is fetched
        kept = place.cut()
        if kept is not None:
            try:
                return self._fetched(blob, place, *kept)
            except (BadArchive, StorageError, ValueError):
                if self._over is not None:
                    raise
                place.forget()  # what was kept has suffered, or the registry lies: all anew will tell
        return self._fetched(blob, place)

    def _copy(self, blob: LayerBlob, place: Place, twin: Layer) -> Staged:
        """The same layer stands on other layers already."""
        pieces = export.layer(self._store, twin.id)

        def read(count: int) -> bytes:
            self.check()
            return next(pieces, b"")

        made = self._unpack(place, stream.Source(read), stream.PLAIN, lambda count: None)
        verify(made.passed, 0, "", -1, blob.diff_id)
        made.passed = replace(made.passed, blob=blob.digest)
        made.size, made.kind = int(twin.raw.get("compressed-size") or 0), int(twin.raw.get("compression") or 0)
        skipped(self._progress, blob)
        return made

    def _fetched(self, blob: LayerBlob, place: Place, start: Checkpoint | None = None, before: str = "") -> Staged:
        key, offset = blob.digest, start.offset if start is not None else 0
        self._progress.begin(key, f"Copying blob {key}", blob.size)
        if offset:
            self._progress.advance(key, offset)
        with _Reading(self, blob, offset) as read:
            source = stream.Source(read)
            source.size = offset
            kind = start.kind if start is not None else stream.compression_of(source.peek(6))
            memory = stream.zstd_window(source.peek(18)) if kind == stream.ZSTD else 0
            tracker = None
            if start is not None or (not 0 <= blob.size < _TRACKED and checkpoints.supported(kind)):
                tracker = checkpoints.Tracker(kind, start)
            content = partial.content(start, before) if start is not None else None
            with _Alone(self, memory > _LARGE):
                made = self._unpack(
                    place, source, kind, lambda count: self._progress.advance(key, count), tracker, content
                )
        verify(made.passed, made.size, blob.digest, blob.size, blob.diff_id)
        if made.size >= partial.LEAST:
            place.keep_whole(made)
        self._progress.end(key)
        return made

    def _unpack(
        self,
        place: Place,
        source: stream.Source,
        kind: int,
        advance: Callable[[int], None],
        tracker: checkpoints.Tracker | None = None,
        before: Iterator[bytes] | None = None,
    ) -> Staged:
        path = place.new()
        directory, split = f"{path}/layer", f"{path}/split"
        again = _Again(self, before) if before is not None else None
        extractor = staged.alone(self._store, directory, split, f"{path}/shadow")
        try:
            passed = flow.run(source, kind, extractor, self._store.limits, advance, tracker=tracker, before=again)
            extractor.seal()
            return staged.finished(extractor, directory, split, kind, passed, source.size)
        except ConnectionCut:
            # Whoever stopped us has had an error, or this is one.
            keep = self._over is None or _worth_keeping(self._over)
            if tracker is not None and keep and (again is None or again.done):
                last = tracker.last
                if last is not None and last.offset >= partial.LEAST:
                    extractor.cut()
                    extractor.seal()
                    place.keep_cut(last)
            raise
        finally:
            extractor.close()

    def opened(self, blob: LayerBlob, offset: int) -> Body:
        """A body that ``_stop`` closes. Raises ConnectionCut if that has been called already."""
        self.check()
        body = self._open(blob, offset)
        with self._lock:
            self._bodies.add(body)
            over = self._over is not None
        if over:
            body.close()
        return body

    def check(self) -> None:
        """Raises ConnectionCut if the work is over."""
        if self._over is not None:
            raise ConnectionCut("interrupted")

    def closed(self, body: Body) -> None:
        with self._lock:
            self._bodies.discard(body)
        body.close()


class _Alone:
    """For the length of a ``with`` block: of the layers that need much memory there is one at a time."""

    def __init__(self, work: _Fetch, much: bool) -> None:
        self._work = work
        self._much = much

    def __enter__(self) -> None:
        while self._much and not self._work.large.acquire(timeout=0.2):
            self._work.check()

    def __exit__(self, *_: object) -> None:
        if self._much:
            self._work.large.release()


class _Again:
    """The content that was there before the cut; ``done`` when all of it has been taken."""

    def __init__(self, work: _Fetch, pieces: Iterator[bytes]) -> None:
        self._work = work
        self._pieces = pieces
        self.done = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._work.check()
            yield piece
        self.done = True


class _Reading:
    """A blob that is opened when its first bytes are wanted: what was there before may have to be unpacked first."""

    def __init__(self, work: _Fetch, blob: LayerBlob, offset: int) -> None:
        self._work = work
        self._blob = blob
        self._offset = offset
        self._body: Body | None = None

    def __enter__(self) -> Callable[[int], bytes]:
        return self._read

    def __exit__(self, *_: object) -> None:
        if self._body is not None:
            self._work.closed(self._body)

    def _read(self, count: int) -> bytes:
        if self._body is None:
            self._body = self._work.opened(self._blob, self._offset)
        self._work.check()
        return self._body.read(count)
