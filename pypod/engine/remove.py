"""``rm``: a container and all that was its own."""

from __future__ import annotations

import os

from pypod.engine import cleanup, delete, journal, stop
from pypod.engine.container import Container, every, observe
from pypod.errors import BadState, InUse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store


def dependents(context: Context, store: Store, container: Container) -> list[Container]:
    """The containers that join this one's namespaces."""
    return [other for other in every(context, store) if container.id in other.config.dependencies]


def remove(
    context: Context,
    store: Store,
    container: Container,
    *,
    force: bool = False,
    volumes: bool = False,
    depend: bool = False,
    timeout: int | None = None,
) -> list[str]:
    """Remove a container; the ids removed (with ``depend``, those of its dependents first).

    Raises BadState (code 2) if it runs and ``force`` is off, InUse if others depend on it.
    """
    removed = []
    for other in dependents(context, store, container):
        if not depend:
            raise InUse(
                f"container {container.id} has dependent containers which must be removed before it: {other.id}:"
                " container already exists"
            )
        removed += remove(context, store, other, force=force, volumes=volumes, depend=True, timeout=timeout)
    state = observe(container)
    if state.status in ("running", "paused", "stopping") and not force:
        raise BadState(
            f"cannot remove container {container.id} as it is {state.status} - running or paused containers cannot be"
            " removed without force: container state improper",
            code=2,
        )
    if os.path.exists(store.mountpoints_file):
        from pypod.engine import mounted

        mounted.release(store, container)
    if state.live or force:
        stop.stop(context, store, container, timeout=timeout, remove=False, quiet=True)
    cleanup.enter(context, state)
    journal.recover(context, store)
    with container.lock:
        cleanup.finish(context, store, container)
        if volumes:
            delete.remove_anonymous_volumes(context, container)
        delete.delete(context, store, container)
    return [*removed, container.id]
