"""Image records: found by any reference, named, removed."""

from __future__ import annotations

import os

from pypod.base import fastjson, files
from pypod.errors import InUse, NoSuchImage, StorageError, reason
from storage import records, trash
from storage.trash import Staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from storage.locks import RecordLock
    from storage.records import Image, Row
    from storage.store import Store

_PLAIN = frozenset("0123456789abcdefghijklmnopqrstuvwxyz.")


def data_file(key: str) -> str:
    """The name of the file that holds a big data item.

    Raises StorageError for a key that cannot be one.
    """
    if key and _PLAIN.issuperset(key):
        return key
    import binascii

    name = "=" + binascii.b2a_base64(key.encode(), newline=False).decode()
    if "/" in name:
        raise StorageError(f"cannot keep image data under the key {key!r}")
    return name


def data(image: Image, key: str) -> bytes:
    """See ``Store.image_data``."""
    try:
        return files.read(f"{image.directory}/{data_file(key)}")
    except OSError as error:
        raise StorageError(f"cannot read {key} of image {image.id[:12]}: {reason(error)}") from None


def document(image: Image, key: str) -> dict[str, Any]:
    """One item of an image's big data that is a JSON object.

    Raises StorageError.
    """
    try:
        value = fastjson.loads(data(image, key))
    except fastjson.BadJson as error:
        raise StorageError(f"cannot read {key} of image {image.id[:12]}: {error}") from None
    if not isinstance(value, dict):
        raise StorageError(f"cannot read {key} of image {image.id[:12]}: not a JSON object")
    return value


def _change(store: Store, image_id: str, change: Callable[[list[str]], list[str]]) -> None:
    """Compute an image's names anew under the lock, and take them from all others."""
    store.prepare()
    with store.images_lock() as lock:
        rows = store.image_table.rows()
        if not any(row["id"] == image_id for row in rows):
            raise NoSuchImage(f"{image_id}: image not known")
        result: list[Row] = []
        names: list[str] = []
        for row in rows:
            if row["id"] == image_id:
                names = change(list(row.get("names") or []))
        for row in rows:
            had = row.get("names") or []
            if row["id"] == image_id:
                history = list(row.get("names-history") or [])
                row = {**row, "names": names, "names-history": [n for n in names if n not in history] + history}
                if not names:
                    del row["names"]
            elif any(name in names for name in had):
                row = {**row, "names": [name for name in had if name not in names]}
                if not row["names"]:
                    del row["names"]
            result.append(row)
        store.image_table.save(result, lock, durable=True)


def tag(store: Store, image_id: str, names: Sequence[str]) -> None:
    """See ``Store.tag``."""
    image = next((item for item in store.images() if item.id == image_id), None)
    if image is not None and image.read_only:
        pull_up(store, image)
    _change(store, image_id, lambda old: list(dict.fromkeys([*names, *old])))


def untag(store: Store, image_id: str, names: Sequence[str]) -> None:
    """See ``Store.untag``."""
    _change(store, image_id, lambda old: [name for name in old if name not in names])


def pull_up(store: Store, image: Image) -> None:
    """Copy the record and data of an image in a read-only store, so that it can have names of its own here."""
    store.prepare()
    with store.images_lock() as lock:
        rows = store.image_table.rows()
        if any(row["id"] == image.id for row in rows):
            return
        directory = f"{store.images_dir}/{image.id}"
        try:
            files.make_directory(directory)
            for key in image.big_data_names:
                name = data_file(key)
                files.replace(f"{directory}/{name}", files.read(f"{image.directory}/{name}"), flush=True)
            files.sync_directory(directory)
        except OSError as error:
            files.remove_tree(directory)
            raise StorageError(f"cannot copy image {image.id[:12]}: {reason(error)}") from None
        store.image_table.save([*rows, image.raw], lock, durable=True)


def add(
    store: Store,
    *,
    id: str,
    names: Sequence[str],
    layer: str,
    created: str,
    digest: str,
    data: Sequence[tuple[str, bytes, str]],
    metadata: Callable[[str], str],
    signed: bool = False,
) -> Image:
    """Write an image record with its ``data`` (key, bytes, digest), or add names and data to the one that is there.

    ``metadata`` makes the record's metadata out of what it was; it is asked for a new record, and for one that is
    there if signatures come (``signed``). The caller has made sure of the layer. Raises StorageError.
    """
    store.prepare()
    with store.images_lock() as lock:
        rows = store.image_table.rows()
        old = next((row for row in rows if row["id"] == id), None)
        directory = f"{store.images_dir}/{id}"
        try:
            files.make_directory(directory)
            for key, content, _ in data:
                files.replace(f"{directory}/{data_file(key)}", content, flush=True)
            files.sync_directory(directory)
            files.sync_directory(store.images_dir)
        except BaseException as error:
            if old is None:
                files.remove_tree(directory)
            if isinstance(error, OSError):
                raise StorageError(f"cannot write image {id[:12]}: {reason(error)}") from None
            raise
        row: Row = dict(old) if old is not None else {"id": id}
        if old is None:
            row["digest"] = digest
        had = row.get("names") or []
        row["names"] = [*names, *(name for name in had if name not in names)]
        history = row.get("names-history") or []
        row["names-history"] = [*(name for name in names if name not in history), *history]
        if layer:
            row["layer"] = layer
        if old is None or signed:
            row["metadata"] = metadata(str(row.get("metadata") or ""))
        keys = list(row.get("big-data-names") or [])
        sizes, sums = dict(row.get("big-data-sizes") or {}), dict(row.get("big-data-digests") or {})
        for key, content, checksum in data:
            if key not in keys:
                keys.append(key)
            sizes[key], sums[key] = len(content), checksum
        row["big-data-names"], row["big-data-sizes"], row["big-data-digests"] = keys, sizes, sums
        if old is None:
            row["created"] = created
        if not row["names"]:
            del row["names"]
        if not row["names-history"]:
            del row["names-history"]
        result: list[Row] = []
        for other in rows:
            if other["id"] == id:
                continue
            if any(name in names for name in other.get("names") or ()):
                other = {**other, "names": [name for name in other["names"] if name not in names]}
                if not other["names"]:
                    del other["names"]
            result.append(other)
        result.append(row)
        try:
            store.image_table.save(result, lock, durable=True)
        except StorageError:
            if not any(item["id"] == id for item in store.image_table.rows()):
                files.remove_tree(directory)
            raise
    return records.image(row, False, store.images_dir)


