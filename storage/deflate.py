"""gzip with several threads: one member, its blocks compressed side by side, each knowing the end of the last one.

zlib and ISA-L release the interpreter's lock. ISA-L (the package isal), where it is installed, is eight times as fast
as zlib's level 6 and 1 % (text) to 10 % (programs) worse; zlib's level 1 is three times as fast and 11 to 19 % worse.
What does not shrink is stored: the search would cost much and gain nothing.
"""

from __future__ import annotations

import os
import struct
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor
    from typing import Any

BLOCK = 1 << 20
_WINDOW = 1 << 15
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_SAMPLE = 1 << 11


def _dense(block: bytes) -> bool:
    """Whether compressing is in vain, from four samples."""
    step = max(len(block) // 4, _SAMPLE)
    sample = b"".join([block[at : at + _SAMPLE] for at in range(0, len(block), step)])
    return len(zlib.compress(sample, 1)) > len(sample) * 0.98


def _stored(block: bytes, last: bool) -> bytes:
    """RFC 1951, 3.2.4: pieces of 64 KiB, as they are."""
    view = memoryview(block)
    pieces: list[bytes | memoryview] = []
    for at in range(0, len(block), 65535):
        piece = view[at : at + 65535]
        final = last and at + 65535 >= len(block)
        pieces.append(struct.pack("<BHH", final, len(piece), len(piece) ^ 0xFFFF))
        pieces.append(piece)
    return b"".join(pieces)


def _compress(engine: Any, block: bytes, before: bytes, level: int, last: bool) -> bytes:
    if block and _dense(block):
        return _stored(block, last)
    one = engine.compressobj(level, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, before)
    packed: bytes = one.compress(block) + one.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
    return packed


def _engine(level: int | None) -> tuple[Any, int]:
    """What compresses best for its time, and at which level; zlib where somebody asks for a level of zlib's."""
    import importlib

    if level is not None:
        return zlib, level
    try:
        return importlib.import_module("isal.isal_zlib"), 2
    except ImportError:
        return zlib, 1


def blocks(pieces: Iterable[bytes], size: int = BLOCK) -> Iterator[bytes]:
    """The same bytes in blocks of ``size``, the last one shorter."""
    kept: list[bytes] = []
    have = 0
    for piece in pieces:
        at = 0
        while have + len(piece) - at >= size:
            end = at + size - have
            kept.append(piece[at:end])
            yield b"".join(kept)
            kept, have, at = [], 0, end
        if at < len(piece):
            kept.append(piece[at:])
            have += len(piece) - at
    if have:
        yield b"".join(kept)


def gzip(
    pieces: Iterable[bytes], *, threads: int = 0, level: int | None = None, pool: ThreadPoolExecutor | None = None
) -> Iterator[bytes]:
    """The gzip stream of ``pieces``. It does not depend on how they are cut, nor on the number of threads.

    ``level`` is zlib's, 0 to 9; what is best for its time if it is None. ``pool``: threads that several streams
    share, where there are several at once; ``threads`` blocks of this one are on their way then.
    """
    from concurrent.futures import ThreadPoolExecutor

    threads = threads or min(os.cpu_count() or 1, 8)
    if pool is not None:
        yield from _gzip(pieces, pool, threads, level)
        return
    with ThreadPoolExecutor(threads) as own:
        yield from _gzip(pieces, own, threads, level)


def _gzip(pieces: Iterable[bytes], pool: ThreadPoolExecutor, ahead: int, wanted: int | None) -> Iterator[bytes]:
    engine, level = _engine(wanted)
    crc = size = 0
    before = b""
    waiting: list[Future[bytes]] = []
    held: bytes | None = None
    try:
        yield _HEADER
        for block in blocks(pieces):
            if held is not None:
                waiting.append(pool.submit(_compress, engine, held, before, level, False))
                before = held[-_WINDOW:]
            held = block
            crc = zlib.crc32(block, crc)
            size += len(block)
            while len(waiting) > ahead:
                yield waiting.pop(0).result()
        waiting.append(pool.submit(_compress, engine, held or b"", before, level, True))
        while waiting:
            yield waiting.pop(0).result()
    finally:
        for future in waiting:
            future.cancel()
    yield crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
