"""Byte streams of archives: files, pipes and HTTP bodies, hashed and decompressed in passing, in flat memory."""

from __future__ import annotations

import os

from pypod.errors import BadArchive, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Read = Callable[[int], bytes]

CHUNK = 1 << 18

# The numbers of the layer record's ``compression``.
PLAIN, BZIP2, GZIP, XZ, ZSTD = 0, 1, 2, 3, 4

_MAGIC = (
    (b"\x1f\x8b\x08", GZIP),
    (b"BZh", BZIP2),
    (b"\xfd7zXZ\x00", XZ),
    (b"\x28\xb5\x2f\xfd", ZSTD),
)
_SKIPPABLE = b"\x2a\x4d\x18"  # zstd: the end of the magic number of frames that hold no data
_NAMES = {BZIP2: "bzip2", GZIP: "gzip", XZ: "xz", ZSTD: "zstd"}


def compression_of(start: bytes) -> int:
    """How data that begins with ``start`` is compressed."""
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if start[1:4] == _SKIPPABLE and 0x50 <= start[0] <= 0x5F:
        return ZSTD
    return PLAIN


def reader_of(fd: int) -> Read:
    """read(2) with errors of ours."""

    def read(count: int) -> bytes:
        try:
            return os.read(fd, count)
        except OSError as error:
            raise BadArchive(f"cannot read the archive: {reason(error)}") from None

    return read


class Source:
    """A stream that can be looked into; ``size`` bytes of it have passed.

    ``passed`` is called with each piece, in order, once: for a digest, or for who watches.
    """

    def __init__(self, read: Read, passed: Callable[[bytes], object] | None = None) -> None:
        self._read = read
        self._passed = passed
        self.size = 0
        self._start = b""

    def tell(self, passed: Callable[[bytes], object]) -> None:
        """Have ``passed`` called from now on, with what has been looked at already first."""
        self._passed = passed
        if self._start:
            passed(self._start)

    def peek(self, count: int) -> bytes:
        """The next bytes, at most ``count``, which stay to be read."""
        parts = [self._start]
        have = len(self._start)
        while have < count:
            more = self._take(CHUNK)
            if not more:
                break
            parts.append(more)
            have += len(more)
        self._start = b"".join(parts)
        return self._start[:count]

    def _take(self, count: int) -> bytes:
        data = self._read(count)
        self.size += len(data)
        if self._passed is not None and data:
            self._passed(data)
        return data

    def read(self, count: int) -> bytes:
        """Up to ``count`` bytes, b"" at the end."""
        if self._start:
            data, self._start = self._start[:count], self._start[count:]
            return data
        return self._take(count)

    def drain(self) -> None:
        """Read to the end, for the digest's sake."""
        self._start = b""
        while self._take(CHUNK):
            pass


def chunks(source: Source, kind: int) -> Iterator[bytes]:
    """The decompressed content of ``source``.

    Raises BadArchive where it is broken or ends too early.
    """
    if kind == PLAIN:
        while data := source.read(CHUNK):
            yield data
        return
    try:
        if kind == ZSTD:
            yield from _zstd(source)
        elif kind == GZIP:
            yield from _gzip(source)
        else:
            yield from _others(source, kind)
    except (EOFError, ValueError, OSError, MemoryError) as error:
        raise broken(kind, error) from None


def broken(kind: int, error: Exception) -> BadArchive:
    """The error for compressed data in which a decompressor has found one."""
    return BadArchive(f"cannot decompress the archive: {_NAMES[kind]}: {error}")


def _inflater() -> Any:
    """ISA-L (the package isal) where it is installed: it inflates 1.1 GB/s of programs or text, zlib 0.4."""
    import importlib

    try:
        return importlib.import_module("isal.isal_zlib")
    except ImportError:
        return importlib.import_module("zlib")


def _gzip(source: Source) -> Iterator[bytes]:
    zlib = _inflater()
    data = source.read(CHUNK)
    first = True
    while data:
        if not first and not data.strip(b"\0"):
            data = source.read(CHUNK)  # padding
            continue
        one = zlib.decompressobj(31)
        try:
            while not one.eof:
                if not data:
                    data = source.read(CHUNK)
                out = one.decompress(data, CHUNK * 4)
                if out:
                    yield out
                elif not data:
                    raise EOFError("it ends in the middle of the data")
                data = one.unconsumed_tail
        except zlib.error as error:
            raise ValueError(str(error)) from None
        data = one.unused_data or source.read(CHUNK)
        first = False


def _others(source: Source, kind: int) -> Iterator[bytes]:
    import bz2
    import lzma

    def make() -> Any:
        if kind == BZIP2:
            return bz2.BZ2Decompressor()
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=1 << 30)

    data = source.read(CHUNK)
    first = True
    while data:
        if not first and not data.strip(b"\0"):
            data = source.read(CHUNK)
            continue
        one = make()
        try:
            while not one.eof:
                if one.needs_input and not data:
                    data = source.read(CHUNK)
                    if not data:
                        raise EOFError("it ends in the middle of the data")
                out = one.decompress(data, CHUNK * 4)
                data = b""
                if out:
                    yield out
        except lzma.LZMAError as error:
            raise ValueError(str(error)) from None
        data = one.unused_data or source.read(CHUNK)
        first = False


