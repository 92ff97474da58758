"""``create``: from options and an image to a container on disk."""

from __future__ import annotations

import os

from pypod.base import files, times
from pypod.base.record import replace, to_json
from pypod.engine import container as containers
from pypod.engine import context as contexts
from pypod.engine import events, images, journal, names, option_spaces, options, rootless
from pypod.engine.container import Container
from pypod.errors import InUse, NoSuchContainer, PypodError, UsageError, reason
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.engine.config import ContainerConfig
    from pypod.engine.context import Context
    from pypod.engine.imageinfo import ImageInfo
    from storage.progress import Progress
    from storage.records import Container as StorageRecord
    from storage.records import Image
    from storage.store import Store

_TRIES = 10  # to find a free name, before a longer one is taken


def create(
    context: Context,
    store: Store,
    image_name: str,
    command: Sequence[str],
    flags: Mapping[str, Any],
    create_command: Sequence[str],
    *,
    puller: images.Puller | None = None,
    progress: Progress = SILENT,
) -> Container:
    """Make a container; nothing is left behind if it fails.

    ``puller`` gets an image that is not here. The first container with an id mapping of its own copies the image,
    which ``progress`` is told of. Enters the user namespace. Raises PypodError of every kind.
    """
    if flags.get("pod") or flags.get("pod_id_file"):
        from pypod.engine import pod_member

        return pod_member.create(
            context, store, image_name, command, flags, create_command, puller=puller, progress=progress
        )
    name = check(flags)
    contexts.make_directories(context)
    rootless.enter_user(context)
    journal.after_boot(store)
    journal.recover(context, store)
    image = None
    info = None
    if not flags.get("rootfs"):
        image = images.find_or_pull(context, store, image_name, flags, puller)
        info = images.image_info(store, image, image_name)
    if flags.get("replace"):
        _replace(context, store, name)
    ranges = None
    if option_spaces.userns(flags, context).startswith("auto"):
        # From the choice of a range to the record that says so: held by podman too. The kernel drops it with us.
        ranges = store.userns_lock()
        ranges.acquire()
    try:
        return _make(context, store, image_name, command, flags, create_command, image, info, name, progress)
    finally:
        if ranges is not None:
            ranges.release()


def check(flags: Mapping[str, Any]) -> str:
    """The name that the user chose, "" for none: what can be said before anything is looked at. Raises UsageError."""
    cidfile = flags.get("cidfile") or ""
    if cidfile and os.path.exists(cidfile):
        raise UsageError(
            f"container id file exists. Ensure another container is not using it or delete {cidfile}", code=125
        )
    name = names.check(flags["name"]) if flags.get("name") else ""
    if flags.get("replace") and not name:
        raise UsageError("cannot replace container without --name being set")
    return name


def configure(
    context: Context,
    store: Store,
    image_name: str,
    command: Sequence[str],
    flags: Mapping[str, Any],
    create_command: Sequence[str],
    info: ImageInfo | None,
    name: str,
) -> ContainerConfig:
    """The configuration of the container that ``create`` would make now. Nothing is written.

    In the user namespace. Raises PypodError.
    """
    config = options.build_config(
        flags,
        id=names.random_id(),
        name=name or _free_name(store),
        created=times.rfc3339(times.now()),
        image=info,
        command=list(command),
        create_command=list(create_command),
        rootfs=image_name if flags.get("rootfs") else "",
        context=context,
        store=store,
    )
    return _introduce(context, config) if config.image == images.EMBEDDED else config


def _make(
    context: Context,
    store: Store,
    image_name: str,
    command: Sequence[str],
    flags: Mapping[str, Any],
    create_command: Sequence[str],
    image: Image | None,
    info: ImageInfo | None,
    name: str,
    progress: Progress,
) -> Container:
    config = configure(context, store, image_name, command, flags, create_command, info, name)
    if config.uid_map:
        # The image's files are copied with their new owners, out of an overlay if it has several layers.
        rootless.private_mounts(context)
    cidfile = flags.get("cidfile") or ""
    return from_config(context, store, config, image, name_chosen=bool(name), cidfile=cidfile, progress=progress)


