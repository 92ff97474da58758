"""The store's records, and the JSON files that hold them.

A record keeps the whole JSON object in ``raw``, so that keys of newer tools survive when a file is written again.
"""

from __future__ import annotations

import os
import time

from pypod.base import fastjson, files, times
from pypod.base.record import record
from pypod.errors import StorageError, reason
from pypod.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from storage.locks import RecordLock

    Row = dict[str, Any]


@record
class Image:
    """One image. ``id`` is the hex of the config's digest.

    ``digest`` is that of what its name led to first: its manifest, or the index that it was chosen from.
    """

    id: str
    digest: str = ""
    names: list[str] = []
    names_history: list[str] = []
    layer: str = ""
    mapped_layers: list[str] = []
    metadata: str = ""
    big_data_names: list[str] = []
    big_data_sizes: dict[str, int] = {}
    big_data_digests: dict[str, str] = {}
    created: str = ""
    read_only: bool = False  # it lives in an additional image store
    directory: str = ""  # where its big data is
    raw: Row = {}

    @property
    def manifest_digest(self) -> str:
        """That of its own manifest, "" if the record does not say."""
        return self.big_data_digests.get("manifest") or self.digest

    @property
    def is_list(self) -> bool:
        """Whether it is a list of images: it has neither layers nor a config (``lists``)."""
        return not self.layer and "manifest" in self.big_data_names and f"sha256:{self.id}" not in self.big_data_names


@record
class Container:
    """One container record. ``layer`` is its read-write layer, "" for a container without an image."""

    id: str
    names: list[str] = []
    image: str = ""
    layer: str = ""
    metadata: str = ""
    created: str = ""
    flags: Row = {}
    uid_map: list[Row] = []
    gid_map: list[Row] = []
    raw: Row = {}

    @property
    def name(self) -> str:
        return self.names[0] if self.names else ""


@record
class Layer:
    """One layer. Sizes in bytes; a container's layer has no digests."""

    id: str
    names: list[str] = []
    parent: str = ""
    created: str = ""
    diff_digest: str = ""
    diff_size: int = 0
    compressed_digest: str = ""
    compressed_size: int = 0
    home: str = ""  # the driver directory it lives in: <graphroot>/overlay
    raw: Row = {}


def image(row: Row, read_only: bool, directory: str) -> Image:
    return Image(
        id=row["id"],
        digest=row.get("digest") or "",
        names=row.get("names") or [],
        names_history=row.get("names-history") or [],
        layer=row.get("layer") or "",
        mapped_layers=row.get("mapped-layers") or [],
        metadata=row.get("metadata") or "",
        big_data_names=row.get("big-data-names") or [],
        big_data_sizes=row.get("big-data-sizes") or {},
        big_data_digests=row.get("big-data-digests") or {},
        created=row.get("created") or "",
        read_only=read_only,
        directory=f"{directory}/{row['id']}",
        raw=row,
    )


def container(row: Row) -> Container:
    return Container(
        id=row["id"],
        names=row.get("names") or [],
        image=row.get("image") or "",
        layer=row.get("layer") or "",
        metadata=row.get("metadata") or "",
        created=row.get("created") or "",
        flags=row.get("flags") or {},
        uid_map=row.get("uidmap") or [],
        gid_map=row.get("gidmap") or [],
        raw=row,
    )


def layer(row: Row, home: str) -> Layer:
    return Layer(
        id=row["id"],
        names=row.get("names") or [],
        parent=row.get("parent") or "",
        created=row.get("created") or "",
        diff_digest=row.get("diff-digest") or "",
        diff_size=row.get("diff-size") or 0,
        compressed_digest=row.get("compressed-diff-digest") or "",
        compressed_size=row.get("compressed-size") or 0,
        home=home,
        raw=row,
    )


def now() -> str:
    """RFC 3339 in UTC with nanoseconds."""
    return times.rfc3339(time.time_ns())


