"""A container on disk: its configuration, its state, and the truth about it.

    <graphroot>/overlay-containers/ID/userdata/container.json   what it is; changed by `update` and `network connect`
                                               exit.json        how it last ended; outlives a reboot
                                               config.json      the OCI config of its last start
    <runroot>/overlay-containers/ID/userdata/state.json         what it is doing; a reboot empties it

``observe`` does not believe state.json: the kernel says whether the container's process and its monitor live, the
monitor's exit file says how it ended.
"""

from __future__ import annotations

import os

from conmon import exits
from pypod.base import fastjson, files, times
from pypod.base.locks import FileLock
from pypod.base.record import from_json as record_from_json
from pypod.base.record import record, replace, to_json
from pypod.engine import config as configuration
from pypod.engine.config import ContainerConfig
from pypod.errors import NoSuchContainer, StorageError, reason
from pypod.linux import proc

MANY = 50  # containers, from which on lists of them are read by ``listing``

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from pypod.engine.context import Context
    from storage.records import Container as StorageRecord
    from storage.store import Store


@record
class State:
    """What a container is doing. Times are nanoseconds since 1970, 0 if not set."""

    status: str = "created"  # created, initialized, running, paused, stopping, exited, removing
    pid: int = 0
    pid_start: int = 0
    conmon_pid: int = 0
    conmon_start: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    restarts: int = 0
    stopped_by_user: bool = False
    restart_wanted: bool = False  # by its health check: it was ended to be started again
    error: str = ""
    checkpointed: bool = False  # it ended by its checkpoint, which is at checkpoint_path
    checkpointed_at: int = 0
    checkpoint_path: str = ""
    checkpoint_log: str = ""  # criu's, if it was kept
    restored_at: int = 0
    restore_log: str = ""
    network: dict[str, Any] = {}
    cgroup_path: str = ""
    cgroup_manager: str = ""
    runtime: str = ""
    notify_socket: str = ""  # of systemd, which waits there for word of the container (sd_notify(3))
    supervised: bool = False  # systemd watches the cgroup in which it was started: its monitor is to stay there
    # Of systemd, which runs its health check: the name of the two units without their kinds. "": its monitor does.
    health_timer: str = ""
    # Not stored: the container's process is gone but nobody has cleaned up after it yet.
    unclean: bool = False

    @property
    def live(self) -> bool:
        """Whether there is a process: initialized, running, paused or stopping."""
        return self.status in ("initialized", "running", "paused", "stopping")


@record
class Container:
    """One container of ours, as it was found on disk."""

    id: str
    name: str
    record: StorageRecord
    config: ContainerConfig
    userdata: str
    rundir: str
    exit_file: str

    @property
    def lock(self) -> ContainerLock:
        return ContainerLock(self)

    @property
    def log_file(self) -> str:
        """The path of its log; "" if its log driver writes none."""
        if self.config.log_driver not in ("k8s-file", "json-file"):
            return ""
        return self.config.log_path or self.userdata + "/ctr.log"


class ContainerLock(FileLock):
    """The lock under which a container's state changes. Raises NoSuchContainer if it was removed meanwhile."""

    def __init__(self, container: Container) -> None:
        super().__init__(container.rundir + "/lock")
        self.container = container

    def acquire(self, *, blocking: bool = True) -> bool:
        try:
            taken = super().acquire(blocking=blocking)
        except FileNotFoundError:
            if not os.path.exists(self.container.userdata):
                raise self._gone() from None
            # A reboot has emptied the runroot.
            files.make_directory(self.container.rundir)
            taken = super().acquire(blocking=blocking)
        if taken and not os.path.exists(self.container.userdata):
            self.release()
            raise self._gone()
        return taken

    def _gone(self) -> NoSuchContainer:
        return NoSuchContainer(f'no container with name or ID "{self.container.id}" found: no such container')


