"""Repairs of a store: what belongs to nobody goes, short names are written again, damaged images are removed."""

from __future__ import annotations

import os
import time

from pypod.base import files
from pypod.errors import NoSuchImage, PypodError, StorageError, reason
from storage import check, images, overlay, partial
from storage.trash import Staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from storage.check import Damage
    from storage.store import Store


def clean(store: Store, min_age: float = 86_400, making: Collection[str] = ()) -> list[str]:
    """Remove abandoned staging areas, ``check.leftovers``, and layers that nothing uses; what was removed.

    Raises StorageError.
    """
    removed: list[str] = []
    try:
        images.sweep(store)
        removed += partial.sweep(store.image_home, age=0)
        with Staging(store.home) as staging:
            with store.layers_lock(), store.images_lock(), store.containers_lock():
                for path in check.leftovers(store, making):
                    directory, name = os.path.split(path)
                    if path == store.layer_path(name):
                        store.take_layer(name, staging)
                    else:
                        files.remove_tree(path)
                    removed.append(path)
                doomed = [*_incomplete(store), *check.unused_layers(store, min_age)]
            removed += remove_layers(store, doomed)
    except OSError as error:
        raise StorageError(f"cannot clean the store {store.graphroot}: {reason(error)}") from None
    return removed


def sweep(store: Store) -> None:
    """Remove what a command that was killed had begun beside layers and containers: staging areas, files of records.

    Raises StorageError.
    """
    try:
        images.sweep(store)
        with store.layers_lock(), store.images_lock(), store.containers_lock():
            for path in check.unfinished_records(store):
                files.remove_tree(path)
    except OSError as error:
        raise StorageError(f"cannot clean the store {store.graphroot}: {reason(error)}") from None


def _incomplete(store: Store) -> list[str]:
    """Layers that a killed podman 4 was making: a living one would hold the lock that the caller has."""
    return [id for id, layer in store.layers().items() if (layer.raw.get("flags") or {}).get("incomplete")]


def remove_layers(store: Store, ids: Sequence[str]) -> list[str]:
    """Remove those of the layers that nothing uses, whatever state they are in; a line for each.

    Raises StorageError.
    """
    if not ids:
        return []
    images.remove_orphans(store, list(ids))
    left = store.layers()
    return [f"layer {id}" for id in dict.fromkeys(ids) if id not in left]


def relink(store: Store) -> list[str]:
    """Write again what is missing or empty of ``link``, ``l/`` and ``lower``; a line for each layer.

    Raises StorageError.
    """
    mended = []
    try:
        with store.layers_lock(), store.images_lock():
            layers = store.layers()
            broken = check.links(store, layers)
            names: dict[str, str] = {}
            for home in check.homes(store) if broken else ():
                for name in os.listdir(f"{home}/l"):
                    target = os.readlink(f"{home}/l/{name}")
                    names.setdefault(target.removeprefix("../").removesuffix("/diff"), name)
            for id in broken:
                home = layers[id].home
                directory = f"{home}/{id}"
                if not os.path.isdir(f"{directory}/diff"):
                    continue
                link = overlay.read_text(f"{directory}/link")
                if not link or "/" in link:
                    link = names.get(id) or overlay.new_link()
                    files.replace(f"{directory}/link", link.encode(), mode=0o644, durable=True)
                if not overlay.is_link_of(home, link, id):
                    files.remove_tree(f"{home}/l/{link}")
                    overlay.make_link(home, id, link)
            for id, text in _lowers(store, broken).items():
                directory = f"{layers[id].home}/{id}"
                above = ":".join(item.id for item in store.chain(id)[1:])
                files.replace(f"{directory}/lower", text.encode(), mode=0o644, durable=True)
                if os.path.exists(f"{directory}/lower-layers"):
                    files.replace(f"{directory}/lower-layers", above.encode(), mode=0o644, durable=True)
            if broken:
                for home in check.homes(store):
                    files.sync_directory(f"{home}/l")
                mended = [
                    f"layer {id}: {text}" for id, text in broken.items() if id not in check.links(store, layers)
                ]
    except OSError as error:
        raise StorageError(f"cannot repair the store {store.graphroot}: {reason(error)}") from None
    return mended


