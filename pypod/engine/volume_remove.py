"""Remove volumes, and the containers in their way."""

from __future__ import annotations

from pypod.engine import container, volumes
from pypod.engine.remove import remove as remove_container
from pypod.errors import InUse

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
            remove_container(context, store, container.find(context, store, identity), force=True, timeout=timeout)
    volumes.delete(context, name)