def from_config(
    context: Context,
    store: Store,
    config: ContainerConfig,
    image: Image | None,
    *,
    name_chosen: bool = True,
    cidfile: str = "",
    progress: Progress = SILENT,
) -> Container:
    """Make the container that ``config`` describes; nothing is left behind if it fails. Raises PypodError.

    The caller is in the user namespace, and for a container with an id mapping in a private mount namespace.
    """
    layer = names.random_id()
    begun = journal.entry(context, config.id, layer)
    try:
        journal.begin(begun)
        options.make_volumes(context, config)
        record = _record(context, store, config, image, layer, name_chosen=name_chosen, progress=progress)
        if cidfile:
            write_id(cidfile, config.id, "container")
        made = containers.load(context, store, record)
    except BaseException:
        _undo(context, store, config, layer)
        raise
    finally:
        journal.end(begun)
    events.container(context, made, "create")
    return made


def _record(
    context: Context,
    store: Store,
    config: ContainerConfig,
    image: Image | None,
    layer: str,
    *,
    name_chosen: bool,
    progress: Progress = SILENT,
) -> StorageRecord:
    """Write container.json and then the storage record, so that what the store knows is known to us, whenever we are
    killed. A name that nobody chose gives way to somebody who took it a moment ago.
    """
    userdata = store.container_directory(config.id)
    files.make_directory(userdata)
    if config.secrets:
        from pypod.engine import secret_use

        secret_use.keep(context, config, userdata)
    for tries_left in range(9, -1, -1):
        files.replace_json(userdata + "/container.json", to_json(config), durable=not config.auto_remove)
        try:
            return store.create_container(
                id=config.id,
                names=[config.name],
                image=image,
                metadata=_metadata(config.image, config.image_id, config.name),
                volatile=config.auto_remove,
                layer_id=layer,
                uid_map=config.uid_map,
                gid_map=config.gid_map,
                progress=progress,
            )
        except InUse:
            if name_chosen or not tries_left:
                raise
            config = replace(config, name=_free_name(store))
    raise AssertionError("unreachable")


def _undo(context: Context, store: Store, config: ContainerConfig, layer: str) -> None:
    from pypod.engine import volumes

    try:
        store.delete_container(config.id)
        store.delete_layer(layer)  # it is made before the record that leads to it
        for mount in config.mounts:
            if mount.type == "volume" and mount.anonymous:
                volumes.remove_anonymous(context, mount.name)
    except PypodError:
        pass  # the user is told what went wrong first, and `system check` what is left


def _introduce(context: Context, config: ContainerConfig) -> ContainerConfig:
    """Tell the greeter what it cannot see from inside: who started it and who watches it."""
    from pypod.engine import runtimes, start

    known = (
        f"PYPOD_HELLO_RUNTIME={runtimes.path_of(context, config.runtime)}",
        f"PYPOD_HELLO_MONITOR={start.monitor_path(context)}",
    )
    return replace(config, env=[*config.env, *known])


def _metadata(image: str, image_id: str, name: str) -> str:
    """What podman writes there, so that its own listings show our containers well."""
    from pypod.base import fastjson

    return fastjson.dumps(
        {"image-name": image, "image-id": image_id, "name": name, "created-at": times.now() // 1_000_000_000}
    )


def _free_name(store: Store) -> str:
    for _ in range(_TRIES):
        name = names.random_name()
        if not store.has_container_named(name):
            return name
    return f"{names.random_name()}{os.urandom(2).hex()}"  # most are taken


def write_id(path: str, identity: str, what: str) -> None:
    """--cidfile, --pod-id-file: a file that must not be there yet. Raises InUse."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise InUse(f"cannot write {what} id file {path}: {reason(error)}") from None
    try:
        files.write_all(fd, identity.encode())
    finally:
        os.close(fd)


def _replace(context: Context, store: Store, name: str) -> None:
    from pypod.engine import remove

    try:
        old = containers.find(context, store, name)
    except NoSuchContainer:
        return
    if old.name != name:
        return
    try:
        remove.remove(context, store, old, force=True, depend=True)
    except PypodError as error:
        raise InUse(f"cannot replace container {name}: {error.message}") from None
