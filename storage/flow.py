"""One layer's way through: decompressed, hashed and unpacked while it is read, by several threads if that pays."""

from __future__ import annotations

import hashlib

from storage import limits as limiting
from storage import stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from storage.extract import Extractor
    from storage.limits import Limits

_SMALL = 1 << 17  # bytes of a layer for which starting threads costs more than it saves


class Passed:
    """What has gone through: digests of the layer as it came and of its content, and the content's size in bytes."""

    def __init__(self, blob: Any, content: Any, size: int) -> None:
        self.blob = "sha256:" + blob.hexdigest()
        self.content = "sha256:" + content.hexdigest()
        self.size = size


def run(
    source: stream.Source, kind: int, extractor: Extractor, limits: Limits, advance: Callable[[int], None]
) -> Passed:
    """Unpack ``source``, compressed as ``kind`` says; ``advance`` is told of the bytes that have been read.

    Raises BadArchive, StorageError.
    """
    blob = hashlib.sha256()
    content = blob if kind == stream.PLAIN else hashlib.sha256()
    small = len(source.peek(_SMALL)) < _SMALL
    pieces = limiting.watched(stream.chunks(source, kind), source, limits, "a layer", "max_layer_size")
    size = 0
    if small:

        def seen(data: bytes) -> None:
            blob.update(data)
            advance(len(data))

        source.tell(seen)
        for piece in pieces:
            size += len(piece)
            if kind != stream.PLAIN:
                content.update(piece)
            extractor.feed(piece)
        extractor.finish()
        source.drain()
        return Passed(blob, content, size)

    from storage.crew import Crew

    # This thread reads and decompresses, one unpacks, one compresses tar-split, the others hash.
    with Crew() as crew:
        records = crew.worker(extractor.write)
        extractor.write = records.put
        unpacker = crew.worker(extractor.feed)
        arriving = crew.worker(blob.update)
        unpacked = arriving if kind == stream.PLAIN else crew.worker(content.update)

        def handed_on(data: bytes) -> None:
            arriving.put(data)
            advance(len(data))

        source.tell(handed_on)
        for piece in pieces:
            size += len(piece)
            if kind != stream.PLAIN:
                unpacked.put(piece)
            unpacker.put(piece)
        unpacker.finish()
        extractor.finish()
        records.finish()
        source.drain()
        arriving.finish()
        unpacked.finish()
    return Passed(blob, content, size)
