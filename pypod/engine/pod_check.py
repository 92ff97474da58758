"""What killed ``pod create`` and ``pod rm`` leave, for ``system check``: infra containers of no pod, files of nobody.

Who makes or removes a pod holds its lock, so what has no record and a lock that can be had belongs to nobody.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.engine import container as containers
from pypod.engine import pods, remove
from pypod.errors import PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store


def leftovers(context: Context, store: Store, *, repair: bool) -> list[str]:
    """A line for each; with ``repair`` for each that was removed. In the user namespace."""
    lost: dict[str, list[containers.Container]] = {}
    for item in containers.every(context, store):
        if item.config.infra and not pods.exists(context, item.config.pod):
            lost.setdefault(item.config.pod, []).append(item)
    place = pods.directory(context)
    for name in os.listdir(place):
        if name.endswith(".lock") and not name.startswith(".") and not pods.exists(context, name[:-5]):
            lost.setdefault(name[:-5], [])
    found = []
    for identity, members in sorted(lost.items()):
        lock = pods.lock(context, identity)
        if not lock.acquire(blocking=False):
            continue  # somebody is at work
        try:
            if pods.exists(context, identity):
                continue
            if not members:
                found.append(f"lock of pod {identity}")
            for item in members:
                try:
                    if repair:
                        remove.remove(context, store, item, force=True, volumes=True, timeout=0)
                except PypodError:
                    continue
                found.append(f"infra container {item.id} of no pod")
            if repair:
                files.remove_tree(lock.path)
        finally:
            lock.release()
    return found + _half_written(context, repair=repair)


def _half_written(context: Context, *, repair: bool) -> list[str]:
    place = pods.directory(context)
    lock = pods.names_lock(context)
    if not lock.acquire(blocking=False):
        return []  # somebody is writing one
    try:
        found = [f"{place}/{name}" for name in os.listdir(place) if name.startswith(".tmp-")]
        for path in found if repair else ():
            files.remove_tree(path)
    finally:
        lock.release()
    return [f"file {path}" for path in found]
