"""Take a container away: what every way of removal ends in."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.engine import cleanup, ended, events, journal
from pypod.engine.container import Container, read_exit_file, stored_state
from pypod.errors import StorageError

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
    layer = container.config.layer
    begun = journal.entry(context, container.id, layer)
    try:
        journal.begin(begun)
        try:
            store.delete_container(container.id)
        except StorageError:
            # On a full disk the new records find no room: the layer's own files make some. Else another try may do.
            _empty(store, container)
            store.delete_container(container.id)
            if layer:
                store.delete_layer(layer)
        files.remove_tree(container.exit_file)
    finally:
        journal.end(begun)
    events.container(context, container, "remove")


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