def open_store(context: Context) -> Store:
    """The store on disk; costs nothing until it is used.

    Raises ConfigError for a limit that is none.
    """
    from storage.store import Store

    limits = None
    if context.store_limits:
        from pypod.engine import store_limits

        limits = store_limits.parse(context.store_limits)

    conf = context.storage
    return Store(
        conf.graphroot,
        conf.runroot,
        driver=conf.driver,
        imagestore=conf.imagestore,
        mount_program=conf.mount_program,
        mountopt=conf.mountopt,
        additional_image_stores=tuple(conf.additional_image_stores),
        transient=conf.transient_store,
        ignore_chown_errors=conf.ignore_chown_errors,
        force_mask=conf.force_mask,
        disable_volatile=conf.disable_volatile,
        sync=conf.sync,
        rootless=context.rootless,
        limits=limits,
        short_names=short_names,
    )


def short_names(name: str) -> tuple[str, tuple[str, ...]]:
    """What a name without a registry stands for by registries.conf: its alias or "", and where to look for it.

    Raises ConfigError.
    """
    from pypod.registry import shortnames
    from pypod.registry.settings import Settings

    return shortnames.here(name, Settings())


def save_config(container: Container, config: ContainerConfig) -> Container:
    """The container with another configuration, on disk too. The caller holds its lock."""
    stored = to_json(replace(config, layer=""))
    files.replace_json(container.userdata + "/container.json", stored, durable=not config.auto_remove)
    return replace(container, config=config)


def reread(container: Container) -> Container:
    """The container as it is on disk now: for who has waited for its lock. Raises StorageError."""
    try:
        values = files.read_json(container.userdata + "/container.json")
        config = configuration.from_json(values, name=container.name, layer=container.config.layer)
    except (OSError, fastjson.BadJson) as error:
        raise StorageError(f"cannot read container {container.id[:12]}: {error}") from None
    return replace(container, config=config)


def load(context: Context, store: Store, found: StorageRecord) -> Container:
    """The container of a storage record.

    Raises NoSuchContainer if it is another tool's, StorageError if its configuration cannot be read.
    """
    userdata = store.container_directory(found.id)
    own = {"name": found.names[0]} if found.names else {}
    try:
        config = configuration.from_json(files.read_json(userdata + "/container.json"), **own, layer=found.layer)
    except FileNotFoundError:
        raise NoSuchContainer(
            f"container {found.id[:12]} in this store is not pypod's",
            hint="use the tool that made it: podman or buildah",
        ) from None
    except OSError as error:
        raise StorageError(f"cannot read container {found.id[:12]}: {error.filename}: {reason(error)}") from None
    except fastjson.BadJson as error:
        raise StorageError(f"cannot read container {found.id[:12]}: {error}") from None
    return assemble(context, store, found, userdata, config)


def assemble(
    context: Context, store: Store, found: StorageRecord, userdata: str, config: ContainerConfig
) -> Container:
    """The container of a record whose configuration is known."""
    return Container(
        id=found.id,
        name=config.name,
        record=found,
        config=config,
        userdata=userdata,
        rundir=store.run_directory(found.id),
        exit_file=f"{context.tmpdir}/exits/{found.id}",
    )


def find(context: Context, store: Store, reference: str) -> Container:
    """By full id, name or unique prefix of an id. Raises NoSuchContainer."""
    return load(context, store, store.find_container(reference))


def every(context: Context, store: Store) -> list[Container]:
    """All containers of ours, oldest first; what cannot be read is left out."""
    records = store.containers()
    if len(records) >= MANY:
        from pypod.engine import listing

        result = listing.load(context, store, records)
    else:
        result = []
        for found in records:
            try:
                result.append(load(context, store, found))
            except (NoSuchContainer, StorageError):
                continue
    result.sort(key=lambda item: times.order(item.config.created))
    return result


def latest(context: Context, store: Store) -> Container:
    """The one created last. Raises NoSuchContainer."""
    found = every(context, store)
    if not found:
        raise NoSuchContainer('no container with name or ID "latest" found: no such container')
    return found[-1]


