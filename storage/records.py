"""The store's records, and the JSON files that hold them.

A record keeps the whole JSON object in ``raw``, so that keys of newer tools survive when a file is written again.
"""

from __future__ import annotations

import os
import time

from pypod.base import fastjson, files
from pypod.base.record import record
from pypod.errors import StorageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from storage.locks import RecordLock

    Row = dict[str, Any]


@record
class Image:
    """One image. ``id`` is the hex of the config's digest, ``digest`` that of its manifest."""

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
    """RFC 3339 in UTC with nanoseconds, without trailing zeros, as Go prints it."""
    return timestamp(time.time_ns())


def timestamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{rest:09}".rstrip("0").rstrip(".") + "Z"


class Table:
    """One JSON array of records. It is replaced by rename, so a reader needs no lock to see it whole."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._stamp: tuple[int, int, int] | None = None
        self._rows: list[Row] = []

    def rows(self) -> list[Row]:
        """The objects that have an id; the parsed file is kept until another file has taken its place.

        Raises StorageError.
        """
        try:
            found = os.stat(self.path)
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                rows = files.read_json(self.path)
                if not isinstance(rows, list):
                    rows = []
                self._rows = [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
                self._stamp = stamp
        except FileNotFoundError:
            self._rows, self._stamp = [], None
        except OSError as error:
            raise StorageError(f"cannot read the store {self.path}: {reason(error)}") from None
        except fastjson.BadJson as error:
            raise StorageError(f"cannot read the store: {error}") from None
        return self._rows

    def save(self, rows: list[Row], lock: RecordLock, *, durable: bool) -> None:
        """Replace the file. The caller holds ``lock`` for writing.

        Raises StorageError.
        """
        try:
            lock.touch()
            self._stamp = None
            files.replace_json(self.path, rows, durable=durable)
        except OSError as error:
            raise StorageError(f"cannot write the store {self.path}: {reason(error)}") from None