# What each key holds where it is there at all. A row with anything else would break its first reader.
_KINDS: dict[str, type] = {
    **dict.fromkeys(("id", "parent", "metadata", "mountlabel", "created", "digest", "layer", "image"), str),
    **dict.fromkeys(("compressed-diff-digest", "diff-digest", "toc-digest"), str),
    **dict.fromkeys(("compressed-size", "diff-size", "compression"), int),
    **dict.fromkeys(("names", "names-history", "mapped-layers", "big-data-names"), list),
    **dict.fromkeys(("uidset", "gidset", "uidmap", "gidmap"), list),
    **dict.fromkeys(("flags", "big-data-sizes", "big-data-digests"), dict),
}
_STRINGS = ("names", "names-history", "mapped-layers", "big-data-names")
# A file that was written so shortly before it was read may be followed by another with the same inode number, size
# and time: file systems take the time from a clock that ticks every few milliseconds.
_RACY = 100_000_000  # ns


def _tidy(row: object) -> object:
    """A row with the usual spelling of its keys, which Go reads in any case, and without the nulls of known ones."""
    if not isinstance(row, dict):
        return row
    for key, value in row.items():
        if type(value) is not _KINDS.get(key):
            break
    else:
        return row
    result: Row = {}
    for key, value in row.items():
        known = key if key in _KINDS else key.lower()
        if known not in _KINDS:
            result[key] = value
        elif value is not None:
            result[known] = value
    return result


def fault(row: object) -> str:
    """What makes a row unusable, "" for a sound one."""
    if not isinstance(row, dict):
        return "it is not an object"
    id = row.get("id")
    if not isinstance(id, str) or not id or "/" in id or id[0] == ".":
        return "it has no id"
    for key, value in row.items():
        kind = _KINDS.get(key)
        if kind is not None and value is not None and not isinstance(value, kind):
            return f"its {key} is not what it should be"
    for key in _STRINGS:
        for item in row.get(key) or ():
            if not isinstance(item, str):
                return f"its {key} is not what it should be"
    return ""


# File systems that order a rename after the data of what is renamed, so that a file that was never flushed is whole
# or not there after a power cut: ext4 (auto_da_alloc), btrfs, ZFS, and tmpfs, which does not survive one. XFS is not.
_ORDERED = frozenset((0xEF53, 0x9123683E, 0x2FC12FC1, 0x01021994))


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
        self._rows: list[Row] = []
        self._flush: bool | None = None
        self._racy = False

    def locked(self) -> None:
        """The lock of this file has been taken: what was read before is believed only if it cannot be older."""
        if self._racy:
            self._stamp = None

    def rows(self) -> list[Row]:
        """The sound rows; the parsed file is kept until another file has taken its place.

        Raises StorageError.
        """
        try:
            found = os.stat(self.path)
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                now = time.time_ns()
                # Go writes null for no rows. It never flushes the volatile files: a power cut may leave them empty.
                passing = found.st_size == 0 and os.path.basename(self.path).startswith("volatile-")
                rows = None if passing else files.read_json(self.path)
                if rows is None:
                    rows = []
                if not isinstance(rows, list):
                    raise fastjson.BadJson(f"{self.path}: not a list")
                rows = [_tidy(row) for row in rows if row is not None]
                self._rows = [row for row in rows if not fault(row)]
                self.broken = [row for row in rows if fault(row)] if len(self._rows) < len(rows) else []
                self._stamp = stamp
                self._racy = abs(now - found.st_mtime_ns) < _RACY
        except FileNotFoundError:
            self._rows, self.broken, self._stamp = [], [], None
        except OSError as error:
            raise StorageError(f"cannot read the store {self.path}: {reason(error)}") from None
        except fastjson.BadJson as error:
            raise StorageError(
                f"cannot read the store: {error}", hint="a copy of that file is needed: nothing writes over it"
            ) from None
        return self._rows

    def save(self, rows: list[Row], lock: RecordLock, *, durable: bool) -> None:
        """Replace the file: ``rows``, made of what ``rows()`` gave, and the broken ones. The caller holds ``lock``.

        Without ``durable`` a power cut may bring the old file back, but never an empty one. Raises StorageError; what
        the file holds then is for ``rows()`` to say.
        """
        try:
            lock.touch()
            self._stamp = None
            if self._flush is None:
                self._flush = syscalls.file_system(os.path.dirname(self.path)) not in _ORDERED
            written = [*rows, *self.broken] if self.broken else rows
            files.replace_json(self.path, written, durable=durable, flush=self._flush)
            found = os.stat(self.path)
            self._stamp, self._racy = (found.st_ino, found.st_mtime_ns, found.st_size), True
            self._rows = rows
        except OSError as error:
            raise StorageError(f"cannot write the store {self.path}: {reason(error)}") from None
