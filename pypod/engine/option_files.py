"""The flags that bring files and devices into a container, for ``options``."""

from __future__ import annotations

from pypod.engine.config import Mount
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.engine.context import Context
    from storage.store import Store

_MOUNT_FLAGS = ("volume", "mount", "tmpfs", "volumes_from", "image_volume")


def mounted(
    options: Mapping[str, Any], from_image: Mapping[str, Any], context: Context, store: Store
) -> tuple[list[Mount], list[str]]:
    """All mounts, in the order of their rank, and the containers that they were taken from."""
    declared = from_image.get("Volumes") or {}
    configured_texts = context.containers.get("volumes") or ()
    if not declared and not configured_texts and not any(map(options.get, _MOUNT_FLAGS)):
        return [], []
    from pypod.engine import mounts

    volume_path = context.volume_path
    configured = [mounts.parse_volume(text, volume_path) for text in configured_texts]
    given = mounts.unify(
        (
            [mounts.parse_volume(text, volume_path) for text in options.get("volume") or ()],
            [mount for text in options.get("mount") or () for mount in mounts.parse_mount(text, volume_path)],
            [mounts.parse_tmpfs(text) for text in options.get("tmpfs") or ()],
        )
    )
    result = {mount.destination: mount for mount in configured}
    mode = options.get("image_volume") or "anonymous"
    if mode not in ("anonymous", "bind", "tmpfs", "ignore"):
        raise UsageError(f"invalid image volume mode {mode!r}: must be anonymous, tmpfs or ignore")
    for mount in given:
        if mount.type == "image":
            store.find_image(mount.source)
    for path in declared if mode != "ignore" else ():
        target = mounts.destination(path)
        if mode == "tmpfs":
            words = [*mounts.IMAGE_VOLUME_OPTIONS[:-1], "tmpcopyup"]
            result[target] = Mount(type="tmpfs", source="tmpfs", destination=target, options=words, copy=False)
        else:
            result[target] = mounts.anonymous(target, volume_path, mounts.IMAGE_VOLUME_OPTIONS)
    sources = []
    for text in options.get("volumes_from") or ():
        from pypod.engine import container

        other = container.find(context, store, text.partition(":")[0])
        sources.append(other.id)
        result.update((mount.destination, mount) for mount in mounts.from_container(text, other.config.mounts))
    result.update((mount.destination, mount) for mount in given)
    return list(result.values()), sources


def devices(options: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    given = [*(settings.get("devices") or ()), *(options.get("device") or ())]
    if not given:
        return []
    from pypod.engine import devices as host_devices

    return [host_devices.parse(text) for text in given]
