"""A reader of tar archives (tar(5): ustar, pax, GNU, star, v7); csrc/tar.c parses, with limits on what a hostile
header may claim.
"""

from __future__ import annotations

import errno

from pypod.base.text import show
from pypod.errors import BadArchive
from storage import limits as limiting
from storage._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from storage.stream import Buffer, FileBuffer

REGULAR, LINK, SYMLINK, CHARACTER, DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"


class Entry:
    """One member."""

    __slots__ = (
        "name",
        "kind",
        "mode",
        "uid",
        "gid",
        "size",
        "stored",
        "mtime",
        "target",
        "major",
        "minor",
        "xattrs",
        "sparse",
    )

    def __init__(self, found: Any) -> None:
        self.name = bytes(ffi.buffer(found.name, found.name_size))
        self.kind = bytes((found.kind,))
        self.mode: int = found.mode
        self.uid: int = found.uid
        self.gid: int = found.gid
        self.size: int = found.size  # of the file, in bytes
        self.stored: int = found.stored  # of the payload in the archive; differs for sparse files only
        self.mtime: int = found.mtime  # nanoseconds
        self.target = bytes(ffi.buffer(found.target, found.target_size))
        self.major: int = found.device_major
        self.minor: int = found.device_minor
        self.xattrs: dict[bytes, bytes] = {}
        for place in range(found.attribute_count):
            item = found.attributes[place]
            key = bytes(ffi.buffer(item.key, item.key_size))
            self.xattrs[key] = bytes(ffi.buffer(item.value, item.value_size))
        self.sparse: list[tuple[int, int]] | None = None  # (offset, length) of the stored pieces
        if found.sparse:
            pieces = (found.pieces[place] for place in range(found.piece_count))
            self.sparse = [(piece.offset, piece.length) for piece in pieces]


def explain(text: Any, entry: Any) -> str:
    """An error's text of C, with the entry's name and its link target where they belong."""
    message: str = ffi.string(text).decode("utf-8", "backslashreplace")
    for mark, data, size in (("\1", entry.name, entry.name_size), ("\2", entry.target, entry.target_size)):
        if mark in message:
            message = message.replace(mark, show(bytes(ffi.buffer(data, size))))
    return message


def limits_for(limits: limiting.Limits, counted: str) -> Any:
    """The parser's limits; ``counted`` is the one of the number of entries."""
    entries: int = getattr(limits, counted)
    made = ffi.new("st_tar_limits *")
    made.entries, made.name = entries, limits.max_name_length
    made.pax, made.sparse = limits.max_pax_size, limits.max_sparse_size
    return made


def exceeded(which: int, what: str, limits: limiting.Limits, counted: str) -> BadArchive:
    """The error for the parser's limit ``which``, passed by ``what``."""
    name = {
        lib.ST_LIMIT_ENTRIES: counted,
        lib.ST_LIMIT_NAME: "max_name_length",
        lib.ST_LIMIT_PAX: "max_pax_size",
        lib.ST_LIMIT_SPARSE: "max_sparse_size",
    }[which]
    return limiting.exceeded(what, name, getattr(limits, name))


class Reader:
    """Iterate over the entries; take each one's payload with ``payload`` before the next; what is left is skipped."""

    def __init__(
        self,
        buffer: Buffer | FileBuffer,
        limits: limiting.Limits = limiting.DEFAULT,
        counted: str = "max_layer_entries",
    ) -> None:
        """``counted`` is the limit of the number of entries."""
        self._buffer = buffer
        self._limits = limits
        self._counted = counted
        self._left = 0  # of the current payload
        self._tar = ffi.gc(lib.st_tar_new(limits_for(limits, counted)), lib.st_tar_free)
        if not self._tar:
            raise MemoryError
        self._used = ffi.new("size_t *")

    def _check(self, result: int) -> int:
        if result >= 0:
            return result
        if result == -errno.ENOMEM:
            raise MemoryError
        text = explain(lib.st_tar_error(self._tar), lib.st_tar_current(self._tar))
        if result == -errno.E2BIG:
            raise exceeded(lib.st_tar_limit(self._tar), text, self._limits, self._counted)
        raise BadArchive(text)

    def payload(self) -> Iterator[memoryview]:
        """The bytes of the current entry."""
        while self._left:
            data = self._buffer.some(self._left)
            if not data:
                raise BadArchive("broken archive: it ends in the middle of a file")
            self._left -= len(data)
            yield data

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self.next()) is not None:
            yield entry

    def next(self) -> Entry | None:
        """The next entry, None at the end.

        Raises BadArchive.
        """
        if self._left:
            if not self._buffer.skip(self._left):
                raise BadArchive("broken archive: it ends in the middle of a file")
            self._left = 0
        while True:
            data = self._buffer.exactly(lib.st_tar_wants(self._tar))
            if not data:
                self._check(lib.st_tar_finish(self._tar))
                return None
            result = self._check(lib.st_tar_feed(self._tar, data, len(data), self._used))
            if result == lib.ST_TAR_END:
                return None
            if result == lib.ST_TAR_ENTRY:
                entry = Entry(lib.st_tar_current(self._tar))
                self._left = entry.stored
                return entry