def _lowers(store: Store, broken: dict[str, str]) -> dict[str, str]:
    """What ``lower`` has to say in the layers where it leads nowhere. New short names change those above them."""
    found = {}
    layers = store.layers()
    templates = {copy: image.layer for image in store.images() for copy in image.mapped_layers}
    for id, layer in layers.items():
        if layer.home not in check.homes(store) or not layer.parent:
            continue
        text = overlay.read_text(f"{layer.home}/{id}/lower")
        homes = store.homes(layer.home)
        if text and all(overlay.linked(homes, name) for name in text.split(":")):
            continue
        chain = store.chain(id)[1:]
        if id in templates and templates[id] in layers:
            chain = store.chain(templates[id])  # a copy with other owners lies on what it is a copy of
        try:
            found[id] = ":".join("l/" + files.read(f"{item.home}/{item.id}/link").decode().strip() for item in chain)
        except OSError:
            continue  # that layer is damaged beyond its name
    return found


def remove_damaged(
    store: Store, damage: Sequence[Damage], *, force: bool, remove_container: Callable[[str], None]
) -> list[str]:
    """Remove damaged images, layers, containers and rows; a line for each.

    What a container uses stays, unless ``force``: then ``remove_container`` is called with its id first.
    Raises StorageError.
    """
    layers = store.layers()
    bad = {item.id for item in damage if item.kind == "layer"}
    containers = {item.id for item in damage if item.kind == "container"}
    copies = {id for id in bad if id in layers and layers[id].raw.get("uidmap")}
    removed = []

    def uses(layer: str) -> bool:
        while layer and layer in layers:
            if layer in bad:
                return True
            layer = layers[layer].parent
        return False

    for container in store.containers():
        broken = bool(container.layer) and (container.layer not in layers or uses(container.layer))
        image = any(item.kind == "image" and item.id == container.image for item in damage)
        if force and (broken or image or container.id in containers):
            remove_container(container.id)
            removed.append(f"container {container.id}")
    _forget_copies(store, copies)
    ids = {item.id for item in damage if item.kind == "image"}
    for found in store.images():
        if not found.read_only and (found.id in ids or uses(found.layer)):
            try:
                store.delete_image(found.id)
                removed.append(f"image {found.id}")
            except (PypodError, NoSuchImage):
                continue  # a container uses it
    there = store.layers()
    removed += remove_layers(store, [id for id in layers if id in there and uses(id)])
    return removed + _drop_records(store, damage)


def _forget_copies(store: Store, copies: set[str]) -> None:
    """Take damaged copies with other owners from their images: they are made again when they are needed."""
    used = {item.parent for item in store.layers().values()}
    copies = {id for id in copies if id not in used}
    if not copies:
        return
    with store.images_lock() as lock:
        rows = []
        for row in store.image_table.rows():
            mapped = row.get("mapped-layers") or []
            if any(id in copies for id in mapped):
                row = {**row, "mapped-layers": [id for id in mapped if id not in copies]}
            rows.append(row)
        store.image_table.save(rows, lock, durable=True)


def _drop_records(store: Store, damage: Sequence[Damage]) -> list[str]:
    """Remove rows that nobody can use; a copy of them is kept beside our own state."""
    if not any(item.kind == "record" for item in damage):
        return []
    locks = {"layer": store.layers_lock, "image": store.images_lock, "container": store.containers_lock}
    removed = []
    for kind, table in check.tables(store):
        with locks[kind]() as lock:
            rows = table.rows()
            if not table.broken:
                continue
            try:
                files.make_directory(f"{store.graphroot}/pypod")
                name = f"removed-{os.path.basename(table.path).removesuffix('.json')}-{time.time_ns()}.json"
                files.replace_json(f"{store.graphroot}/pypod/{name}", table.broken, durable=True)
            except OSError as error:
                raise StorageError(f"cannot keep the broken records of {table.path}: {reason(error)}") from None
            removed += [f"broken record of {table.path}, kept in {store.graphroot}/pypod/{name}"] * len(table.broken)
            table.broken = []
            table.save(rows, lock, durable=True)
    return removed
