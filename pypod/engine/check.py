"""``system check``: does the store hold together, and what have killed processes left in it?"""

from __future__ import annotations

import os
import time

from pypod.base import files
from pypod.base.record import record
from pypod.engine import container as containers
from pypod.engine import journal, orphans, rootless
from pypod.errors import NoSuchContainer, PypodError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.check import Damage
    from storage.store import Store

# What podman, buildah and skopeo unpack blobs into, and leave when they are killed (containers/image, buildah).
_TEMPORARY = ("storage", "container_images_", "buildah")
_YOUNGEST = 3600.0  # seconds: whatever --max says, what is younger may be in use
# Where records are written that no lock of the store guards, below graphroot; and for how long at most (seconds).
_RECORDS = ("pypod/volumes", "pypod/networks", "pypod/blobs", "secrets", "secrets/filedriver")
_WRITTEN_IN = 60.0


@record
class Report:
    """Lines for the user. ``leftovers`` belong to nobody; ``mended`` and ``removed`` is done; ``damage`` remains."""

    leftovers: list[str]
    mended: list[str]
    removed: list[str]
    damage: list[str]


def check(
    context: Context, store: Store, *, repair: bool = False, force: bool = False, quick: bool = False, min_age: float
) -> Report:
    """Look; with ``repair`` remove what belongs to nobody and what is damaged, ``force`` with the containers on it.

    ``quick`` compares the sizes of files and not their content. Layers that nothing uses are left alone if younger
    than ``min_age`` seconds. Raises StorageError.
    """
    from storage import check as checking
    from storage import mend

    if repair:
        _end_builds(context, store)
    rootless.enter_user(context)
    if repair:
        for container in containers.every(context, store):
            orphans.tend(context, store, container)
    mended: list[str] = []
    removed: list[str] = []
    found = checking.damaged(store, quick=quick)
    readable = not any(item.kind == "file" for item in found)
    if readable:
        found += _unreadable(context, store)
    if repair and readable:
        journal.recover(context, store)
        mended = mend.relink(store)
        if any(item.kind != "link" for item in found):
            removed = mend.remove_damaged(
                store, found, force=force, remove_container=lambda id: _remove_container(context, store, id)
            )
        if not any(table.broken for _, table in checking.tables(store)):
            removed += mend.clean(store, min_age, journal.making(context))
        _remove_exit_files(context, store)
        removed += _remove_temporary(context, min_age)
    others = [*_bridges(context, repair=repair), *_pods(context, store, repair=repair)]
    others += _builds(store, repair=repair)
    others += _half_written(context, repair=repair)
    if repair:
        removed += others
    leftovers: list[str] = []
    if readable and not any(table.broken for _, table in checking.tables(store)):
        leftovers = checking.leftovers(store)
        if leftovers:
            # Now with the locks, without what others are about to make known.
            with store.layers_lock(), store.images_lock(), store.containers_lock():
                leftovers = checking.leftovers(store, journal.making(context))
        leftovers += [f"layer {id}" for id in checking.unused_layers(store, min_age)]
    if not repair:
        leftovers += others
    return Report(
        leftovers=leftovers,
        mended=mended,
        removed=removed,
        damage=[item.line for item in (_remaining(store, found) if repair and readable else found)],
    )


def _unreadable(context: Context, store: Store) -> list[Damage]:
    """Containers of which nobody can say what they are: lists leave them out."""
    from storage.check import Damage

    found = []
    for one in store.containers():
        try:
            containers.load(context, store, one)
        except NoSuchContainer:
            continue  # another tool's, or just removed
        except StorageError as error:
            found.append(Damage("container", one.id, error.message))
    return found


def _pods(context: Context, store: Store, *, repair: bool) -> list[str]:
    """What killed commands have left of pods; with ``repair`` it is removed."""
    from pypod.engine import pods

    if not os.path.isdir(pods.directory(context)):
        return []
    from pypod.engine import pod_check

    return pod_check.leftovers(context, store, repair=repair)


def _end_builds(context: Context, store: Store) -> None:
    """End what killed builds have left running. Not in the user namespace yet."""
    from pypod.engine import build_leftovers

    try:
        build_leftovers.end_processes(context, build_leftovers.of_killed_builds(store))
    except PypodError:
        return  # a record that cannot be read is told of below


