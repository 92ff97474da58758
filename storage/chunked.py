"""zstd:chunked, the compression of containers/storage from which single files can be fetched.

The archive is cut into zstd frames: each file's content is a frame of its own, all that is between is others. What
follows is in skippable frames, which ordinary readers pass over: the table of contents (JSON, itself compressed), the
layer's tar-split, and a footer that says where the two are; annotations of the blob say the same. The format is what
containers/storage's pkg/chunked reads.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct

from pypod.base import fastjson, times
from storage import squeeze, stream, tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

_PREFIX = "io.github.containers.zstd-chunked."
_CHECKSUM, _POSITION = _PREFIX + "manifest-checksum", _PREFIX + "manifest-position"
_SPLIT_POSITION = _PREFIX + "tarsplit-position"
_CRFS = 1  # the kind of table
_MAGIC = b"GNUlInUx"
_SKIPPABLE = 0x184D2A50
_KINDS = {
    tar.REGULAR: "reg",
    tar.LINK: "hardlink",
    tar.SYMLINK: "symlink",
    tar.CHARACTER: "char",
    tar.DEVICE: "block",
    tar.DIRECTORY: "dir",
    tar.FIFO: "fifo",
}
_LARGE = 1 << 22  # bytes of a file that is compressed piece by piece
_BLOCK = 512


class _Headers:
    """The archive as ``tar.Reader`` takes it; ``raw`` gathers what is no file's content."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._buffer = stream.Buffer(pieces)
        self.raw: list[bytes] = []
        self.skipped = False

    def some(self, count: int) -> memoryview:
        return self._buffer.some(count)

    def exactly(self, count: int) -> bytes:
        data = self._buffer.exactly(count)
        self.raw.append(data)
        return data

    def skip(self, count: int) -> bool:
        raise AssertionError("every payload is read")

    def take(self) -> bytes:
        """What has been gathered since the last call."""
        data = b"".join(self.raw)
        self.raw = []
        return data

    def rest(self) -> None:
        """Gather what follows the last entry."""
        while data := self._buffer.some(1 << 20):
            self.raw.append(bytes(data))


class _Table:
    """The table of contents; ``fits`` becomes False for an archive that the format cannot describe."""

    def __init__(self) -> None:
        self.fits = True
        self._names: set[bytes] = set()
        self._entries: list[dict[str, Any]] = []

    def add(self, entry: tar.Entry, raw: bytes) -> dict[str, Any]:
        item: dict[str, Any] = {}
        kind = _KINDS.get(entry.kind)
        records, known = _extended(raw)
        if kind is None or entry.sparse is not None or entry.name in self._names or not known:
            self.fits = False
        self._names.add(entry.name)
        try:
            item = {"type": kind, "name": entry.name.decode(), "linkName": entry.target.decode()}
            for key, stamp in (("accesstime", records.get(b"atime")), ("changetime", records.get(b"ctime"))):
                if stamp is not None:
                    item[key] = times.since_1970(_nanoseconds(stamp))
        except ValueError:
            self.fits = False
        item |= {"mode": entry.mode, "size": entry.size if kind == "reg" else 0, "uid": entry.uid, "gid": entry.gid}
        item |= {"modtime": times.since_1970(entry.mtime), "devMajor": entry.major, "devMinor": entry.minor}
        item = {key: value for key, value in item.items() if value}
        if entry.xattrs:
            item["xattrs"] = {
                key.decode("utf-8", "replace"): base64.b64encode(value).decode()
                for key, value in sorted(entry.xattrs.items())
            }
        self._entries.append(item)
        return item

    def document(self, split_digest: str) -> bytes:
        value = {"version": 1, "entries": self._entries, "tarSplitDigest": split_digest}
        return fastjson.dumps(value).encode()


def _extended(raw: bytes) -> tuple[dict[bytes, bytes], bool]:
    """The pax records before an entry's header, which ends ``raw``; and whether there is nothing but those and GNU's
    long names.
    """
    records: dict[bytes, bytes] = {}
    at = len(raw) % _BLOCK
    while at < len(raw) and not raw[at : at + _BLOCK].strip(b"\0"):
        at += _BLOCK
    known = True
    while at + _BLOCK < len(raw):
        kind = raw[at + 156 : at + 157]
        try:
            size = int(raw[at + 124 : at + 136].strip(b" \0") or b"0", 8)
        except ValueError:
            return records, False
        data = raw[at + _BLOCK : at + _BLOCK + size]
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK
        if kind == b"x":
            while data:
                length, _, rest = data.partition(b" ")
                if not length.isdigit() or not 0 < int(length) <= len(data):
                    return records, False
                key, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
                records[key] = value
                data = data[int(length) :]
        elif kind not in (b"L", b"K"):
            known = False
    return records, known