def users(store: Store, image_id: str) -> list[str]:
    """The ids of the containers that are made from an image."""
    return [container.id for container in store.containers() if container.image == image_id]


def delete(store: Store, image_id: str) -> list[str]:
    """See ``Store.delete_image``."""
    with Staging(store.home, later=True) as staging:
        with store.layers_lock() as layers_lock, store.images_lock() as images_lock, store.containers_lock():
            rows = store.image_table.rows()
            row = next((item for item in rows if item["id"] == image_id), None)
            if row is None:
                raise NoSuchImage(f"{image_id}: image not known")
            used_by = users(store, image_id)
            if used_by:
                raise InUse(
                    f"image used by {used_by[0]}: image is in use by a container: "
                    "consider listing external containers and force-removing image",
                    code=2,
                )
            kept = [item for item in rows if item["id"] != image_id]
            doomed = unused(store, row, kept)
            # Image, then layers, then files: at no time does a record name what is not there.
            staging.note(doomed)
            store.image_table.save(kept, images_lock, durable=True)
            drop_records(store, doomed, layers_lock)
            for layer in doomed:
                store.take_layer(layer, staging)
            # The small files go under the lock too: who loads the same image next puts new ones there.
            remove_layer_data(store, doomed)
            files.remove_tree(f"{store.images_dir}/{image_id}")
    return doomed


def unused(store: Store, row: Row, other_images: Sequence[Row]) -> list[str]:
    """The layers of an image that are no image's, container's or other layer's, top first. Both locks are held."""
    tops: set[str] = set()
    for other in other_images:
        tops.add(other.get("layer") or "")
        tops.update(other.get("mapped-layers") or ())
    for container in store.containers():
        tops.add(container.layer)
    for table in (store.image_table, *store.container_tables, *store.layer_tables):
        for broken in table.broken:
            # Nobody can use such a record as it is, but somebody may mend it.
            tops.update(_names_in(broken))
    parents: dict[str, str] = {}
    children: dict[str, int] = {}
    for table in store.layer_tables:
        for item in table.rows():
            if item["id"] not in parents:
                parent = item.get("parent") or ""
                parents[item["id"]] = parent
                children[parent] = children.get(parent, 0) + 1
    doomed: list[str] = []

    def walk(layer: str) -> None:
        while layer in parents and layer not in tops and not children.get(layer) and layer not in doomed:
            doomed.append(layer)
            layer = parents[layer]
            children[layer] = children.get(layer, 1) - 1

    for layer in row.get("mapped-layers") or ():
        walk(layer)
    walk(row.get("layer") or "")
    return doomed


def _names_in(value: object) -> Iterator[str]:
    """All strings of a record that could be the id of a layer."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _names_in(item)
    elif isinstance(value, dict):
        for key in ("layer", "mapped-layers", "parent"):
            yield from _names_in(value.get(key))


def sweep(store: Store) -> None:
    """Remove the staging areas of killed processes, and the layers that these have left without an image.

    Raises StorageError.
    """
    trash.clean(store.home, orphans=lambda layers: remove_orphans(store, layers))
    if store.imagestore:
        trash.clean(store.image_home, orphans=lambda layers: remove_orphans(store, layers))
    trash.clean(store.layers_dir, "tmp")
    if os.path.exists(f"{store.image_home}/staging"):
        from storage import partial

        partial.sweep(store.image_home)


def remove_orphans(store: Store, ids: Sequence[str]) -> None:
    """Remove those of the layers that nothing uses: no image, no container, no other layer.

    Raises StorageError.
    """
    with Staging(store.home) as staging:
        with store.layers_lock() as layers_lock, store.images_lock(), store.containers_lock():
            doomed = unused(store, {"mapped-layers": list(reversed(ids))}, store.image_table.rows())
            doomed = [id for id in doomed if id in ids]
            drop_records(store, doomed, layers_lock)
            known = store.layers()
            gone = [id for id in ids if id not in known]
            for id in gone:
                store.take_layer(id, staging)
            remove_layer_data(store, gone)


def drop_records(store: Store, ids: Sequence[str], lock: RecordLock) -> None:
    """Take the records of layers out of whichever file has them. The caller holds ``lock``, the layers' lock."""
    for table in store.layer_tables:
        rows = table.rows()
        kept = [row for row in rows if row["id"] not in ids]
        if len(kept) != len(rows):
            table.save(kept, lock, durable=True)


def remove_layer_data(store: Store, ids: Sequence[str]) -> None:
    """Remove what is kept of layers beside their files, when they have no record any more. Raises OSError."""
    for id in ids:
        files.remove_tree(f"{store.layers_dir}/{id}.tar-split.gz")
        files.remove_tree(f"{store.layers_dir}/{id}")
