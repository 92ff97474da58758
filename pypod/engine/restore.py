"""``container restore``: go on with a container from its checkpoint, or make it from the archive of one."""

from __future__ import annotations

import os
import time

from pypod.base import files, times
from pypod.base.record import record, replace
from pypod.engine import checkpoint, cleanup, create, delete, events, names, ports, runtimes, start, volumes
from pypod.engine.checkpoint import DIRECTORY, PREVIOUS, RESTORE_LOG, RESTORE_STATISTICS, SHM
from pypod.engine.container import Container, observe, save_state
from pypod.errors import BadState, InUse, NoSuchImage, NotFound, RuntimeFailed
from pypod.runtime import criu
from storage import lookup, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.config import ContainerConfig
    from pypod.engine.container import State
    from pypod.engine.context import Context
    from storage.store import Store


@record
class Wanted:
    """What the flags ask for. ``source`` and ``previous``: archives, or ""."""

    keep: bool = False
    tcp_established: bool = False
    tcp_close: bool = False
    file_locks: bool = False
    source: str = ""
    previous: str = ""
    name: str = ""
    publish: list[str] = []
    ignore_rootfs: bool = False
    ignore_volumes: bool = False
    ignore_static_ip: bool = False
    ignore_static_mac: bool = False


def restore(context: Context, store: Store, container: Container, wanted: Wanted) -> dict[str, Any]:
    """Let it run again; what --print-stats shows. Raises BadState, UsageError, RuntimeFailed, PypodError.

    If criu fails, the checkpoint stays.
    """
    checkpoint.check_container(container, wanted.tcp_established)
    _check(container, observe(container))
    start.start_needs(context, store, container)
    with container.lock:
        before = observe(container)
        _check(container, before)
        if before.unclean:
            cleanup.enter(context, before)
            before = cleanup.finish(context, store, container)
        start.enter(context, store, container)
        log = f"{container.userdata}/{RESTORE_LOG}"
        files.remove_tree(log)
        begin = time.monotonic()
        try:
            state = start.initialize(context, store, container, before, restored=_words(context, container, wanted))
        except RuntimeFailed as error:
            raise checkpoint.failed("restore", container, error, log) from None
        took = int((time.monotonic() - begin) * 1e6)
        now = times.now()
        timer = ""
        if container.config.healthcheck is not None:
            from pypod.engine import health_log, health_timer

            health_log.begin(container)
            timer = health_timer.choose(context, container, state)
        state = replace(
            state,
            status="running",
            started_at=now,
            restored_at=now,
            checkpointed_at=before.checkpointed_at,
            restore_log=log if wanted.keep else "",
            health_timer=timer,
        )
        save_state(container, state)
        events.container(context, container, "restore")
        if container.config.healthcheck is not None:
            health_timer.arm(context, container, state)
        found = criu.statistics(f"{container.userdata}/{RESTORE_STATISTICS}")
        if not wanted.keep:
            checkpoint.forget(container)
    return {"Id": container.id, "runtime_restore_duration": took, "criu_statistics": found}


def _check(container: Container, state: State) -> None:
    if state.live:
        raise BadState(f"container {container.id} is {state.status}, cannot restore: container state improper")
    if not os.path.isdir(f"{container.userdata}/{DIRECTORY}"):
        raise BadState(
            f"a checkpoint for container {container.name} cannot be found, cannot restore: container state improper"
        )


def _words(context: Context, container: Container, wanted: Wanted) -> list[str]:
    words = checkpoint.runtime_words(tcp_established=wanted.tcp_established, file_locks=wanted.file_locks)
    words += ["--tcp-close"] if wanted.tcp_close else []
    return words + checkpoint.empty_network(runtimes.path_of(context, container.config.runtime), container)


