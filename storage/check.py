"""What killed processes have left in a store, and its removal.

A staging area whose lock is free belongs to nobody; a directory or file without a record has never become visible
(records are written last) or is already gone (records are removed first). So all of it may be deleted.
"""

from __future__ import annotations

import os
import time

from pypod.base import files
from pypod.errors import StorageError, reason
from storage import overlay, trash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.store import Store


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []


def _is_id(name: str) -> bool:
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def leftovers(store: Store, min_age: float = 86_400) -> list[str]:
    """Paths in the store that no record mentions.

    Layers whose directory is younger than ``min_age`` seconds are left out: copies for an id mapping are made in
    place and get their record last. Without the locks, what is being made at this moment may be among the rest.
    """
    layers = store.layers()
    images = {image.id for image in store.images()}
    containers = {container.id for container in store.containers()}
    found = []
    for name in _names(os.path.dirname(store.layer_path("x"))):
        path = store.layer_path(name)
        if _is_id(name) and name not in layers and os.stat(path).st_ctime <= time.time() - min_age:
            found.append(path)
    for name in _names(f"{store.home}/l"):
        link = f"{store.home}/l/{name}"
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if not os.path.isdir(f"{store.home}/l/{target}"):
            found.append(link)
    for name in _names(store.layers_dir):
        id = name.removesuffix(".tar-split.gz")
        if _is_id(id) and id not in layers:
            found.append(f"{store.layers_dir}/{name}")
    for directory, known in ((store.images_dir, images), (store.containers_dir, containers)):
        found += [f"{directory}/{name}" for name in _names(directory) if _is_id(name) and name not in known]
    run = f"{store.runroot}/{store.driver}-containers"
    found += [f"{run}/{name}" for name in _names(run) if _is_id(name) and name not in containers]
    return found


def clean(store: Store, min_age: float = 86_400) -> list[str]:
    """Remove abandoned staging areas and ``leftovers``; the paths removed.

    Raises StorageError.
    """
    removed: list[str] = []
    try:
        trash.clean(store.home)
        trash.clean(store.layers_dir, "tmp")
        with store.layers_lock(), store.images_lock(), store.containers_lock():
            for path in leftovers(store, min_age):
                directory, name = os.path.split(path)
                if directory == store.home and store.driver == "overlay":
                    overlay.drop_link(store.home, name)
                files.remove_tree(path)
                removed.append(path)
    except OSError as error:
        raise StorageError(f"cannot clean the store {store.graphroot}: {reason(error)}") from None
    return removed


def damaged(store: Store) -> list[str]:
    """What records mention and is not there, one line each."""
    lines = []
    layers = store.layers()
    for layer in layers.values():
        if not os.path.isdir(store.files_path(layer.home, layer.id)):
            lines.append(f"layer {layer.id}: its files are missing")
        if layer.parent and layer.parent not in layers:
            lines.append(f"layer {layer.id}: its parent {layer.parent} is missing")
    for image in store.images():
        if image.layer and image.layer not in layers:
            lines.append(f"image {image.id}: its layer {image.layer} is missing")
        try:
            store.image_config(image)
            store.image_manifest(image)
        except StorageError as error:
            lines.append(f"image {image.id}: {error.message}")
    for container in store.containers():
        if container.layer and container.layer not in layers:
            lines.append(f"container {container.id}: its layer {container.layer} is missing")
    return lines
