"""The containers that are made from an image, whoever made them: named where they are in the way, or removed."""

from __future__ import annotations

import os

from pypod.engine import container as containers
from pypod.errors import InUse, NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.context import Context
    from storage.records import Container as StorageRecord
    from storage.records import Image
    from storage.store import Store


def owner(store: Store, found: StorageRecord) -> str:
    """The tool that a container belongs to: pypod, buildah (also podman build's), or else podman."""
    directory = store.container_directory(found.id)
    if os.path.exists(f"{directory}/container.json"):
        return "pypod"
    if podman_metadata(found):
        return "podman"
    return "buildah" if os.path.exists(f"{directory}/buildah.json") else "podman"


def podman_metadata(found: StorageRecord) -> dict[str, Any]:
    """What podman says of a container in the store's record; buildah says nothing there."""
    from pypod.base import fastjson

    try:
        values = fastjson.loads(found.metadata or "{}")
    except fastjson.BadJson:
        return {}
    return values if isinstance(values, dict) else {}


def _in_use(store: Store, found: StorageRecord) -> InUse:
    tool = owner(store, found)
    return InUse(
        f"image used by {found.id}: image is in use by a container: {found.name or found.id[:12]} of {tool}",
        hint=f"{tool} rm {'' if tool == 'buildah' else '-f '}{found.name or found.id[:12]}",
        code=2,
    )


def release(context: Context, store: Store, image: Image, *, force: bool) -> None:
    """Make sure that no container needs an image; ``force`` removes ours, if there are no others.

    In the user namespace. Raises InUse (code 2), PypodError.
    """
    users = [found for found in store.containers() if found.image == image.id]
    ours = []
    for found in users:
        try:
            if not force:
                raise _in_use(store, found)
            ours.append(containers.load(context, store, found))
        except NoSuchContainer:
            raise _in_use(store, found) from None
    if ours:
        from pypod.engine import pod_remove

        for container in ours:
            try:
                pod_remove.in_the_way(context, store, container)
            except NoSuchContainer:
                continue  # removed meanwhile, or as another one's dependent


def remove_working(store: Store, image: Image) -> bool:
    """Remove the working containers of buildah that use an image, if only such do. Raises StorageError."""
    users = [found for found in store.containers() if found.image == image.id]
    if any(owner(store, found) != "buildah" for found in users):
        return False
    for found in users:
        store.delete_container(found.id)
    return True
