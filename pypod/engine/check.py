"""``system check``: does the store hold together, and what have killed processes left in it?"""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine import journal, rootless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store


@record
class Report:
    """Lines for the user. ``leftovers`` belong to nobody, ``removed`` did; ``damage`` is what records miss."""

    leftovers: list[str]
    removed: list[str]
    damage: list[str]


def check(context: Context, store: Store, *, repair: bool, force: bool, min_age: float) -> Report:
    """Look, and with ``repair`` remove what belongs to nobody; ``force``: containers without their layer too.

    Layers without a record are left alone if younger than ``min_age`` seconds. Raises StorageError.
    """
    from storage import check as storage_check

    rootless.enter_user(context)
    removed: list[str] = []
    if repair:
        journal.recover(context, store)
        removed = storage_check.clean(store, min_age)
        if force:
            removed += _broken_containers(store)
    return Report(
        leftovers=storage_check.leftovers(store, min_age), removed=removed, damage=storage_check.damaged(store)
    )


def _broken_containers(store: Store) -> list[str]:
    layers = store.layers()
    broken = [item for item in store.containers() if item.layer and item.layer not in layers]
    for item in broken:
        store.delete_container(item.id)
    return [f"container {item.id}" for item in broken]
