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


class Dependents:
    """Which containers join which others' namespaces; every container is read once, when it is asked first."""

    def __init__(self, context: Context, store: Store) -> None:
        self._context, self._store = context, store
        self._joined: dict[str, dict[str, Container]] | None = None

    def of(self, container: Container) -> list[Container]:
        """The containers that join this one's namespaces."""
        if self._joined is None:
            self._joined = {}
            for other in every(self._context, self._store):
                for id in other.config.dependencies:
                    self._joined.setdefault(id, {})[other.id] = other
        return list(self._joined.get(container.id, {}).values())

    def forget(self, container: Container) -> None:
        """It has been removed."""
        for id in container.config.dependencies:
            if self._joined:
                self._joined.get(id, {}).pop(container.id, None)


def remove(
    context: Context,
    store: Store,
    container: Container,
    *,
    force: bool = False,
    volumes: bool = False,
    depend: bool = False,
    timeout: int | None = None,
    dependents: Dependents | None = None,
    infra: bool = False,
) -> list[str]:
    """Remove a container; the ids removed (with ``depend``, those of its dependents first).

    ``dependents`` serves several calls: whoever removes many containers need not read them all for each.

    ``infra``: even the container that holds the namespaces of a pod.

    Raises BadState (code 2) if it runs and ``force`` is off, InUse if others depend on it.
    """
    if container.config.infra and not infra:
        from pypod.engine import pods

        if pods.exists(context, container.config.pod):
            raise InUse(
                f"container {container.id} is the infra container of pod {container.config.pod} and cannot be removed"
                " without removing the pod",
                hint=f"pypod pod rm {container.config.pod[:12]}",
            )
    removed = []
    dependents = dependents or Dependents(context, store)
    for other in dependents.of(container):
        if not depend:
            raise InUse(
                f"container {container.id} has dependent containers which must be removed before it: {other.id}:"
                " container already exists"
            )
        removed += remove(
            context,
            store,
            other,
            force=force,
            volumes=volumes,
            depend=True,
            timeout=timeout,
            dependents=dependents,
        )
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
    dependents.forget(container)
    return [*removed, container.id]
