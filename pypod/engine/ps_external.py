"""``ps --external``: containers of other tools in the same store, as far as the store knows them."""

from __future__ import annotations

import time

from pypod.base import times
from pypod.engine import image_users
from pypod.engine.config import ContainerConfig, Namespace
from pypod.engine.container import Container, State
from pypod.engine.ps_view import Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.records import Container as Record
    from storage.store import Store


def rows(store: Store) -> list[Row]:
    """A row of each: the state is "storage", the command names buildah, as podman has it."""
    now = time.time_ns()
    images = {image.id: image.names for image in store.images()}
    result = []
    for found in store.containers():
        tool = image_users.owner(store, found)
        if tool == "pypod":
            continue
        names = images.get(found.image) or ()
        image = str(image_users.podman_metadata(found).get("image-name") or (names[0] if names else found.image[:12]))
        result.append(_row(store, found, image, tool if tool == "buildah" else "storage", now))
    return result


def _row(store: Store, found: Record, image: str, command: str, now: int) -> Row:
    config = ContainerConfig(
        id=found.id,
        name=",".join(found.names),
        image=image,
        image_id=found.image,
        created=found.created,
        command=[command],
        network=Namespace(mode="none"),
    )
    container = Container(
        id=found.id,
        name=",".join(found.names),
        record=found,
        config=config,
        userdata=store.container_directory(found.id),
        rundir=store.run_directory(found.id),
        exit_file="",
    )
    created = times.parse_rfc3339(found.created) if found.created else now
    return Row(container=container, state=State(status="storage"), created=created, now=now)
