"""``rm``: a container and all that was its own."""

from __future__ import annotations

from pypod.base import files
from pypod.base.record import replace
from pypod.engine import cleanup
from pypod.engine.container import Container, every, observe, save_state
from pypod.errors import BadState, InUse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store


def delete(context: Context, store: Store, container: Container) -> None:
    """Remove layer, record, userdata and run directory. The caller holds the lock; the container does not run."""
    cleanup.unmount(store, container)
    if container.config.auto_remove:
        remove_anonymous_volumes(context, container)
    store.delete_container(container.id)
    for path in (container.exit_file,):
        files.remove_tree(path)


def remove_anonymous_volumes(context: Context, container: Container) -> None:
    """The volumes that only this container knows."""
    names = [mount.name for mount in container.config.mounts if mount.type == "volume" and mount.anonymous]
    if names:
        from pypod.engine import volumes

        for name in names:
            volumes.remove_anonymous(context, name)


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
    if state.live:
        from pypod.engine import stop

        stop.stop(context, store, container, timeout=timeout, remove=False, quiet=True)
    cleanup.enter(context, state)
    with container.lock:
        cleanup.finish(context, store, container)
        save_state(container, replace(observe(container), status="removing"))
        if volumes:
            remove_anonymous_volumes(context, container)
        delete(context, store, container)
    return [*removed, container.id]