def import_archive(context: Context, store: Store, wanted: Wanted) -> tuple[Container, dict[str, Any]]:
    """Make the container of an archive and let it run; nothing is left of it if that fails.

    Raises BadArchive, InUse, NoSuchImage, BadState, RuntimeFailed, PypodError.
    """
    from pypod.engine import checkpoint_archive, volume_archive

    staging = f"{store.graphroot}/pypod/restoring-{names.random_id()[:12]}"
    files.make_directory(staging + "/files")
    try:
        place = staging + "/files"
        checkpoint_archive.unpack(wanted.source, place)
        if wanted.previous:
            files.make_directory(staging + "/previous")
            checkpoint_archive.unpack(wanted.previous, staging + "/previous")
            if not os.path.isdir(f"{staging}/previous/{PREVIOUS}"):
                raise NotFound(f"{wanted.previous} is not the archive of a pre-checkpoint")
            files.remove_tree(f"{place}/{PREVIOUS}")
            os.rename(f"{staging}/previous/{PREVIOUS}", f"{place}/{PREVIOUS}")
        if not os.path.isdir(f"{place}/{DIRECTORY}"):
            raise NotFound(
                f"cannot restore from {wanted.source}: there is no checkpoint in it",
                hint="of a pre-checkpoint alone nothing can be restored",
            )
        config = _config(context, checkpoint_archive.described(place, wanted.source), wanted)
        there = lookup.by_id(store, config.id)
        if there is not None:
            name = records.container(there).name or config.id[:12]
            raise InUse(
                f"cannot restore container {config.name} from {wanted.source}: it is here already, as {name}",
                hint="remove that container, or make another one with --name",
            )
        filled = _volumes(context, config, place, wanted)
        image = None
        if not config.rootfs:
            try:
                image = store.find_image(config.image_id)
            except NoSuchImage:
                raise NoSuchImage(
                    f"cannot restore container {config.name}: its image {config.image or config.image_id} is"
                    " not here",
                    hint=f"pypod pull {config.image}",
                ) from None
        made = create.from_config(context, store, config, image)
        try:
            if not wanted.ignore_rootfs and made.record.layer:
                checkpoint_archive.apply(store, made, place)
            for name in filled:
                volume_archive.unpack(context, volumes.find(context, name), f"{place}/volumes/{name}.tar")
            for name in (DIRECTORY, PREVIOUS, SHM):
                if os.path.lexists(f"{place}/{name}"):
                    os.rename(f"{place}/{name}", f"{made.userdata}/{name}")
            return made, restore(context, store, made, wanted)
        except BaseException:
            with made.lock:
                delete.delete(context, store, made)
            for name in filled:
                volumes.delete(context, name)
            raise
    finally:
        files.remove_tree(staging)


def _config(context: Context, config: ContainerConfig, wanted: Wanted) -> ContainerConfig:
    """The configuration in the archive, changed as the flags say. With another name it is another container."""
    renamed = bool(wanted.name)
    return replace(
        config,
        id=names.random_id() if renamed else config.id,
        name=names.check(wanted.name) if renamed else config.name,
        created=times.rfc3339(times.now()) if renamed else config.created,
        layer="",
        ports=ports.resolve(wanted.publish, [], False) if wanted.publish else config.ports,
        static_ip="" if wanted.ignore_static_ip or renamed else config.static_ip,
        static_ip6="" if wanted.ignore_static_ip or renamed else config.static_ip6,
        static_mac="" if wanted.ignore_static_mac or renamed else config.static_mac,
        cidfile="",
        pidfile="",
        conmon_pidfile="",
        log_path="" if renamed else config.log_path,
    )


def _volumes(context: Context, config: ContainerConfig, place: str, wanted: Wanted) -> list[str]:
    """The volumes that the archive fills. Raises InUse if one exists."""
    if wanted.ignore_volumes:
        return []
    found = []
    for mount in config.mounts:
        if mount.type == "volume" and os.path.isfile(f"{place}/volumes/{mount.name}.tar"):
            if any(volume.name == mount.name for volume in volumes.every(context)):
                raise InUse(
                    f"volume with name {mount.name} already exists",
                    hint="--ignore-volumes leaves its content as it is",
                )
            found.append(mount.name)
    return found
