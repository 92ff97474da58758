"""Does a store hold together? What is damaged in it, and what have killed processes left?

A staging area whose lock is free belongs to nobody; a directory or file without a record has never become visible
(records are written last) or is already gone (records are removed first). So all of it may be deleted. ``mend``
repairs what is damaged.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import NamedTuple

from pypod.base import fastjson, files, times
from pypod.errors import StorageError, reason
from storage import images, overlay, verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from storage.records import Image, Layer, Row
    from storage.store import Store
    from storage.table import Table

_UNREADABLE, _RECORD = "file", "record"


class Damage(NamedTuple):
    """One thing that is wrong. ``kind``: layer, link (of one), image, container, record (a row), file (of rows)."""

    kind: str
    id: str
    text: str

    @property
    def line(self) -> str:
        return f"{'layer' if self.kind == 'link' else self.kind} {self.id}: {self.text}"


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except FileNotFoundError:
        return []


def is_id(name: str) -> bool:
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def tables(store: Store) -> list[tuple[str, Table]]:
    """The store's own files of records, each with what its rows are."""
    return [
        *(("layer", table) for table in store.layer_tables),
        ("image", store.image_table),
        *(("container", table) for table in store.container_tables),
    ]


def homes(store: Store) -> list[str]:
    """The store's own driver directories: there is a second one with an imagestore."""
    return list(dict.fromkeys((store.home, store.image_home)))


def broken_records(store: Store) -> list[Damage]:
    """Files that cannot be read, and rows that nobody can use."""
    from storage import records

    found = []
    for kind, table in tables(store):
        try:
            table.rows()
        except StorageError as error:
            found.append(Damage(_UNREADABLE, table.path, error.message))
            continue
        for row in table.broken:
            id = row.get("id") if isinstance(row, dict) else None
            shown = id if isinstance(id, str) and id else "?"
            found.append(Damage(_RECORD, shown, f"{records.fault(row)} ({kind}, {table.path})"))
    return found


def leftovers(store: Store, making: Collection[str] = ()) -> list[str]:
    """Paths in the store that no record mentions, and whose ids are not in ``making``.

    Without the layers', images' and containers' locks, what is being made at this moment may be among them.
    Raises StorageError: where records cannot be read, nothing is known to be left over.
    """
    layers = {*store.layers(), *making}
    known_images = {image.id for image in store.images()}
    containers = {*(container.id for container in store.containers()), *making}
    sets = {"layer": layers, "image": known_images, "container": containers}
    for kind, table in tables(store):
        for row in table.broken:
            id = row.get("id") if isinstance(row, dict) else None
            if not isinstance(id, str):
                raise StorageError(f"cannot tell what {table.path} has records of: one of them has no id")
            sets[kind].add(id)
    found = []
    for home in homes(store):
        directory = f"{home}/dir" if store.driver == "vfs" else home
        for name in _names(directory):
            path = f"{directory}/{name}"
            if is_id(name) and name not in layers:
                found.append(path)
        found += _stale_links(home, layers, found)
    for name in _names(store.layers_dir):
        id = name.removesuffix(".tar-split.gz")
        if is_id(id) and id not in layers:
            found.append(f"{store.layers_dir}/{name}")
    for directory, known in ((store.images_dir, known_images), (store.containers_dir, containers)):
        for name in _names(directory):
            if is_id(name) and name not in known:
                found.append(f"{directory}/{name}")
            elif directory == store.images_dir and is_id(name):
                found += _unfinished(f"{directory}/{name}")
    found += unfinished_records(store)
    for directory, begin in ((f"{store.graphroot}/pypod", ".tmp-synced"), (store.home, ".tmp-.has-mount-program")):
        found += [f"{directory}/{name}" for name in _names(directory) if name.startswith(begin)]
    run = f"{store.runroot}/{store.driver}-containers"
    for name in _names(run):
        if is_id(name) and name not in containers and not _belongs_elsewhere(store, f"{run}/{name}/userdata"):
            found.append(f"{run}/{name}")
    return found


