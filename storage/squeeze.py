"""How layers are compressed on their way out: gzip, zstd or zstd:chunked, each at a level."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import ThreadPoolExecutor

    from storage.outgoing import Outgoing
    from storage.records import Layer

FORMATS = ("gzip", "zstd", "zstd:chunked")
_LEVELS = {"gzip": (1, 9), "zstd": (1, 20), "zstd:chunked": (1, 20)}


@record
class Packing:
    """``format`` is "" (as they are in the store) or one of FORMATS; ``level`` None for what is best for its time."""

    format: str = "gzip"
    level: int | None = None


GZIP = Packing()
PLAIN = Packing(format="")


def check(packing: Packing) -> None:
    """Raises UsageError."""
    if packing.format not in FORMATS:
        raise UsageError(
            f'unsupported compression format "{packing.format}": there are {", ".join(FORMATS)}',
        )
    least, most = _LEVELS[packing.format]
    if packing.level is not None and not least <= packing.level <= most:
        raise UsageError(f"compression level {packing.level} of {packing.format} is not between {least} and {most}")


def compression(packing: Packing, notes: dict[str, str]) -> str:
    """How a blob is compressed for which ``packed`` has left these annotations."""
    return "zstd" if packing.format == "zstd:chunked" and not notes else packing.format


def packed(
    image: Outgoing,
    layer: Layer,
    pieces: Iterable[bytes],
    packing: Packing,
    notes: dict[str, str],
    pool: ThreadPoolExecutor | None = None,
) -> Iterator[bytes]:
    """A layer's archive ``pieces``, compressed. At the end ``notes`` has the annotations of the blob.

    Raises StorageError.
    """
    if packing.format == "gzip":
        from storage import deflate

        return deflate.gzip(pieces, level=packing.level, pool=pool)
    if packing.format == "zstd":
        return _zstd(pieces, packing.level)
    if packing.format == "zstd:chunked":
        from storage import chunked

        return chunked.pack(image.store.tar_split(layer), pieces, packing.level, notes)
    return iter(pieces)


def _zstd(pieces: Iterable[bytes], level: int | None) -> Iterator[bytes]:
    import zstandard

    # What several threads write is the same for any number of them above zero.
    one = zstandard.ZstdCompressor(level=3 if level is None else level, threads=min(os.cpu_count() or 1, 8))
    stream = one.compressobj()
    for piece in pieces:
        if data := stream.compress(piece):
            yield data
    yield stream.flush()
