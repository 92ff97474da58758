"""Remove volumes, and the containers in their way."""

from __future__ import annotations

from pypod.engine import container, pod_remove, volumes
from pypod.errors import InUse, NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store


def remove(context: Context, store: Store, name: str, *, force: bool = False, timeout: int | None = None) -> None:
    """Remove a volume and what is in it; ``force`` removes the containers that use it first.

    Raises InUse, NoSuchVolume, StorageError.
    """
    volumes.load(context, name)
    using = volumes.users(context, store, name)
    if using and not force:
        raise InUse(
            f"volume {name} is being used by the following container(s): {', '.join(using)}: volume is being used"
        )
    if using:
        for identity in using:
            try:
                found = container.find(context, store, identity)
                pod_remove.in_the_way(context, store, found, depend=False, timeout=timeout)
            except NoSuchContainer:
                continue  # gone with another one
    volumes.delete(context, name)