def _unfinished(directory: str) -> list[str]:
    """The files in a directory that ``files.replace`` has begun."""
    return [f"{directory}/{name}" for name in _names(directory) if name.startswith(".tmp-")]


def unfinished_records(store: Store) -> list[str]:
    """Files of records that somebody has begun to write. Who holds all three locks knows: who began is gone."""
    places = (store.layers_dir, store.images_dir, store.containers_dir)
    return [path for directory in places for path in _unfinished(directory)]


def _belongs_elsewhere(store: Store, rundir: str) -> bool:
    """Whether a directory in the runroot is a container's of another graphroot: --root alone leaves it shared.

    Told by what ``pypod.engine.container.save_state`` writes, else by a process that its monitor has noted.
    """
    try:
        place = files.read_json(f"{rundir}/state.json").get("userdata")
    except (OSError, ValueError, AttributeError):
        place = None
    if isinstance(place, str) and not place.startswith(f"{store.graphroot}/") and os.path.isdir(place):
        return True
    for name in ("conmon.pid", "pidfile"):
        pid = overlay.read_text(f"{rundir}/{name}")
        if pid and pid.isdigit() and os.path.isdir(f"/proc/{pid}"):
            return True
    return False


def _stale_links(home: str, layers: set[str], doomed: Sequence[str]) -> list[str]:
    """Short names that no layer has for its own."""
    found = []
    for name in _names(f"{home}/l"):
        try:
            id = os.readlink(f"{home}/l/{name}").removeprefix("../").removesuffix("/diff")
        except OSError:
            continue
        path = f"{home}/{id}"
        link = overlay.read_text(f"{path}/link")
        if id in layers and os.path.isdir(path):
            stale = link != name and overlay.is_link_of(home, link or ".", id)
        else:
            stale = (not os.path.isdir(path) and id not in layers) or (path in doomed and link != name)
        if stale:
            found.append(f"{home}/l/{name}")
    return found


def unused_layers(store: Store, min_age: float = 86_400) -> list[str]:
    """The ids of layers with a record that no image and no container uses, top first, if older than ``min_age``.

    A download that was cancelled leaves such, and so does one that is under way. Raises StorageError.
    """
    if any(table.broken for _, table in tables(store)):
        return []
    layers = store.layers()
    rows: list[Row] = [{"layer": image.layer, "mapped-layers": image.mapped_layers} for image in store.images()]
    doomed = images.unused(store, {"mapped-layers": list(layers)}, rows)
    young: set[str] = set()
    for id in doomed:
        if not _is_old(layers[id], min_age):
            young.add(id)
        if id in young:
            young.add(layers[id].parent)
    return [id for id in doomed if id not in young]


def _is_old(layer: Layer, min_age: float) -> bool:
    if not min_age:
        return True
    try:
        return times.parse_rfc3339(layer.created) / 1e9 < time.time() - min_age
    except ValueError:
        return False


def damaged(store: Store, *, quick: bool = True) -> list[Damage]:
    """What is not as the records say. ``quick`` looks at names and sizes, else every byte is compared."""
    found = broken_records(store)
    if any(item.kind == _UNREADABLE for item in found):
        return found
    layers = store.layers()
    amiss = _amiss(store, layers, quick)
    if amiss:
        # Now with the locks: a record and what it needs may have come between the reading of two tables.
        with store.layers_lock(), store.images_lock(), store.containers_lock():
            layers = store.layers()
            amiss = _amiss(store, layers, quick)
    found += amiss
    gone = {item.id for item in found if item.kind != "link"}
    own = [layer for layer in layers.values() if layer.home in homes(store)]
    return found + _files(store, [layer for layer in own if layer.id not in gone], quick)


