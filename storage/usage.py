"""What a store takes on disk. Image layers have their sizes in their records, only what is written to is walked."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.errors import StorageError
from storage._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storage.records import Image, Layer
    from storage.store import Store


def tree(path: str) -> int:
    """Bytes of all files in a tree; hard links are counted once. 0 if it is not there."""
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        return os.lstat(path).st_size
    except OSError:
        return 0
    try:
        numbers = ffi.new("int64_t[2]")
        if lib.st_usage(top, numbers, numbers + 1):
            raise MemoryError
        return int(numbers[0])
    finally:
        os.close(top)


def trees(paths: Sequence[str]) -> list[int]:
    """``tree`` of each, as many at a time as there are processors."""
    workers = min(len(paths), len(os.sched_getaffinity(0)))
    if workers < 2:
        return [tree(path) for path in paths]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(tree, paths))


@record
class ImageUse:
    """One image. Bytes: ``size`` all of it, ``shared`` the layers that other images have too."""

    image: Image
    size: int
    shared: int
    containers: int


@record
class Copy:
    """A copy of an image with other owners, for containers with an id mapping of their own."""

    image: Image
    layer: str
    size: int  # bytes: it holds all files of the image
    active: bool  # a container is made on it


@record
class Use:
    """Images' bytes, each layer counted once; ``reclaimable`` is what goes with the images without containers."""

    images: list[ImageUse]
    size: int
    reclaimable: int
    copies: list[Copy]


def _chain(layers: dict[str, Layer], id: str) -> Iterable[Layer]:
    seen: set[str] = set()
    while id in layers and id not in seen:
        seen.add(id)
        yield layers[id]
        id = layers[id].parent


def images(store: Store) -> Use:
    """What the images take, from the records alone. Raises StorageError."""
    layers = store.layers()
    found = store.images()
    used: dict[str, int] = {}
    parents = set()
    for container in store.containers():
        used[container.image] = used.get(container.image, 0) + 1
        if container.layer in layers:
            parents.add(layers[container.layer].parent)
    users: dict[str, int] = {}
    needed: set[str] = set()
    for image in found:
        for layer in _chain(layers, image.layer):
            users[layer.id] = users.get(layer.id, 0) + 1
            if used.get(image.id) or image.read_only:
                needed.add(layer.id)
    for id in parents:  # also of containers whose image has gone
        needed.update(layer.id for layer in _chain(layers, id))
    shown: list[ImageUse] = []
    copies: list[Copy] = []
    size = sum(max(layers[id].diff_size, 0) for id in users)
    reclaimable = sum(max(layers[id].diff_size, 0) for id in users if id not in needed)
    for image in found:
        data = sum(image.big_data_sizes.values())
        chain = {layer.id: max(layer.diff_size, 0) for layer in _chain(layers, image.layer)}
        whole = sum(chain.values())
        shared = sum(bytes for id, bytes in chain.items() if users[id] > 1)
        count = used.get(image.id, 0)
        shown.append(ImageUse(image=image, size=data + whole, shared=shared, containers=count))
        size += data
        if not count and not image.read_only:
            reclaimable += data
        copies += [
            Copy(image=image, layer=id, size=whole, active=id in parents)
            for id in image.mapped_layers
            if id in layers
        ]
    return Use(images=shown, size=size, reclaimable=reclaimable, copies=copies)


def leftovers(store: Store) -> list[str]:
    """What no record mentions, and what is being made or removed now: staging areas."""
    from storage import check

    found = check.leftovers(store)
    homes = dict.fromkeys((store.home, store.image_home))
    areas = [f"{home}/{name}" for home in homes for name in ("tempdirs", "staging")]
    for area in (*areas, f"{store.layers_dir}/tmp"):
        try:
            found += [f"{area}/{name}" for name in sorted(os.listdir(area)) if not name.startswith("lock-")]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(f"cannot read {area}: {error.strerror}") from None
    return found
