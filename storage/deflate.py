"""gzip with several threads: one member, its blocks compressed side by side, each knowing the end of the last one.

zlib releases the interpreter's lock. What does not shrink is stored: the search would cost much and gain nothing.
"""

from __future__ import annotations

import os
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

BLOCK = 1 << 20
_WINDOW = 1 << 15
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_SAMPLE = 1 << 12


def _dense(block: bytes) -> bool:
    """Whether compressing is in vain, from samples."""
    step = max(len(block) // 8, _SAMPLE)
    sample = b"".join([block[at : at + _SAMPLE] for at in range(0, len(block), step)])
    return len(zlib.compress(sample, 1)) > len(sample) * 0.98


def _compress(block: bytes, before: bytes, level: int, last: bool) -> bytes:
    if _dense(block):
        level = 0
    one = zlib.compressobj(level, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, before) if before else None
    if one is None:
        one = zlib.compressobj(level, zlib.DEFLATED, -15, 9)
    return one.compress(block) + one.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


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


def gzip(pieces: Iterable[bytes], *, level: int = 6, threads: int = 0) -> Iterator[bytes]:
    """The gzip stream of ``pieces``. It depends on them and ``level`` only, not on how many threads there are."""
    from concurrent.futures import ThreadPoolExecutor

    threads = threads or min(os.cpu_count() or 1, 8)
    crc = size = 0
    before = b""
    waiting: list[Future[bytes]] = []
    held: bytes | None = None
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield _HEADER
            for block in blocks(pieces):
                if held is not None:
                    waiting.append(pool.submit(_compress, held, before, level, False))
                    before = held[-_WINDOW:]
                held = block
                crc = zlib.crc32(block, crc)
                size += len(block)
                while len(waiting) > threads:
                    yield waiting.pop(0).result()
            waiting.append(pool.submit(_compress, held or b"", before, level, True))
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
    yield crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
