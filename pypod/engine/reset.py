"""``system reset`` and ``system migrate``: begin anew, with everything or with the user namespace alone."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.engine import container as containers
from pypod.engine import events, pod_remove, pods, remove, rootless, runtimes, secrets, stop, update, volumes
from pypod.errors import NoSuchContainer, PypodError, StorageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.records import Container as StorageRecord
    from storage.store import Store

# What the storage format, podman and we keep below graphroot and runroot. What else is there is somebody's own:
# such a directory may be one that holds other things, too.
_KEPT = ("bolt_state.db", "db.sql", "defaultNetworkBackend", "libpod", "pypod", "storage.lock", "userns.lock")
_PARTS = ("", "-containers", "-images", "-layers", "-locks")
_OF_TMPDIR = ("auto-update.lock", "creating", "ended", "ended.old", "events", "exits", "holders", "kept", "netns")
_OF_SECRETS = ("secrets.json", "secrets.lock", "filedriver/secretsdata.json", "filedriver/secretsdata.lock")
_IF_EMPTY = ("cache", "mounts", "networks", "secrets/filedriver", "secrets", "tmp", "volumes")


def foreign(context: Context, store: Store) -> list[StorageRecord]:
    """Other tools' containers, which ``reset`` takes along."""
    ours = {container.id for container in containers.every(context, store)}
    return [found for found in store.containers() if found.id not in ours]


def reset(context: Context, store: Store) -> list[PypodError]:
    """Remove every container, image, volume, network and secret, and what else is in the store; what could not be.

    Enters the user namespace.
    """
    rootless.enter_user(context)
    problems = _containers(context, store)
    if problems:
        return problems  # a container that cannot be stopped is not to lose its files
    events.system(context, "reset")
    for volume in volumes.every(context):
        volumes.delete(context, volume.name)
    for secret in secrets.every(context):
        secrets.remove(context, secret.id)
    # The network namespace of rootless bridges is a mount there.
    rootless.private_mounts(context)
    places = [place for place in (context.graphroot, context.storage.imagestore, context.runroot) if place]
    for path in _doomed(context, places):
        try:
            files.remove_tree(path)
        except OSError as error:
            problems.append(StorageError(f"cannot remove {path}: {reason(error)}"))
    below = [f"{context.graphroot}/{name}" for name in _IF_EMPTY]
    for path in (*below, context.volume_path, context.tmpdir, *places):
        try:
            os.rmdir(path)
        except OSError:
            continue  # not ours alone
    return problems


def _containers(context: Context, store: Store) -> list[PypodError]:
    problems: list[PypodError] = []
    for pod in pods.every(context):
        try:
            pod_remove.remove(context, store, pod, force=True, timeout=0)
        except PypodError as error:
            problems.append(error)
    for container in reversed(containers.every(context, store)):
        try:
            remove.remove(context, store, container, force=True, depend=True, timeout=0)
        except NoSuchContainer:
            continue  # gone with another one
        except PypodError as error:
            problems.append(error)
    return problems


def _doomed(context: Context, places: list[str]) -> list[str]:
    names = [driver + part for driver in ("overlay", "vfs") for part in _PARTS] + list(_KEPT)
    return [
        *(f"{place}/{name}" for place in places for name in names),
        *(f"{context.tmpdir}/{name}" for name in _OF_TMPDIR),
        *(f"{context.graphroot}/secrets/{name}" for name in _OF_SECRETS),
    ]


def migrate(context: Context, store: Store, new_runtime: str = "") -> list[str]:
    """Stop what runs, so that the next start has the user namespace of /etc/subuid as it is now; the ids stopped.

    ``new_runtime`` becomes the runtime of every container. Raises PypodError.
    """
    if new_runtime:
        runtimes.path_of(context, new_runtime)
    stopped = []
    for container in containers.every(context, store):
        if containers.observe(container).live:
            stop.stop(context, store, container, remove=False)
            stopped.append(container.id)
        if new_runtime:
            update.rewrite(context, container, runtime=new_runtime)
    return stopped
