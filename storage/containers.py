"""Container records: made, renamed, removed. One write of each JSON file per operation."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.errors import InUse, NoSuchContainer, NoSuchImage, StorageError, reason
from storage import lookup, overlay, records
from storage.progress import SILENT
from storage.trash import Staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from storage.locks import RecordLock
    from storage.progress import Progress
    from storage.records import Container, Image, Row
    from storage.store import Store


def check_names(store: Store, names: Iterable[str], own: str = "") -> None:
    """Raise InUse if a container, other than ``own``, has one of the names."""
    for name in names:
        row = lookup.named(store, name)
        if row is not None and row["id"] != own:
            raise InUse(
                f'creating container storage: the container name "{name}" is already in use by {row["id"]}.'
                " You have to remove that container to be able to reuse that name: that name is already in use"
            )


def new_layer(
    store: Store,
    parent: str,
    name: str,
    lock: RecordLock,
    *,
    durable: bool,
    id: str = "",
    uid_map: Sequence[Sequence[int]] = (),
    gid_map: Sequence[Sequence[int]] = (),
) -> str:
    """An empty layer on ``parent`` ("" for none); its id. The caller holds ``lock``, the layers' lock.

    The maps are for a vfs layer, which is a copy of its parent's files.

    Raises StorageError.
    """
    chain = store.chain(parent)
    id = id or os.urandom(32).hex()
    parent_home = chain[0].home if chain else ""
    if store.driver == "vfs":
        from storage import vfs

        vfs.create(store.home, id, store.files_path(parent_home, parent) if parent else "", uid_map, gid_map)
    else:
        lower_layers = ":".join([item.id for item in chain])
        overlay.create(store.home, id, parent, parent_home, lower_layers, durable=durable)
    table = store.volatile_layer_table if store.transient else store.layer_table
    row: Row = {"id": id}
    if name and table.named(name) is None:
        row["names"] = [name]
    if parent:
        row["parent"] = parent
    row["created"] = records.now()
    try:
        if store.transient:
            files.make_directory(os.path.dirname(table.path))
        table.add(row, lock, durable=durable and not store.transient)
    except StorageError:
        with Staging(store.home) as staging:
            drop_layer(store, id, lock, staging, durable=False)
        raise
    return id


def drop_layer(store: Store, id: str, lock: RecordLock, staging: Staging, *, durable: bool) -> None:
    """Take a layer out of the store; its files go to ``staging``. The caller holds ``lock``, the layers' lock."""
    for table in store.layer_tables:
        table.remove(id, lock, durable=durable)
    store.take_layer(id, staging)


def create(
    store: Store,
    *,
    id: str,
    names: list[str],
    image: Image | None,
    metadata: str,
    volatile: bool,
    layer_name: str,
    layer_id: str,
    with_layer: bool,
    uid_map: list[list[int]],
    gid_map: list[list[int]],
    progress: Progress = SILENT,
) -> Container:
    """See ``Store.create_container``."""
    store.prepare()
    parent = image.layer if image is not None else ""
    owned = uid_map and image is not None and with_layer
    if uid_map and image is not None and with_layer:
        if store.driver != "vfs" and overlay.in_user_namespace():
            from storage import mapped

            check_names(store, names)
            parent = mapped.layer_for(store, image, uid_map, gid_map, progress)
            owned = False  # the copy's owners are right
    durable = not volatile and not store.transient
    flags: dict[str, Any] = {"MountLabel": "", "ProcessLabel": ""}
    if volatile:
        flags["Volatile"] = True
    table = store.volatile_container_table if store.transient else store.container_table
    with store.layers_lock() as layers_lock, store.containers_lock() as containers_lock:
        check_names(store, names)
        row: Row = {"id": id, "names": names, "image": image.id if image is not None else ""}
        layer = ""
        if image is not None and with_layer:
            if not store.has_image(image.id):
                raise NoSuchImage(f"{image.names[0] if image.names else image.id}: image not known")
            layer = new_layer(
                store,
                parent,
                layer_name,
                layers_lock,
                durable=durable,
                id=layer_id,
                uid_map=uid_map,
                gid_map=gid_map,
            )
        row["layer"] = layer
        row["metadata"] = metadata
        row["created"] = records.now()
        if uid_map:
            from storage import mapped

            row["uidmap"], row["gidmap"] = mapped.rows(uid_map), mapped.rows(gid_map)
        row["flags"] = flags
        row = {key: value for key, value in row.items() if value}
        try:
            if owned and store.driver != "vfs":
                _give(store, layer, uid_map, gid_map)
            files.make_directory(store.container_directory(id))
            files.make_directory(store.run_directory(id))
            if durable:
                files.sync_directory(f"{store.containers_dir}/{id}")
            table.add(row, containers_lock, durable=durable)
        except BaseException as error:
            if table.row(id) is not None:
                raise  # all is there: what failed is to say so
            if layer:
                with Staging(store.home) as staging:
                    drop_layer(store, layer, layers_lock, staging, durable=False)
            _remove_directories(store, id)
            if isinstance(error, OSError):
                raise StorageError(f"cannot make container {id[:12]}: {reason(error)}") from None
            raise
    return records.container(row)


