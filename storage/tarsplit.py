"""tar-split: a layer's archive without the files' contents, from which the archive can be rebuilt to the bit.

A gzip stream of JSON objects, one per line: type 2 holds raw bytes, type 1 stands for a whole file in ``diff``, with
its size and CRC-64/GO-ISO. Readers refuse two records of type 1 with the same name, so what a later entry replaces
is written as raw bytes.
"""

from __future__ import annotations

import binascii
import os
import zlib

from pypod.base import fastjson
from pypod.errors import BadArchive, StorageError, reason
from storage._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

PIECE = 1 << 20
_LONGEST = 64 << 20  # bytes of a record: readers keep it in memory


def crc64(data: bytes | memoryview, crc: int = 0) -> int:
    """CRC-64/GO-ISO of ``data``, continuing from ``crc``."""
    result: int = lib.st_crc64(crc, ffi.from_buffer(data), len(data))
    return result


class Writer:
    """Writes the records of one layer to ``path``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._gzip = zlib.compressobj(1, zlib.DEFLATED, 31)
        self._split = ffi.gc(lib.st_split_new(), lib.st_split_free)
        self._size = ffi.new("size_t *")
        if not self._split:
            raise MemoryError

    def text(self, data: bytes) -> None:
        """Records that are complete lines already. Raises OSError."""
        _write(self._fd, self._gzip.compress(data))

    def raw(self, data: bytes) -> None:
        """Bytes that are in no file."""
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._made(lib.st_split_raw(self._split, piece, len(piece)))

    def file(self, name: bytes, size: int, crc: int) -> None:
        """An entry, of which ``size`` bytes are in the file called ``name``."""
        self._made(lib.st_split_file(self._split, name, len(name), size, crc))

    def _made(self, result: int, least: int = 1 << 16) -> None:
        if result < 0:
            raise MemoryError
        text = lib.st_split_text(self._split, self._size)
        if self._size[0] >= least:
            self.text(bytes(ffi.buffer(text, self._size[0])))
            lib.st_split_clear(self._split)

    def close(self) -> None:
        """Write the rest. Raises OSError."""
        if self._fd >= 0:
            self._made(0, 1)
            _write(self._fd, self._gzip.flush())
            os.close(self._fd)
            self._fd = -1

    def abandon(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _checked(item: Any) -> dict[str, Any]:
    """A record, if it is one.

    Raises BadJson.
    """
    try:
        if item["type"] == 2:
            binascii.a2b_base64(item.get("payload") or "")
            return item  # type: ignore[no-any-return]
        size = item.get("size") or 0
        if item["type"] == 1 and type(size) is int and 0 <= size < 1 << 63 and b"\0" not in name_of(item):
            if len(binascii.a2b_base64(item.get("payload") or "")) == 8 or not size:
                return item  # type: ignore[no-any-return]
    except (TypeError, KeyError, AttributeError, ValueError):  # ValueError: base64, or half a character
        pass
    raise fastjson.BadJson("broken tar-split: a record is malformed")


def records(path: str) -> Iterator[dict[str, Any]]:
    """The records of a tar-split file; their payloads are base64, sizes numbers, and files have a CRC.

    Raises StorageError.
    """
    from storage import stream

    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        rest = b""
        try:
            for chunk in stream.chunks(stream.Source(stream.reader_of(fd)), stream.GZIP):
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()
                if len(rest) > _LONGEST:
                    raise fastjson.BadJson("broken tar-split: a record without end")
                for line in lines:
                    if line.strip():
                        yield _checked(fastjson.loads(line))
            if rest.strip():
                for item in _unseparated(rest):
                    yield _checked(item)
        except (BadArchive, fastjson.BadJson) as error:
            raise StorageError(f"cannot read {path}: {error}") from None
    finally:
        os.close(fd)


def _unseparated(data: bytes) -> Iterator[dict[str, Any]]:
    """JSON objects that no line end divides, which the format allows."""
    import json

    decoder = json.JSONDecoder()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise fastjson.BadJson(f"not UTF-8 at byte {error.start}") from None
    place = 0
    while place < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            raise fastjson.BadJson(str(error)) from None
        yield value
        while place < len(text) and text[place] in " \t\r\n":
            place += 1


def name_of(item: Mapping[str, Any]) -> bytes:
    if "name" in item:
        name: str = item["name"]
        return name.encode()
    return binascii.a2b_base64(item.get("name_raw") or "")


def rewrite(path: str, shadow_of: Callable[[int], str | None]) -> None:
    """Turn the records for whose positions ``shadow_of`` names a file into raw bytes, read from that file.

    For entries that a later one of the same name has replaced. Raises OSError, StorageError.
    """
    writer = Writer(path + ".new")
    try:
        for number, item in enumerate(records(path)):
            if item["type"] == 2:
                writer.raw(binascii.a2b_base64(item["payload"]))
            elif (shadow := shadow_of(number)) is not None:
                if item.get("size"):
                    with open(shadow, "rb") as file:
                        while data := file.read(PIECE):
                            writer.raw(data)
            else:
                payload = item.get("payload")
                crc = int.from_bytes(binascii.a2b_base64(payload), "big") if payload else 0
                writer.file(name_of(item), item.get("size") or 0, crc)
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    os.rename(path + ".new", path)


def rebuild(path: str, directories: list[str]) -> Iterator[bytes]:
    """The layer's archive from its tar-split file and ``directories``: its ``diff`` and those below it.

    Raises StorageError where a file is missing or changed.
    """
    from storage import stream

    fds: list[int] = []
    rebuilding = ffi.NULL
    try:
        try:
            for directory in directories:
                fds.append(os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            error = ffi.new("int *")
            rebuilding = lib.st_rebuild_open(fds, len(fds), error)
            if rebuilding == ffi.NULL:
                raise OSError(-error[0], os.strerror(-error[0]))
            fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as problem:
            raise StorageError(f"cannot rebuild a layer: {reason(problem)}") from None
        buffer = ffi.new("char[]", PIECE)
        text = stream.chunks(stream.Source(stream.reader_of(fds[-1])), stream.GZIP)
        last = False
        while not last:
            try:
                more = next(text, b"")
            except BadArchive as problem:
                raise StorageError(f"cannot read {path}: {problem}") from None
            last = not more
            if lib.st_rebuild_feed(rebuilding, ffi.from_buffer(more), len(more), last):
                raise _not_rebuilt(rebuilding)
            got = PIECE
            while got == PIECE:
                got = lib.st_rebuild_read(rebuilding, buffer, PIECE)
                if got < 0:
                    raise _not_rebuilt(rebuilding)
                if got:
                    yield bytes(ffi.buffer(buffer, got))
    finally:
        lib.st_rebuild_close(rebuilding)
        for fd in fds:
            os.close(fd)


def _not_rebuilt(rebuilding: Any) -> StorageError:
    from pypod.base.text import show

    where, _, cause = ffi.string(lib.st_rebuild_message(rebuilding)).rpartition(b": ")
    return StorageError(f"cannot rebuild a layer: {show(where)}: {show(cause)}")