def stored_state(container: Container) -> State:
    """What was written last, believed or not."""
    try:
        return record_from_json(State, files.read_json(container.rundir + "/state.json"))
    except (OSError, fastjson.BadJson):
        return state_without_file(container)


def state_without_file(container: Container) -> State:
    """The state of a container that has none in its run directory."""
    if os.path.exists(container.userdata + "/config.json"):
        return _after_reboot(container)
    return State()


def _after_reboot(container: Container) -> State:
    """The state of a container that was started once, when a reboot has emptied the runroot."""
    try:
        state = record_from_json(State, files.read_json(container.userdata + "/exit.json"))
    except (OSError, fastjson.BadJson):
        state = State()
    state = replace(state, status="exited", pid=0, conmon_pid=0)
    started = os.stat(container.userdata + "/config.json").st_mtime_ns
    if started > state.finished_at:
        # It ran when the machine went down. Nobody saw it end: it was over when this boot began.
        return replace(state, exit_code=0, started_at=started, finished_at=proc.boot_time())
    return state


def read_exit_file(container: Container) -> tuple[int, int] | None:
    """The exit code that the monitor wrote, and when (ns); None if there is none."""
    return exits.read(container.exit_file)


def oom_seen(container: Container) -> bool:
    """The monitor's mark that the kernel killed something of this container for lack of memory."""
    return exits.oom_killed(container.userdata, container.rundir)


def observe(container: Container, stored: State | None = None) -> State:
    """The state as it truly is. Reads only. ``stored`` is the stored state, if that is known."""
    state = stored or stored_state(container)
    if not state.live or proc.alive(state.pid, state.pid_start):
        return state
    if not state.pid:
        # Whoever began to start it is at work, or was killed at that.
        started = os.path.exists(container.userdata + "/exit.json")
        return replace(state, status="exited" if started else "created", unclean=True)
    ended = read_exit_file(container)
    if ended is not None:
        code, when = ended
        return replace(
            state,
            status="exited",
            pid=0,
            exit_code=code,
            finished_at=when,
            oom_killed=oom_seen(container),
            unclean=True,
        )
    if proc.alive(state.conmon_pid, state.conmon_start):
        # The monitor is about to say how it ended.
        return replace(state, status="stopping")
    fresh = stored_state(container)
    if fresh != state:
        return observe(container)
    # The monitor was killed: nobody knows the status, nor since when.
    return replace(
        state,
        status="exited",
        pid=0,
        exit_code=-1,
        finished_at=times.now(),
        error="the monitor died before the container",
        unclean=True,
    )


def observed(context: Context, store: Store, found: Sequence[Container]) -> Iterable[tuple[Container, State]]:
    """Each of them with its state as it truly is."""
    if len(found) < MANY:
        return [(container, observe(container)) for container in found]
    from pypod.engine import listing

    return listing.observed(context, store, found)


def save_state(container: Container, state: State) -> None:
    """Write state.json, and exit.json when it says how the container ended. Not flushed: see docs/architecture.md."""
    values = {key: value for key, value in state.__dict__.items() if key != "unclean"}
    values["userdata"] = container.userdata  # for `system check`: whose it is, where stores share a runroot
    files.replace_json(container.rundir + "/state.json", values)
    if state.status == "exited" and not container.config.auto_remove:
        files.replace_json(
            container.userdata + "/exit.json",
            {
                "exit_code": state.exit_code,
                "started_at": state.started_at,
                "finished_at": state.finished_at,
                "oom_killed": state.oom_killed,
                "restarts": state.restarts,
                "stopped_by_user": state.stopped_by_user,
                "error": state.error,
                "checkpointed": state.checkpointed,
                "checkpointed_at": state.checkpointed_at,
                "checkpoint_path": state.checkpoint_path,
                "checkpoint_log": state.checkpoint_log,
            },
        )
