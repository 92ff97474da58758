"""``diff``: what a container or an image changes in the files below it."""

from __future__ import annotations

from pypod.engine import container as containers
from pypod.engine import rootless
from pypod.errors import NoSuchContainer, NotFound, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store

# Where the runtime mounts something of ours: the empty mount points that it makes are no change of the container's.
_MOUNT_POINTS = frozenset(
    (
        "/dev",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/mtab",
        "/etc/resolv.conf",
        "/proc",
        "/run",
        "/run/.containerenv",
        "/run/notify",
        "/run/secrets",
        "/sys",
    )
)


def changes(context: Context, store: Store, reference: str, *, kind: str = "all") -> list[tuple[str, str]]:
    """("A", "C" or "D", path) of a container, else of an image's top layer, in path order.

    ``kind`` "container" or "image" looks for that alone. Raises NotFound, UsageError, StorageError.
    """
    if kind != "image":
        try:
            container = containers.find(context, store, reference)
        except NoSuchContainer:
            if kind == "container":
                raise
        else:
            if container.config.rootfs:
                raise UsageError(
                    f"cannot compare container {container.name}: it was made from a directory (--rootfs)"
                )
            rootless.enter_user(context)
            return [item for item in store.diff(container.record.layer) if item[1] not in _MOUNT_POINTS]
    try:
        image = store.find_image(reference)
    except NotFound:
        if kind == "image":
            raise
        raise NotFound(f"{reference} not found: no such container or image") from None
    rootless.enter_user(context)
    found = store.diff(image.layer) if image.layer else ()
    return [item for item in found if item[1] not in _MOUNT_POINTS]