def _nanoseconds(text: bytes) -> int:
    """A pax time: seconds with a fraction. Raises ValueError."""
    whole, _, part = text.decode("ascii").partition(".")
    sign = -1 if whole.startswith("-") else 1
    return int(whole or "0") * 1_000_000_000 + sign * int((part + "000000000")[:9])


class _Frames:
    """Writes zstd frames; ``size`` bytes have been written."""

    def __init__(self, level: int, threads: int) -> None:
        import zstandard

        self._threads = threads
        self._level = level
        self._one = zstandard.ZstdCompressor(level=level)
        self.size = 0

    def frame(self, data: bytes) -> bytes:
        packed: bytes = self._one.compress(data)
        self.size += len(packed)
        return packed

    def long_frame(self, pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
        """A frame of pieces; several threads compress it."""
        one = squeeze.zstd_stream(self._level, self._threads)
        for piece in pieces:
            if data := one.compress(piece):
                self.size += len(data)
                yield data
        data = one.flush()
        self.size += len(data)
        yield data

    def skippable(self, data: bytes) -> bytes:
        """A frame that holds no data of the archive."""
        self.size += 8 + len(data)
        return struct.pack("<II", _SKIPPABLE, len(data)) + data


def pack(
    split: str, pieces: Iterable[bytes], level: int | None, notes: dict[str, str], threads: int = 1
) -> Iterator[bytes]:
    """A layer's archive ``pieces`` in this format; ``split`` is its tar-split file.

    At the end ``notes`` has the blob's annotations. It stays empty, and the blob is ordinary zstd, where the format
    cannot describe the archive: names twice or not UTF-8, sparse files, no tar-split. Raises StorageError.
    """
    headers = _Headers(iter(pieces))
    frames = _Frames(3 if level is None else level, threads)
    table = _Table()
    reader = tar.Reader(headers)  # type: ignore[arg-type]
    pending = b""
    while (entry := reader.next()) is not None:
        raw = headers.take()
        item = table.add(entry, raw)
        pending += raw
        if entry.stored:
            yield frames.frame(pending)
            pending = b""
            start = frames.size
            sum = hashlib.sha256()
            yield from _content(frames, reader, entry, sum)
            item |= {"digest": f"sha256:{sum.hexdigest()}", "offset": start, "endOffset": frames.size}
        elif len(pending) > _LARGE:
            yield frames.frame(pending)
            pending = b""
    headers.rest()
    yield frames.frame(pending + headers.take())
    if not table.fits or not os.path.exists(split):
        return
    length, packed_split = _split(split)
    document = table.document("sha256:" + hashlib.sha256(packed_split).hexdigest())
    packed = frames._one.compress(document)
    position = frames.size + 8
    split_position = position + len(packed) + 8
    yield frames.skippable(packed)
    yield frames.skippable(packed_split)
    numbers = (position, len(packed), len(document), _CRFS, split_position, len(packed_split), length)
    yield frames.skippable(struct.pack("<7Q", *numbers) + _MAGIC)
    notes[_CHECKSUM] = "sha256:" + hashlib.sha256(packed).hexdigest()
    notes[_POSITION] = f"{position}:{len(packed)}:{len(document)}:{_CRFS}"
    notes[_SPLIT_POSITION] = f"{split_position}:{len(packed_split)}:{length}"


def _content(frames: _Frames, reader: tar.Reader, entry: tar.Entry, sum: Any) -> Iterator[bytes]:
    """The frame of a file's content, hashed into ``sum``."""
    if entry.stored <= _LARGE:
        data = b"".join(reader.payload())
        sum.update(data)
        yield frames.frame(data)
        return

    def hashed() -> Iterator[memoryview]:
        for piece in reader.payload():
            sum.update(piece)
            yield piece

    yield from frames.long_frame(hashed())


def _split(path: str) -> tuple[int, bytes]:
    """A tar-split file's size in bytes, and its content as zstd. Raises StorageError."""
    import zstandard

    from pypod.errors import BadArchive, StorageError, reason

    length = 0
    packed = []
    one = zstandard.ZstdCompressor(level=3).compressobj()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for piece in stream.chunks(stream.Source(stream.reader_of(fd)), stream.GZIP):
                length += len(piece)
                packed.append(one.compress(piece))
        finally:
            os.close(fd)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {reason(error)}") from None
    except BadArchive as error:
        raise StorageError(f"cannot read {path}: {error}") from None
    return length, b"".join(packed) + one.flush()
