"""How layers are compressed on their way out: gzip, zstd or zstd:chunked, each at a level."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import ThreadPoolExecutor
    from typing import Any

    from storage.outgoing import Outgoing
    from storage.records import Layer

FORMATS = ("gzip", "zstd", "zstd:chunked")
_JOB = 1 << 20  # bytes that a thread of zstd's takes at once
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
    beside: int = 1,
) -> Iterator[bytes]:
    """A layer's archive ``pieces``, compressed. At the end ``notes`` has the annotations of the blob.

    ``beside``: how many layers are compressed at once, which share the processors, and for gzip the threads of
    ``pool``. The bytes do not depend on it. Raises StorageError.
    """
    threads = max(1, processors() // beside)
    if packing.format == "gzip":
        from storage import deflate

        return deflate.gzip(pieces, level=packing.level, threads=2 * threads if pool else threads, pool=pool)
    if packing.format == "zstd":
        return _zstd(pieces, packing.level, threads)
    if packing.format == "zstd:chunked":
        from storage import chunked

        return chunked.pack(image.store.tar_split(layer), pieces, packing.level, notes, threads)
    return iter(pieces)


def processors() -> int:
    """How many threads compress at most."""
    return min(os.cpu_count() or 1, 8)


def zstd_stream(level: int | None, threads: int) -> Any:
    """A compressobj that writes one zstd frame. The bytes are the same for any number of threads.

    With zstd's own size of jobs (8 MiB) a stream takes 80 MiB of memory.
    """
    import zstandard

    parameters = zstandard.ZstdCompressionParameters.from_level(
        3 if level is None else level, threads=threads, job_size=_JOB, write_content_size=False
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compressobj()


def _zstd(pieces: Iterable[bytes], level: int | None, threads: int) -> Iterator[bytes]:
    stream = zstd_stream(level, threads)
    for piece in pieces:
        if data := stream.compress(piece):
            yield data
    yield stream.flush()
