"""Which registry is known to have which blob of a layer, so that it need not be compressed and sent again.

A file for each diffID in ``<graphroot>/pypod/blobs``: its blobs, each with the repositories that have it. Only blobs
that pypod has hashed itself, while it fetched or compressed them, are noted. It is a cache: it may be removed, what
cannot be read is not there, and whoever uses a blob asks the registry for it first.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, files
from pypod.oci import digest as digests
from pypod.oci.manifest_write import Blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from storage.records import Image
    from storage.store import Store

_MOST_FILES = 4096
_MOST_BLOBS = 8  # of one layer
_MOST_PLACES = 8  # of one blob
_MOST_SIZE = 1 << 16  # bytes of a file
_FORMATS = ("", "gzip", "zstd", "zstd:chunked")


class Known:
    """A blob, and the places "host/repository" that are known to have had it."""

    def __init__(self, blob: Blob, places: list[str]) -> None:
        self.blob = blob
        self.places = places

    def repositories(self, host: str) -> list[str]:
        """Those on one registry."""
        return [place[len(host) + 1 :] for place in self.places if place.startswith(host + "/")]


def _directory(store: Store) -> str:
    return f"{store.graphroot}/pypod/blobs"


def _known(item: Any) -> Known | None:
    if not isinstance(item, dict):
        return None
    size = item.get("size")
    annotations = item.get("annotations") or {}
    places = item.get("places")
    if (
        digests.valid(item.get("digest"))
        and type(size) is int
        and size >= 0
        and item.get("compression") in _FORMATS
        and isinstance(annotations, dict)
        and all(isinstance(value, str) for value in annotations.values())
        and isinstance(places, list)
    ):
        blob = Blob(digest=item["digest"], size=size, compression=item["compression"], annotations=annotations)
        return Known(blob, [place for place in places if isinstance(place, str)])
    return None


def find(store: Store, diff_id: str) -> list[Known]:
    """What is known of a layer, the latest first."""
    if not digests.valid(diff_id):
        return []
    try:
        data = fastjson.loads(files.read(f"{_directory(store)}/{diff_id[7:]}.json", _MOST_SIZE))
    except (OSError, ValueError):
        return []
    found = data if isinstance(data, list) else []
    return [known for known in map(_known, found) if known is not None]


def note_image(store: Store, image: Image, place: str) -> None:
    """Note that ``place`` has the layers of an image that has been pulled from there, those that have been hashed."""
    from storage.outgoing import Outgoing

    outgoing = Outgoing(store, image)
    for number, (_, diff_id) in enumerate(outgoing.layers):
        blob = outgoing.came_as(number)
        if blob is not None and not blob.foreign and outgoing.says(number, blob):
            note(store, diff_id, blob, place)


def note(store: Store, diff_id: str, blob: Blob, place: str) -> None:
    """Note that ``place`` ("host/repository") has ``blob``, which has been hashed. In the store's namespace.

    A failure is none: it is a cache.
    """
    known = find(store, diff_id)
    if known and known[0].blob.digest == blob.digest and known[0].places[:1] == [place]:
        return
    same = next((item for item in known if item.blob.digest == blob.digest), None)
    places = [place, *(item for item in (same.places if same else []) if item != place)][:_MOST_PLACES]
    others = [item for item in known if item.blob.digest != blob.digest]
    rows = [
        {
            "digest": item.blob.digest,
            "size": item.blob.size,
            "compression": item.blob.compression,
            "annotations": item.blob.annotations,
            "places": item.places,
        }
        for item in [Known(blob, places), *others][:_MOST_BLOBS]
    ]
    directory = _directory(store)
    try:
        files.make_directory(directory)
        files.replace_json(f"{directory}/{diff_id[7:]}.json", rows)
        names = os.listdir(directory)
        if len(names) > _MOST_FILES:
            paths = sorted((f"{directory}/{name}" for name in names), key=os.path.getmtime)
            for path in paths[: len(paths) // 4]:
                os.unlink(path)
    except OSError:
        pass
