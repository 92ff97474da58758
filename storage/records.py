"""The store's records, made of the rows of its JSON files (``table``).

A record keeps the whole JSON object in ``raw``, so that keys of newer tools survive when a file is written again.
"""

from __future__ import annotations

import time

from pypod.base import times
from pypod.base.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeGuard

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


def tidy(row: object) -> object:
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


def sound(row: object) -> TypeGuard[Row]:
    """Whether a row can be used."""
    return not fault(row)


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