def zstd_window(start: bytes) -> int:
    """The bytes that decompressing a zstd frame keeps in memory, by its first 18 bytes (RFC 8878, 3.1.1.1); 0 if
    they are no frame's.
    """
    if compression_of(start) != ZSTD or start[1:4] == _SKIPPABLE or len(start) < 18:
        return 0
    kind = start[4]
    if kind >> 5 & 1:
        length = (1, 2, 4, 8)[kind >> 6]
        at = 5 + (0, 1, 2, 4)[kind & 3]
        return int.from_bytes(start[at : at + length], "little") + (256 if length == 2 else 0)
    base = 1 << (10 + (start[5] >> 3))
    return base + base // 8 * (start[5] & 7)


def _zstd(source: Source) -> Iterator[bytes]:
    """Frame by frame and block by block (RFC 8878, 3.1.1): a block gives at most 128 KiB, however little it takes."""
    import zstandard

    def pieces() -> Iterator[bytes]:
        while data := source.read(CHUNK):
            yield data

    buffer = Buffer(pieces())

    def exactly(count: int) -> bytes:
        data = buffer.exactly(count)
        if len(data) < count:
            raise EOFError("it ends in the middle of the data")
        return data

    while magic := buffer.exactly(4):
        if compression_of(magic.ljust(4, b"?")) != ZSTD:
            if magic.strip(b"\0"):
                raise ValueError("garbage after the data")
            continue
        if magic[1:] == _SKIPPABLE:
            if not buffer.skip(int.from_bytes(exactly(4), "little")):
                raise EOFError("it ends in the middle of a frame")
            continue
        kind = exactly(1)[0]
        single = kind >> 5 & 1
        length = (1 - single) + (0, 1, 2, 4)[kind & 3] + (single, 2, 4, 8)[kind >> 6]
        one = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        try:
            one.decompress(magic + bytes((kind,)) + exactly(length))
            last = False
            while not last:
                header = exactly(3)
                word = int.from_bytes(header, "little")
                last, form, size = bool(word & 1), word >> 1 & 3, word >> 3
                if form == 3 or size > 1 << 17:
                    raise ValueError("a block is malformed")
                if out := one.decompress(header + exactly(1 if form == 1 else size)):
                    yield out
            if kind & 4:
                one.decompress(exactly(4))
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None
        if not one.eof:
            raise ValueError("a frame does not end where it says")


class Buffer:
    """Exact reads from an iterator of chunks."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._chunk = memoryview(b"")

    def _fill(self) -> bool:
        for piece in self._pieces:
            if piece:
                self._chunk = memoryview(piece)
                return True
        return False

    def some(self, count: int) -> memoryview:
        """Between 1 and ``count`` bytes without copying; none at the end."""
        if not self._chunk and not self._fill():
            return self._chunk
        data = self._chunk[:count]
        self._chunk = self._chunk[count:]
        return data

    def exactly(self, count: int) -> bytes:
        """``count`` bytes, fewer only at the end."""
        if len(self._chunk) >= count:
            data = bytes(self._chunk[:count])
            self._chunk = self._chunk[count:]
            return data
        parts = []
        while count:
            part = self.some(count)
            if not part:
                break
            parts.append(bytes(part))
            count -= len(part)
        return b"".join(parts)

    def skip(self, count: int) -> bool:
        """Pass over bytes; False if it ends before."""
        while count:
            part = self.some(count)
            if not part:
                return False
            count -= len(part)
        return True


class FileBuffer:
    """The same for a seekable file that nobody hashes: what is skipped is not read. ``offset`` is where it stands."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self._chunk = b""
        self._at = 0  # of the chunk in the file
        self.offset = 0

    def some(self, count: int) -> memoryview:
        """Between 1 and ``count`` bytes; none at the end."""
        start = self.offset - self._at
        if not 0 <= start < len(self._chunk):
            try:
                self._chunk = os.pread(self._fd, 1 << 15, self.offset)
            except OSError as error:
                raise BadArchive(f"cannot read the archive: {reason(error)}") from None
            self._at, start = self.offset, 0
        data = memoryview(self._chunk)[start : start + count]
        self.offset += len(data)
        return data

    def exactly(self, count: int) -> bytes:
        """``count`` bytes, fewer only at the end."""
        parts = []
        while count:
            part = self.some(count)
            if not part:
                break
            parts.append(bytes(part))
            count -= len(part)
        return b"".join(parts)

    def skip(self, count: int) -> bool:
        """Pass over bytes; False if the file ends before."""
        self.offset += count
        return self.offset <= self._size


def section(fd: int, offset: int, size: int) -> Read:
    """Reads ``size`` bytes of a file from ``offset`` on, whatever others do with its position."""
    place, end = offset, offset + size

    def read(count: int) -> bytes:
        nonlocal place
        try:
            data = os.pread(fd, min(count, end - place), place)
        except OSError as error:
            raise BadArchive(f"cannot read the archive: {reason(error)}") from None
        place += len(data)
        return data

    return read