def _give(store: Store, layer: str, uid_map: list[list[int]], gid_map: list[list[int]]) -> None:
    """Make a new layer's root that of a container with a mapping of its own: what is below will be mounted with the
    mapping, the upper directory not.
    """
    from storage import mapped

    diff = store.files_path(store.home, layer)
    try:
        found = os.stat(diff)
        uid, gid = mapped.to_outside(found.st_uid, uid_map), mapped.to_outside(found.st_gid, gid_map, "gid")
        os.chown(diff, uid, gid)
    except OSError as error:
        raise StorageError(f"cannot make layer {layer[:12]}: {reason(error)}") from None


def _remove_directories(store: Store, id: str) -> None:
    # The run directory goes last: its lock holds back who waits for the container, and who finds no lock any more
    # must not find userdata either and take it for a container after a reboot.
    files.remove_tree(f"{store.containers_dir}/{id}")
    files.remove_tree(f"{store.runroot}/{store.driver}-containers/{id}")


def rename(store: Store, id: str, name: str, metadata: str | None) -> None:
    """See ``Store.rename_container``."""
    with store.containers_lock() as lock:
        check_names(store, [name], id)
        for table in store.container_tables:
            rows = table.rows()
            for number, row in enumerate(rows):
                if row["id"] == id:
                    changed = {**row, "names": [name]}
                    if metadata is not None:
                        changed["metadata"] = metadata
                    table.save([*rows[:number], changed, *rows[number + 1 :]], lock, durable=True)
                    return
    raise NoSuchContainer(f'no container with name or ID "{id}" found: no such container')


def delete_layer(store: Store, id: str) -> None:
    """See ``Store.delete_layer``."""
    with Staging(store.home, later=True) as staging, store.layers_lock() as layers_lock:
        drop_layer(store, id, layers_lock, staging, durable=False)


def delete(store: Store, id: str) -> bool:
    """See ``Store.delete_container``. The record goes before the directories: then the container is gone for all."""
    row = lookup.by_id(store, id)
    if row is None:
        _remove_leftovers(store, id)
        return False
    with Staging(store.home, later=True) as staging:
        with store.layers_lock() as layers_lock, store.containers_lock() as containers_lock:
            row = lookup.by_id(store, id)
            if row is not None:
                durable = not (row.get("flags") or {}).get("Volatile")
                # The container first: at no time does a record name what is not there.
                for table in store.container_tables:
                    table.remove(id, containers_lock, durable=durable)
                if row.get("layer"):
                    drop_layer(store, row["layer"], layers_lock, staging, durable=durable)
    _remove_leftovers(store, id)
    return row is not None


def _remove_leftovers(store: Store, id: str) -> None:
    try:
        _remove_directories(store, id)
    except OSError as error:
        raise StorageError(f"cannot remove the files of container {id[:12]}: {reason(error)}") from None
