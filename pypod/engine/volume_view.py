"""``volume inspect`` and ``volume ls``: podman's JSON of a volume."""

from __future__ import annotations

from pypod.engine import volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.context import Context
    from pypod.engine.volumes import Volume
    from storage.store import Store


def describe(context: Context, store: Store, volume: Volume) -> dict[str, Any]:
    """podman-volume-inspect(1)'s object. UID, GID and Anonymous are left out while they are zero."""
    result: dict[str, Any] = {
        "Name": volume.name,
        "Driver": volume.driver,
        "Mountpoint": volumes.mountpoint(context, volume.name),
        "CreatedAt": volume.created,
        "Labels": dict(volume.labels),
        "Scope": "local",
        "Options": dict(volume.options),
    }
    if volume.uid:
        result["UID"] = volume.uid
    if volume.gid:
        result["GID"] = volume.gid
    if volume.anonymous:
        result["Anonymous"] = True
    result["MountCount"] = _mounted(context, store, volume.name)
    if volume.needs_copy_up:
        result["NeedsCopyUp"] = True
    if volume.needs_chown:
        result["NeedsChown"] = True
    result["LockNumber"] = 0
    return result


def _mounted(context: Context, store: Store, name: str) -> int:
    """How many containers have it mounted now."""
    from pypod.engine import container as containers

    count = 0
    for container in containers.every(context, store):
        if any(mount.type == "volume" and mount.name == name for mount in container.config.mounts):
            count += containers.observe(container).live
    return count
