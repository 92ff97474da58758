"""``rm``: a container and all that was its own."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.engine import cleanup, ended
from pypod.engine.container import Container, every, observe, read_exit_file, stored_state
from pypod.errors import BadState, InUse, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store


def delete(context: Context, store: Store, container: Container) -> None:
    """Remove layer, record, userdata and run directory. The caller holds the lock; the container does not run."""
    cleanup.unmount(store, container)
    if container.config.auto_remove:
        remove_anonymous_volumes(context, container)
    _note_end(context, container)
    try:
        store.delete_container(container.id)
    except StorageError:
        # On a full disk the new records find no room: the layer's own files make some. Else another try may do.
        _empty(store, container)
        store.delete_container(container.id)
    files.remove_tree(container.exit_file)


def _note_end(context: Context, container: Container) -> None:
    found = read_exit_file(container)
    if found is not None:
        ended.note(context, container.id, found[0])
        return
    state = stored_state(container)
    if state.status == "exited":
        ended.note(context, container.id, state.exit_code)


def _empty(store: Store, container: Container) -> None:
    if container.config.layer:
        try:
            diff = store.diff_directory(container.config.layer)
        except StorageError:
            return  # it was not the layer that could not be removed
        for name in os.listdir(diff):
            files.remove_tree(f"{diff}/{name}")


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
    if state.live or force:
        from pypod.engine import stop

        stop.stop(context, store, container, timeout=timeout, remove=False, quiet=True)
    cleanup.enter(context, state)
    with container.lock:
        cleanup.finish(context, store, container)
        if volumes:
            remove_anonymous_volumes(context, container)
        delete(context, store, container)
    return [*removed, container.id]