def _builds(store: Store, *, repair: bool) -> list[str]:
    """The working containers of killed builds; with ``repair`` they are removed."""
    from pypod.engine import build_leftovers

    try:
        found = build_leftovers.of_killed_builds(store)
    except PypodError:
        return []  # a damaged record, which is told of as such
    if repair:
        found, _ = build_leftovers.remove(store, found)
    return [f"working container {item.name or item.id[:12]} of a build" for item in found]


def _half_written(context: Context, *, repair: bool) -> list[str]:
    """Records that killed commands had begun to write; with ``repair`` they are removed."""
    found = []
    for place in (f"{context.graphroot}/{name}" for name in _RECORDS):
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():
            path = f"{place}/{name}"
            try:
                if not name.startswith(".tmp-") or os.lstat(path).st_mtime > time.time() - _WRITTEN_IN:
                    continue
            except FileNotFoundError:
                continue  # it has its name now
            found.append(path)
            if repair:
                files.remove_tree(path)
    return found


def _bridges(context: Context, *, repair: bool) -> list[str]:
    """What killed containers have left of the network of a rootless user's bridges; with ``repair`` it is removed."""
    from pypod.engine import netconfig

    place = netconfig.uplink_directory(context)
    if not place or not os.path.isdir(place):
        return []
    from pypod.network import netavark, uplink

    with netavark.lock(place):
        return [f"network of bridges {place}"] if uplink.sweep(place, only_look=not repair) else []


def _remaining(store: Store, found: list[Damage]) -> list[Damage]:
    """Those that a repair has left: the files of layers are not read a second time."""
    from storage import check as checking

    layers = store.layers()
    there = {
        "layer": set(layers),
        "link": set(checking.links(store, layers)),
        "image": {image.id for image in store.images()},
        "container": {container.id for container in store.containers()},
    }
    broken = {item.line for item in checking.broken_records(store)}
    return [item for item in found if (item.id in there[item.kind] if item.kind in there else item.line in broken)]


def _remove_container(context: Context, store: Store, id: str) -> None:
    """Remove a container of ours in the usual way, with its processes; of others, and of one that cannot be read, its
    record and files.
    """
    from pypod.engine import pod_remove

    try:
        container = containers.find(context, store, id)
    except (NoSuchContainer, StorageError):
        store.delete_container(id)
        return
    try:
        pod_remove.in_the_way(context, store, container, timeout=0)
    except PypodError:
        store.delete_container(id)


def _remove_exit_files(context: Context, store: Store) -> None:
    """Remove what monitors have written of the end of containers that were gone by then."""
    known = {container.id for container in store.containers()}
    place = f"{context.tmpdir}/exits"
    for name in os.listdir(place) if os.path.isdir(place) else ():
        # Another graphroot's containers have their directories in this runroot too.
        if name not in known and not os.path.lexists(os.path.dirname(store.run_directory(name))):
            files.remove_tree(f"{place}/{name}")


def _remove_temporary(context: Context, min_age: float) -> list[str]:
    """Remove what other tools have left in their directory for temporary files: only the user's own, and old."""
    place = os.environ.get("TMPDIR") or "/var/tmp"
    removed = []
    for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():
        path = f"{place}/{name}"
        if _is_temporary(name) and _abandoned(path, max(min_age, _YOUNGEST)):
            try:
                files.remove_tree(path)
            except OSError:
                continue  # a file in it belongs to somebody else
            removed.append(path)
    return removed


def _is_temporary(name: str) -> bool:
    for prefix in _TEMPORARY:
        if name.startswith(prefix):
            rest = name[len(prefix) :]
            return rest.isdigit() if prefix != "container_images_" else rest[-1:].isdigit()
    return False


def _abandoned(path: str, age: float) -> bool:
    """Whether everything at ``path`` is this user's and has not been changed for ``age`` seconds."""
    limit, me = time.time() - age, os.geteuid()
    try:
        top = os.lstat(path)
        if top.st_uid != me or top.st_ctime > limit:
            return False
        for directory, names, others in os.walk(path):
            for name in (*names, *others):
                found = os.lstat(f"{directory}/{name}")
                if found.st_ctime > limit:
                    return False
    except OSError:
        return False
    return True
