"""The JSON files that hold the store's records: read, looked up and written.

A store may have thousands of containers, of which a command is about one. So a row is looked for in the file's text,
and only that row is parsed; and a row that is added or taken away is put into the text or cut out of it, the others
stay as they are to the byte. Both rest on how the Go tools and we write: no blanks, ``id`` first, no idle escapes.
Where a file looks otherwise, or a row is not found so, all of it is parsed.
"""

from __future__ import annotations

import os
import time

from pypod.base import fastjson, files
from pypod.errors import StorageError, reason
from pypod.linux import syscalls
from storage.records import fault, sound, tidy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.locks import RecordLock
    from storage.records import Row

# A file that was written so shortly before it was read may be followed by another with the same inode number, size
# and time: file systems take the time from a clock that ticks every few milliseconds.
_RACY = 100_000_000  # ns
# File systems that order a rename after the data of what is renamed, so that a file that was never flushed is whole
# or not there after a power cut: ext4 (auto_da_alloc), btrfs, ZFS, and tmpfs, which does not survive one. XFS is not.
_ORDERED = frozenset((0xEF53, 0x9123683E, 0x2FC12FC1, 0x01021994))
_MOST = 8  # rows parsed one by one before all of them are


class Table:
    """One JSON array of records. It is replaced by rename, so a reader needs no lock to see it whole.

    A row that nobody could use (``fault``) is left out of ``rows``, kept in ``broken``, and written again as it was:
    it may mean something to another tool, and ``system check`` tells of it. A file that is no JSON array at all is
    neither read nor written over.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.broken: list[object] = []  # as of the last ``rows``
        self._stamp: tuple[int, int, int] | None = None
        self._racy = False
        self._token = b""  # the last writer's, if that was this object
        # What the file with that stamp holds: its text, and the sound rows when they have been asked for.
        self._text = ""
        self._rows: list[Row] | None = []
        self._flush: bool | None = None

    def locked(self, token: bytes) -> None:
        """The lock of this file has been taken, and ``token`` is its last writer's: what was read before is believed
        only if it cannot be older.
        """
        if self._racy and token != self._token:
            self._stamp = None

    def rows(self) -> list[Row]:
        """The sound rows; they are kept until another file has taken the place of that they were read from.

        Raises StorageError.
        """
        self._read()
        if self._rows is None:
            tidied = [tidy(row) for row in self._parse() if row is not None]
            self._rows = [row for row in tidied if sound(row)]
            self.broken = [row for row in tidied if fault(row)] if len(self._rows) < len(tidied) else []
        return self._rows

    def row(self, id: str) -> Row | None:
        """The sound row with this id. Raises StorageError."""
        found = self._beginning(id + '"')
        if found and found[0]["id"] == id:
            return found[0]
        return next((row for row in self.rows() if row["id"] == id), None)

    def named(self, name: str) -> Row | None:
        """The sound row that has ``name`` among its names. Raises StorageError."""
        text = self._read()
        quoted = f'"{name}"'
        if self._usual and fastjson.dumps(name) == quoted:
            at = text.find(quoted)
            if at < 0:
                return None  # no tool writes as an escape what needs none
            row = self._at(text.rfind('{"id":"', 0, at), at)
            if row is not None and name in (row.get("names") or ()):
                return row
        return next((row for row in self.rows() if name in (row.get("names") or ())), None)

    def beginning(self, prefix: str) -> list[Row]:
        """The sound rows whose ids begin with ``prefix``. Raises StorageError."""
        found = self._beginning(prefix) or self.rows()
        return [row for row in found if row["id"].startswith(prefix)]

    def add(self, row: Row, lock: RecordLock, *, durable: bool) -> None:
        """Put a row at the end. The rest is as in ``save``."""
        text = self._read()
        if not self._usual:
            self.save([*self.rows(), row], lock, durable=durable)
            return
        self._write(f"{text[:-1]},{fastjson.dumps(row)}]", None, lock, durable)

    def remove(self, id: str, lock: RecordLock, *, durable: bool) -> bool:
        """Take the row with this id away; False if there is none. The rest is as in ``save``."""
        text = self._read()
        span = self._span(id)
        if span is not None:
            self._write(text[: span[0]] + text[span[1] :], None, lock, durable)
            return True
        rows = self.rows()
        kept = [row for row in rows if row["id"] != id]
        if len(kept) == len(rows):
            return False
        self.save(kept, lock, durable=durable)
        return True

    def save(self, rows: list[Row], lock: RecordLock, *, durable: bool) -> None:
        """Replace the file: ``rows``, made of what ``rows()`` gave, and the broken ones. The caller holds ``lock``.

        Without ``durable`` a power cut may bring the old file back, but never an empty one. Raises StorageError; what
        the file holds then is for ``rows()`` to say.
        """
        self._write(fastjson.dumps([*rows, *self.broken]), rows, lock, durable)

    def _write(self, text: str, rows: list[Row] | None, lock: RecordLock, durable: bool) -> None:
        try:
            self._token = lock.touch()
            self._stamp = None
            if self._flush is None:
                self._flush = syscalls.file_system(os.path.dirname(self.path)) not in _ORDERED
            files.replace(self.path, text.encode(), durable=durable, flush=self._flush)
            found = os.stat(self.path)
        except OSError as error:
            raise StorageError(f"cannot write the store {self.path}: {reason(error)}") from None
        self._stamp, self._racy = (found.st_ino, found.st_mtime_ns, found.st_size), True
        self._text, self._rows = text, rows

    def _read(self) -> str:
        """The text of the file as it is now. Raises StorageError."""
        try:
            found = os.stat(self.path)
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                now = time.time_ns()
                self._text, self._rows = fastjson.decode(files.read(self.path)), None
                self._stamp, self._racy = stamp, abs(now - found.st_mtime_ns) < _RACY
        except FileNotFoundError:
            self._text, self._rows, self.broken, self._stamp = "", [], [], None
        except OSError as error:
            raise StorageError(f"cannot read the store {self.path}: {reason(error)}") from None
        except fastjson.BadJson as error:
            raise self._damaged(error) from None
        return self._text

    def _parse(self) -> list[object]:
        """All that the text holds. Raises StorageError."""
        # Go writes null for no rows. It never flushes the volatile files: a power cut may leave them empty.
        if not self._text and os.path.basename(self.path).startswith("volatile-"):
            return []
        try:
            rows = fastjson.loads(self._text)
            if rows is not None and not isinstance(rows, list):
                raise fastjson.BadJson("not a list")
        except fastjson.BadJson as error:
            raise self._damaged(error) from None
        return rows or []

    @property
    def _usual(self) -> bool:
        """Whether the text looks as the tools write it; one with holes, as a crash may leave it, does not."""
        return self._text.startswith('[{"id":"') and self._text.endswith("}]") and "\0" not in self._text

    def _damaged(self, error: fastjson.BadJson) -> StorageError:
        return StorageError(
            f"cannot read the store: {self.path}: {error}",
            hint="a copy of that file is needed: nothing writes over it",
        )

    def _beginning(self, prefix: str) -> list[Row] | None:
        """The rows whose ids begin with ``prefix``, which may end with the quote after an id; None if the text does
        not tell.
        """
        text = self._read()
        if not self._usual:
            return None
        pattern = '"id":"' + prefix
        found: list[Row] = []
        at = text.find(pattern)
        while at >= 0:
            row = self._at(at - 1, at)
            if row is None or len(found) == _MOST:
                return None
            found.append(row)
            at = text.find(pattern, at + 1)
        return found

    def _at(self, start: int, inside: int) -> Row | None:
        """The sound row that begins at ``start`` of the text, if that is one and ``inside`` is a place in it."""
        if start < 1 or self._text[start] != "{" or self._text[start - 1] not in "[,":
            return None
        try:
            value, end = fastjson.scan(self._text, start)
        except fastjson.BadJson:
            return None
        row = tidy(value)
        return row if end > inside and sound(row) else None

    def _span(self, id: str) -> tuple[int, int] | None:
        """Where the text of the only row with this id begins and ends, with the comma that goes with it."""
        text = self._text
        if not self._usual:
            return None
        pattern = f'"id":"{id}"'
        at = text.find(pattern)
        start = at - 1
        if self._at(start, at) is None or text.find(pattern, at + 1) >= 0:
            return None
        end = fastjson.scan(text, start)[1]
        if text[end : end + 1] == ",":
            return start, end + 1
        return (start - 1 if text[start - 1] == "," else start), end