def _amiss(store: Store, layers: dict[str, Layer], quick: bool) -> list[Damage]:
    """What the records say that is not so."""
    found = []
    for layer in (layer for layer in layers.values() if layer.home in homes(store)):
        if not os.path.isdir(store.files_path(layer.home, layer.id)):
            found.append(Damage("layer", layer.id, "its files are missing"))
        if layer.parent and layer.parent not in layers:
            found.append(Damage("layer", layer.id, f"its parent {layer.parent} is missing"))
    gone = {item.id for item in found}
    found += [Damage("link", id, text) for id, text in links(store, layers).items() if id not in gone]
    for image in store.images():
        found += [Damage("image", image.id, text) for text in _image(store, image, layers, quick)]
    for container in store.containers():
        if container.layer and container.layer not in layers:
            found.append(Damage("container", container.id, f"its layer {container.layer} is missing"))
    return found


def _files(store: Store, layers: Sequence[Layer], quick: bool) -> list[Damage]:
    """Compare each layer with its tar-split, several at a time."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda layer: verify.layer(store, layer, quick=quick), layers)
        return [
            Damage("layer", layer.id, text) for layer, lines in zip(layers, results, strict=True) for text in lines
        ]


def links(store: Store, layers: dict[str, Layer]) -> dict[str, str]:
    """What is wrong with the short names and ``lower`` of layers (a power cut leaves empty ones), by layer."""
    if store.driver == "vfs":
        return {}
    found: dict[str, str] = {}
    for layer in layers.values():
        if layer.home not in homes(store):
            continue
        directory = f"{layer.home}/{layer.id}"
        link = overlay.read_text(f"{directory}/link")
        if not link or "/" in link:
            found[layer.id] = "it has no short name"
        elif not overlay.is_link_of(layer.home, link, layer.id):
            found[layer.id] = f"its short name l/{link} is missing"
        elif layer.parent:
            lower = overlay.read_text(f"{directory}/lower")
            places = store.homes(layer.home)
            if not lower or any(overlay.linked(places, name) is None for name in lower.split(":")):
                found[layer.id] = "what it says of the layers below it leads nowhere"
    return found


def _image(store: Store, image: Image, layers: dict[str, Layer], quick: bool) -> list[str]:
    lines = []
    if image.layer and image.layer not in layers:
        lines.append(f"its layer {image.layer} is missing")
    config = f"sha256:{image.id}"
    # A list of images has neither layers nor a config of its own.
    wanted = [config, "manifest"] if image.layer else []
    for key in dict.fromkeys([*wanted, *image.big_data_names]):
        try:
            path = f"{image.directory}/{images.data_file(key)}"
            if quick:
                size, content = os.stat(path).st_size, b""
            else:
                content = files.read(path)
                size = len(content)
        except StorageError as error:
            lines.append(error.message)
            continue
        except OSError as error:
            lines.append(f"cannot read {key} of image {image.id[:12]}: {reason(error)}")
            continue
        expected = image.big_data_sizes.get(key)
        if expected is not None and size != expected and (key not in ("manifest", "instances.json") or not size):
            lines.append(f"{key} has {size} bytes instead of {expected}")
        elif not quick:
            lines += _digest(image, key, content)
    if quick and not lines:
        for key in wanted:
            try:
                images.document(image, key)
            except StorageError as error:
                lines.append(error.message)
    return lines


def _digest(image: Image, key: str, content: bytes) -> list[str]:
    """Compare one item with the digest that its name or the record gives."""
    if key != f"sha256:{image.id}" and not key.startswith("manifest"):
        return []
    found = "sha256:" + hashlib.sha256(content).hexdigest()
    if key == "manifest":
        # Loading the image again under another manifest writes this before the record.
        try:
            if isinstance(fastjson.loads(content), dict):
                return []
        except fastjson.BadJson as error:
            return [f"manifest: {error}"]
        return ["manifest: not a JSON object"]
    expected = key.removeprefix("manifest-")
    if found == expected or (key != f"sha256:{image.id}" and b'"signatures"' in content):
        return []
    return [f"{key} has the digest {found}"]
