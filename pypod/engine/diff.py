"""``diff``: what a container or an image changes in the files below it."""

from __future__ import annotations

from pypod.engine import container as containers
from pypod.engine import rootless
from pypod.errors import NoSuchContainer, NotFound, UsageError
from storage import changes as changed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

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


def changes(
    context: Context, store: Store, reference: str, other: str = "", *, kind: str = "all"
) -> list[tuple[str, str]]:
    """("A", "C" or "D", path) of a container, else of an image's top layer, in path order.

    With ``other``, a container or an image too, what is different in the first one's files. ``kind`` "container" or
    "image" looks for that alone. Raises NotFound, UsageError, StorageError.
    """
    layer = _layer(context, store, reference, kind)
    compared = _layer(context, store, other, kind) if other else ""
    rootless.enter_user(context)
    found: Iterable[tuple[str, str]]
    if other:
        directories = [store.directories(item) if item else [] for item in (layer, compared)]
        found = changed.between(*directories) if any(directories) else ()
    else:
        found = store.diff(layer) if layer else ()
    return [item for item in found if item[1] not in _MOUNT_POINTS]


def _layer(context: Context, store: Store, reference: str, kind: str) -> str:
    """The layer of a container or image; "" for an image without any."""
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
            return container.record.layer
    try:
        return store.find_image(reference).layer
    except NotFound:
        if kind == "image":
            raise
        raise NotFound(f"{reference} not found: no such container or image") from None
