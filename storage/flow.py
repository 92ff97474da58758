"""One layer's way through: decompressed, hashed and unpacked while it is read, by several threads if that pays."""

from __future__ import annotations

from pypod.base.record import record
from storage import limits as limiting
from storage import stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from storage.checkpoints import Tracker
    from storage.extract import Extractor
    from storage.limits import Limits

_SMALL = 1 << 17  # bytes of a layer for which starting threads costs more than it saves


@record
class Passed:
    """What has gone through: digests of the layer as it came and of its content, and the content's size in bytes."""

    blob: str
    content: str
    size: int


def run(
    source: stream.Source,
    kind: int,
    extractor: Extractor,
    limits: Limits,
    advance: Callable[[int], None],
    *,
    tracker: Tracker | None = None,
    before: Iterable[bytes] | None = None,
) -> Passed:
    """Unpack ``source``, compressed as ``kind`` says; ``advance`` is told of the bytes that have been read.

    ``tracker`` takes note of places where it could be taken up later; ``before`` is the content before the one where
    that is being done now. Raises BadArchive, StorageError.
    """
    from hashlib import sha256

    blob: Any = sha256() if tracker is None else tracker
    same = kind == stream.PLAIN and before is None
    content = blob if same else sha256()
    small = before is None and len(source.peek(_SMALL)) < _SMALL
    pieces = stream.chunks(source, kind) if tracker is None else tracker.content(source, before or ())
    pieces = limiting.watched(pieces, source, limits, "a layer", "max_layer_size")
    size = 0
    if small:

        def seen(data: bytes) -> None:
            blob.update(data)
            advance(len(data))

        source.tell(seen)
        for piece in pieces:
            size += len(piece)
            if not same:
                content.update(piece)
            extractor.feed(piece)
        extractor.finish()
        source.drain()
        return _passed(blob, content, size)

    from storage.crew import Crew

    write = extractor.write
    # This thread reads and decompresses, one unpacks, one compresses tar-split, the others hash.
    try:
        with Crew() as crew:
            records = crew.worker(extractor.write)
            extractor.write = records.put
            unpacker = crew.worker(extractor.feed)
            arriving = crew.worker(blob.update)
            unpacked = arriving if same else crew.worker(content.update)

            def handed_on(data: bytes) -> None:
                mark = tracker and tracker.mark(source.size - len(data))
                if mark:
                    arriving.put(mark)
                arriving.put(data)
                advance(len(data))

            source.tell(handed_on)
            for piece in pieces:
                size += len(piece)
                if not same:
                    unpacked.put(piece)
                unpacker.put(piece)
            unpacker.finish()
            extractor.finish()
            records.finish()
            source.drain()
            arriving.finish()
            unpacked.finish()
    finally:
        extractor.write = write
    return _passed(blob, content, size)


def _passed(blob: Any, content: Any, size: int) -> Passed:
    return Passed(blob="sha256:" + blob.hexdigest(), content="sha256:" + content.hexdigest(), size=size)
