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
            found += [f"infra container {item.id} of no pod" for item in members] or [f"lock of pod {identity}"]
            if repair:
                for item in members:
                    try:
                        remove.remove(context, store, item, force=True, volumes=True, timeout=0)
                    except PypodError:
                        found.pop()
                files.remove_tree(lock.path)
        finally:
            lock.release()
    for name in os.listdir(place):
        if name.startswith(".tmp-"):
            found.append(f"file {place}/{name}")
            if repair:
                files.remove_tree(f"{place}/{name}")
    return found
