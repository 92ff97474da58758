"""``system df``: what images, containers and volumes take on disk, and what could be had back.

podman counts an image once for each of its names and a layer once for each image; here each counts once.
"""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine import container as containers
from pypod.engine import images as image_names
from pypod.engine import rootless, volumes
from pypod.engine.container import Container, State, observe
from storage import usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.context import Context
    from storage.store import Store


@record
class Line:
    """One kind of thing. ``size`` and ``reclaimable`` in bytes."""

    kind: str
    total: int
    active: int
    size: int
    reclaimable: int

    @property
    def percent(self) -> int:
        return int(self.reclaimable * 100 / self.size + 0.5) if self.size > 0 else 0


@record
class ContainerUse:
    """One container of ours; ``size`` in bytes is what it has written."""

    container: Container
    state: State
    size: int
    volumes: int


@record
class VolumeUse:
    """One volume; ``links`` is how many containers use it."""

    name: str
    links: int
    size: int


@record
class Report:
    """Everything; ``foreign`` are the sizes of other tools' containers, ``leftovers`` paths with their sizes."""

    images: usage.Use
    containers: list[ContainerUse]
    volumes: list[VolumeUse]
    foreign: list[int]
    leftovers: list[tuple[str, int]]

    def lines(self) -> list[Line]:
        """podman's three lines, and one more for each other kind of thing that there is."""
        active = [item for item in self.containers if item.state.live]
        linked = [item for item in self.volumes if item.links]
        copies = self.images.copies
        result = [
            Line(
                kind="Images",
                total=len(self.images.images),
                active=sum(1 for item in self.images.images if item.containers),
                size=self.images.size,
                reclaimable=self.images.reclaimable,
            ),
            _line("Containers", self.containers, active),
            _line("Local Volumes", self.volumes, linked),
        ]
        if copies:
            result.append(_line("Mapped Copies", copies, [item for item in copies if item.active]))
        if self.foreign:
            size = sum(self.foreign)
            result.append(
                Line(kind="External", total=len(self.foreign), active=len(self.foreign), size=size, reclaimable=0)
            )
        if self.leftovers:
            size = sum(size for _, size in self.leftovers)
            result.append(Line(kind="Leftovers", total=len(self.leftovers), active=0, size=size, reclaimable=size))
        return result

    def json(self) -> dict[str, Any]:
        """With the keys of podman's API (SystemDataUsage)."""
        return {
            "ImagesSize": self.images.size,
            "Images": [
                {
                    "Repository": repository,
                    "Tag": tag,
                    "ImageID": item.image.id,
                    "Created": item.image.created,
                    "Size": item.size,
                    "SharedSize": item.shared,
                    "UniqueSize": item.size - item.shared,
                    "Containers": item.containers,
                }
                for item, repository, tag in rows(self.images)
            ],
            "Containers": [
                {
                    "ContainerID": item.container.id,
                    "Image": item.container.config.image_id,
                    "Command": command(item),
                    "LocalVolumes": item.volumes,
                    "Size": item.size,
                    "RWSize": item.size,
                    "Created": item.container.record.created,
                    "Status": item.state.status,
                    "Names": item.container.name,
                }
                for item in self.containers
            ],
            "Volumes": [
                {
                    "VolumeName": item.name,
                    "Links": item.links,
                    "Size": item.size,
                    "ReclaimableSize": 0 if item.links else item.size,
                }
                for item in self.volumes
            ],
            "MappedCopies": [
                {"ImageID": item.image.id, "LayerID": item.layer, "Size": item.size, "Active": item.active}
                for item in self.images.copies
            ],
            "Leftovers": [{"Path": path, "Size": size} for path, size in self.leftovers],
        }


def _line(kind: str, all: list[Any], active: list[Any]) -> Line:
    size = sum(item.size for item in all)
    return Line(
        kind=kind,
        total=len(all),
        active=len(active),
        size=size,
        reclaimable=size - sum(item.size for item in active),
    )


def rows(images: usage.Use) -> list[tuple[usage.ImageUse, str, str]]:
    """Each image with each of its names in two parts."""
    return [
        (item, *image_names.split_name(name)) for item in images.images for name in item.image.names or ["<none>"]
    ]


def command(item: ContainerUse) -> list[str]:
    """What the container runs."""
    return list(item.container.config.command)


def report(context: Context, store: Store) -> Report:
    """Measure everything. Enters the user namespace, as files of containers belong to all of its ids.

    Raises StorageError.
    """
    images = usage.images(store)
    ours = containers.every(context, store)
    known = {item.id for item in ours}
    foreign = [item.layer for item in store.containers() if item.id not in known]
    names = [volume.name for volume in volumes.every(context)]
    if context.rootless and (ours or foreign or names):
        rootless.enter_user(context)
    left = usage.leftovers(store)
    layers = store.layers()

    def written(id: str) -> str:
        return store.files_path(layers[id].home, id) if id in layers else ""

    paths = [written(item.config.layer) for item in ours]
    paths += [written(id) for id in foreign]
    paths += [volumes.mountpoint(context, name) for name in names]
    paths += left
    sizes = iter(usage.trees(paths))
    links: dict[str, int] = {}
    for container in ours:
        for name in _volumes_of(container):
            links[name] = links.get(name, 0) + 1
    return Report(
        images=images,
        containers=[
            ContainerUse(container=item, state=observe(item), size=next(sizes), volumes=len(_volumes_of(item)))
            for item in ours
        ],
        foreign=[next(sizes) for _ in foreign],
        volumes=[VolumeUse(name=name, links=links.get(name, 0), size=next(sizes)) for name in names],
        leftovers=[(path, next(sizes)) for path in left],
    )


def _volumes_of(container: Container) -> set[str]:
    return {mount.name for mount in container.config.mounts if mount.type == "volume"}
