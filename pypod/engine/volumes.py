"""Named volumes: a directory ``<volumes>/NAME/_data`` and a record ``<graphroot>/pypod/volumes/NAME.json``.

podman keeps its volumes' directories in the same place but their records in its database: a directory of a name
that only podman knows is taken into use, never emptied.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, files, times
from pypod.base.locks import FileLock
from pypod.base.record import from_json, record, to_json
from pypod.engine import events
from pypod.errors import InUse, NoSuchVolume, StorageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.store import Store


@record
class Volume:
    """The record on disk, in podman-volume-inspect(1)'s terms."""

    name: str
    driver: str = "local"
    created: str = ""
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    anonymous: bool = False
    needs_copy_up: bool = True  # no container has filled it yet
    needs_chown: bool = True
    uid: int = 0
    gid: int = 0


def _records(context: Context) -> str:
    return context.state_dir + "/volumes"


def _record(context: Context, name: str) -> str:
    return f"{_records(context)}/{name}.json"


def lock(context: Context, name: str) -> FileLock:
    """The lock of one volume. Taken after a container's, never before."""
    files.make_directory(_records(context))
    return FileLock(f"{_records(context)}/{name}.lock")


def mountpoint(context: Context, name: str) -> str:
    return f"{context.volume_path}/{name}/_data"


def load(context: Context, name: str) -> Volume:
    """One volume by its full name. Raises NoSuchVolume, StorageError."""
    try:
        values = files.read_json(_record(context, name))
        return from_json(Volume, values)
    except (FileNotFoundError, NotADirectoryError):
        raise NoSuchVolume(f'no volume with name "{name}" found: no such volume') from None
    except OSError as error:
        raise StorageError(f"cannot read volume {name}: {error.filename}: {reason(error)}") from None
    except fastjson.BadJson as error:
        raise StorageError(f"cannot read volume {name}: {error}") from None


def save(context: Context, volume: Volume) -> None:
    files.replace_json(_record(context, volume.name), to_json(volume))


def ensure(context: Context, name: str, *, anonymous: bool = False) -> Volume:
    """The volume ``name``, made if there is none. Raises StorageError."""
    try:
        return load(context, name)
    except NoSuchVolume:
        pass
    try:
        return create(context, name, anonymous=anonymous)
    except InUse:
        return load(context, name)


def create(
    context: Context,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
    anonymous: bool = False,
    uid: int = 0,
    gid: int = 0,
) -> Volume:
    """A new volume. Raises InUse if the name is taken, StorageError."""
    try:
        with lock(context, name):
            if os.path.exists(_record(context, name)):
                raise InUse(f"volume with name {name} already exists: volume already exists")
            data = mountpoint(context, name)
            adopted = os.path.isdir(data) and bool(os.listdir(data))
            files.make_directory(data)
            os.chmod(data, 0o755)
            if uid or gid:
                os.chown(data, uid, gid)
            volume = Volume(
                name=name,
                created=times.rfc3339(times.now()),
                labels=dict(labels or {}),
                options=dict(options or {}),
                anonymous=anonymous,
                needs_copy_up=not adopted,
                needs_chown=not (adopted or uid or gid),
                uid=uid,
                gid=gid,
            )
            save(context, volume)
            events.volume(context, "create", name)
            return volume
    except OSError as error:
        raise StorageError(f"cannot create volume {name}: {error.filename}: {reason(error)}") from None


def every(context: Context) -> list[Volume]:
    """All volumes by name; what cannot be read is left out."""
    try:
        names = sorted(os.listdir(_records(context)))
    except OSError:
        return []
    result = []
    for name in names:
        if name.endswith(".json") and not name.startswith(".tmp-"):
            try:
                result.append(load(context, name.removesuffix(".json")))
            except (NoSuchVolume, StorageError):
                continue
    return result


def find(context: Context, name: str) -> Volume:
    """By full name, else by a prefix that only one has. Raises NoSuchVolume."""
    if name and "/" not in name:
        try:
            return load(context, name)
        except NoSuchVolume:
            pass
        found = [volume for volume in every(context) if volume.name.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise NoSuchVolume(f"more than one result for volume name {name}: volume already exists")
    raise NoSuchVolume(f'no volume with name "{name}" found: no such volume')


class Users:
    """Which containers use which volumes: for lists of volumes, as every container is read once, when it is asked."""

    def __init__(self, context: Context, store: Store) -> None:
        self._context, self._store = context, store
        self._by_name: dict[str, dict[str, Container]] | None = None

    def of(self, name: str) -> list[Container]:
        """The containers that use a volume."""
        if self._by_name is None:
            from pypod.engine import container

            self._by_name = {}
            for other in container.every(self._context, self._store):
                for mount in other.config.mounts:
                    if mount.type == "volume":
                        self._by_name.setdefault(mount.name, {})[other.id] = other
        return list(self._by_name.get(name, {}).values())


def users(context: Context, store: Store, name: str) -> list[str]:
    """The ids of the containers that use a volume."""
    return [other.id for other in Users(context, store).of(name)]


def delete(context: Context, name: str) -> None:
    """Take a volume off the disk; gone already is fine. Raises StorageError."""
    try:
        with lock(context, name) as held:
            # The record first: a directory without a record is only in the way, a record without one is a lie.
            files.remove_tree(_record(context, name))
            files.remove_tree(f"{context.volume_path}/{name}")
            files.remove_tree(held.path)
            events.volume(context, "remove", name)
    except OSError as error:
        raise StorageError(f"cannot remove volume {name}: {error.filename}: {reason(error)}") from None


def remove_anonymous(context: Context, name: str) -> None:
    """What ``rm -v`` and ``--rm`` do to a container's anonymous volume: nothing if it is gone."""
    delete(context, name)
