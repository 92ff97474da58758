"""``init`` and ``start``: root file system, OCI config, monitor, network, and the container's process.

Every step is undone from what is on disk if a later one fails, by the same function that cleans up after an exit.
"""

from __future__ import annotations

import os

import conmon
from conmon import spawn as monitors
from pypod import network
from pypod.base import files, times
from pypod.base.record import replace, to_json
from pypod.engine import bundle, cleanup, events, exit_command, limits, netconfig, rootless, runtimes
from pypod.engine import container as containers
from pypod.engine.container import Container, State, observe, save_state, stored_state
from pypod.engine.deeds import DEEDS
from pypod.errors import BadState, MonitorError, PypodError, reason
from pypod.linux import proc, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pypod.engine.bundle import Bundle
    from pypod.engine.config import ContainerConfig
    from pypod.engine.context import Context
    from pypod.engine.deeds import Deeds
    from pypod.runtime import Runtime
    from storage.store import Store


_ENVIRONMENT = frozenset(
    (
        "DBUS_SESSION_BUS_ADDRESS",
        "DISABLE_HC_SYSTEMD",
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "TMPDIR",
        "USER",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
    )
)
_ENVIRONMENTS = ("CONTAINERS_", "LC_", "PYPOD_", "STORAGE_", "_CONTAINERS_")


_notify_socket = ""  # NOTIFY_SOCKET, once it has been taken out of the environment


def startable(container: Container, state: State) -> None:
    """Raise BadState unless the container can be started."""
    if state.status in ("running", "stopping", "removing"):
        raise BadState(
            f"unable to start container {container.id}: container {container.name} is {state.status}:"
            " container state improper"
        )
    if state.status == "paused":
        raise BadState(f"unable to start container {container.id}: it is paused, unpause it first")


def start_needs(context: Context, store: Store, container: Container) -> None:
    """Start what must run before the container does and does not yet: its pod's infra container, --requires.

    Before its own lock is taken. Raises PypodError.
    """
    for id in container.config.needs:
        other = containers.find(context, store, id)
        if observe(other).status not in ("running", "paused"):
            start_detached(context, store, other, for_itself=False)


def enter(context: Context, store: Store, container: Container) -> None:
    """Enter the namespaces in which the container will be started."""
    rootless.enter_user(context)
    shared = -1
    if container.config.ipc.mode == "container":
        # The other container's /dev/shm is a mount of its monitor's namespace: taken along as a detached mount.
        other = containers.find(context, store, container.config.ipc.value)
        state = observe(other)
        if rootless.join_mounts(context, state.conmon_pid, state.conmon_start):
            shared = _detached(other.rundir + "/shm")
    rootless.private_mounts(context)
    if shared >= 0:
        files.make_directory(container.rundir + "/shm")
        syscalls.move_mount(shared, container.rundir + "/shm")
        os.close(shared)


def _detached(path: str) -> int:
    """A detached copy of what is mounted at ``path``; -1 if nothing can be."""
    try:
        return syscalls.open_tree(path)
    except OSError:
        return -1


def initialize(
    context: Context,
    store: Store,
    container: Container,
    before: State,
    *,
    preserve_fds: int = 0,
    notify_socket: str | None = None,
    supervised: bool | None = None,
    restored: list[str] | None = None,
) -> State:
    """Everything up to the created container process. The caller holds the lock and is in the namespaces.

    ``notify_socket`` and ``supervised`` are the state's fields: those of this process unless they are given.
    ``restored``: the process comes from the container's checkpoint, by the runtime's restore with these flags, and
    runs at once.
    Returns the new state, written to disk. Raises PypodError; then nothing is left of the attempt.
    """
    config = container.config
    files.make_directory(container.rundir)
    files.make_directory(context.tmpdir + "/exits")
    for stale in (container.exit_file, container.userdata + "/oom", container.rundir + "/oom"):
        files.remove_tree(stale)
    own_socket, own_unit = systemd()
    attempt = replace(
        State(),
        status="initialized",
        restarts=before.restarts,
        runtime=runtimes.path_of(context, config.runtime),
        notify_socket=told_at(config, own_socket if notify_socket is None else notify_socket),
        supervised=own_unit if supervised is None else supervised,
    )
    try:
        made, request = make_bundle(context, store, container, DEEDS, attempt.notify_socket)
        attempt = replace(
            attempt,
            cgroup_path=made.cgroups_path,
            cgroup_manager=made.cgroup_manager,
            network=network.planned(request),
        )
        # Whoever comes after a crash of ours must know that there may be a monitor, and then a process.
        save_state(container, attempt)
        if restored is not None:
            from pypod.engine import checkpoint_archive

            checkpoint_archive.fill(container.userdata, container.rundir + "/shm")
        attempt = _spawn(context, container, attempt, preserve_fds, restored)
        save_state(container, attempt)
        if attempt.cgroup_manager == "systemd" and limits.of_devices(config):
            from pypod.engine import device_limits, scope_limits

            scope_limits.limit_devices(context, device_limits.of(config), attempt.cgroup_path)
        status = network.setup(request, attempt.pid)
        if status is not None:
            attempt = replace(attempt, network=to_json(status))
            save_state(container, attempt)
        events.container(context, container, "init")
        return attempt
    except BaseException:
        _abandon(context, store, container, attempt, before)
        raise


def told_at(config: ContainerConfig, notify_socket: str) -> str:
    """Where systemd is told of the container, "" if it is told nothing."""
    return "" if config.sdnotify == "ignore" else notify_socket


def make_bundle(
    context: Context, store: Store, container: Container, deeds: Deeds, notify_socket: str
) -> tuple[Bundle, network.NetworkRequest]:
    """The first half of ``initialize``: the root file system, and all that the runtime and the network are told.

    Raises PypodError.
    """
    joined = _join_paths(context, store, container, deeds)
    if container.config.infra:
        deeds.pod_cgroup(context, container.config.pod)
    rootfs = _mount(store, container, deeds)
    request = netconfig.request(context, container)
    network.prepare(request)
    notify = _has_socket(container, notify_socket)
    return bundle.write(context, store, container, rootfs, joined, deeds, notify=notify), request


def start(context: Context, container: Container, state: State) -> State:
    """Let the created process run the container's command. The caller holds the lock.

    Raises RuntimeFailed (126, 127 when the command is at fault).
    """
    checked = container.config.healthcheck is not None
    timer = ""
    if checked:
        from pypod.engine import health_log, health_timer

        health_log.begin(container)
        timer = health_timer.choose(context, container, state)
    if state.notify_socket:
        from pypod.engine import notify

        notify.main_process(container, state)
    runtimes.of(context, container, state.runtime, state.cgroup_manager).start(container.id)
    running = replace(state, status="running", started_at=times.now(), health_timer=timer)
    save_state(container, running)
    events.container(context, container, "start")
    if state.notify_socket:
        notify.started(container, state)
    if checked:
        running = health_timer.arm(context, container, running)
    return running


def start_detached(
    context: Context, store: Store, container: Container, *, preserve_fds: int = 0, for_itself: bool = True
) -> State:
    """``start`` in full, for a container that nobody attaches to. Raises PypodError.

    Unless it is started ``for_itself`` but as another one needs it, systemd is told nothing of it.
    """
    start_needs(context, store, container)
    with container.lock:
        before = observe(container)
        if before.status == "running":
            return before  # podman's start of a running container succeeds too
        startable(container, before)
        if before.status == "initialized":
            cleanup.enter(context, before)
            return start(context, container, before)
        if before.unclean:
            cleanup.enter(context, before)
            before = cleanup.finish(context, store, container)
        enter(context, store, container)
        state = initialize(
            context,
            store,
            container,
            before,
            preserve_fds=preserve_fds,
            notify_socket=None if for_itself else "",
        )
        return start_or_abandon(context, store, container, state, before)


def initialize_only(context: Context, store: Store, container: Container) -> None:
    """``init``. Raises BadState unless the container was created or has ended."""
    start_needs(context, store, container)
    with container.lock:
        before = observe(container)
        if before.status not in ("created", "exited"):
            raise BadState(f"container {container.id} has already been created in runtime: container state improper")
        if before.unclean:
            cleanup.enter(context, before)
            before = cleanup.finish(context, store, container)
        enter(context, store, container)
        initialize(context, store, container, before)


def restart_after_exit(context: Context, store: Store, container: Container, before: State) -> None:
    """The restart policy's start, in the exit command. The caller holds the lock. Raises PypodError."""
    start_needs(context, store, container)
    events.container(context, container, "restart")
    enter(context, store, container)
    state = initialize(
        context,
        store,
        container,
        replace(before, restarts=before.restarts + 1),
        notify_socket=before.notify_socket,
        supervised=before.supervised,
    )
    start_or_abandon(context, store, container, state, before)


def start_or_abandon(context: Context, store: Store, container: Container, state: State, before: State) -> State:
    """``start``; if the runtime refuses, everything is taken down again. The caller holds the lock."""
    try:
        return start(context, container, state)
    except BaseException:
        _abandon(context, store, container, state, before)
        raise


def take_down(context: Context, store: Store, container: Container, state: State, before: State) -> None:
    """Undo ``initialize`` for a container that will not be started after all. The caller holds the lock."""
    now = stored_state(container)
    if now.status == "initialized" and now.pid == state.pid:
        _abandon(context, store, container, state, before)


def _abandon(context: Context, store: Store, container: Container, attempt: State, before: State) -> None:
    attempt = replace(attempt, health_timer=stored_state(container).health_timer)
    if attempt.pid and proc.alive(attempt.pid, attempt.pid_start):
        from pypod.engine import stop

        stop.send(container, attempt, stop.SIGKILL)
    elif not attempt.pid:
        cleanup.end_half_made(container)
    cleanup.undo(context, store, container, attempt, ended=False)
    files.remove_tree(container.exit_file)
    status = "exited" if before.status == "exited" else "created"
    if status == "created":
        files.remove_tree(container.userdata + "/config.json")
    save_state(container, replace(before, status=status, pid=0, conmon_pid=0, network={}, unclean=False))


def systemd() -> tuple[str, bool]:
    """The socket on which systemd waits for word (sd_notify(3)), "" without one, and whether this process is what a
    unit of its started (systemd.exec(5), "Environment Variables in Spawned Processes").

    No program that we start is to see the socket: a runtime would wait for the container's READY=1.
    """
    global _notify_socket
    given = os.environ.pop("NOTIFY_SOCKET", "")
    if given:
        _notify_socket = given
    if "INVOCATION_ID" not in os.environ:
        return _notify_socket, False
    pid = os.environ.get("SYSTEMD_EXEC_PID")
    return _notify_socket, pid is None or pid == str(os.getpid())


def _has_socket(container: Container, notify_socket: str) -> bool:
    """Whether the container itself says READY=1, on a socket that the monitor relays."""
    return bool(notify_socket) and container.config.sdnotify == "container"


def _join_paths(context: Context, store: Store, container: Container, deeds: Deeds) -> dict[str, str]:
    """Paths of the namespaces to join, by their OCI names."""
    config = container.config
    result: dict[str, str] = {}
    kinds = (
        ("network", "net", config.network),
        ("pid", "pid", config.pid),
        ("ipc", "ipc", config.ipc),
        ("uts", "uts", config.uts),
        ("cgroup", "cgroup", config.cgroupns),
        ("user", "user", config.userns),
    )
    for kind, file, namespace in kinds:
        if namespace.mode == "ns":
            if not os.path.exists(namespace.value):
                raise PypodError(f"cannot join {kind} namespace {namespace.value}: No such file or directory")
            result[kind] = namespace.value
        elif namespace.mode == "container":
            other = containers.find(context, store, namespace.value)
            result[kind] = f"{deeds.running(other, observe(other), kind)}/ns/{file}"
    return result


def _mount(store: Store, container: Container, deeds: Deeds) -> str:
    """The root file system's path, mounted in our mount namespace."""
    config = container.config
    if config.shm_size and config.ipc.mode in ("private", "shareable"):
        deeds.shm(container.rundir + "/shm", config.shm_size)
    if not config.rootfs:
        return deeds.layer(store, config)
    if not os.path.isdir(config.rootfs):
        raise PypodError(f"cannot use root file system {config.rootfs}: not a directory")
    if not config.rootfs_overlay:
        return config.rootfs
    from storage import overlay_mount

    place = container.userdata + "/rootfs-overlay"
    target = container.rundir + "/rootfs"
    deeds.over(overlay_mount.plan_over(config.rootfs, place + "/upper", place + "/work", target))
    return target


def monitor_options(
    context: Context, container: Container, runtime: Runtime, preserve_fds: int, notify_socket: str
) -> monitors.MonitorOptions:
    """What the container's monitor is told. Raises NotFound if there is no such monitor."""
    config = container.config
    monitor = monitor_path(context)
    ours = monitor == conmon.MONITOR
    return monitors.MonitorOptions(
        monitor=monitor,
        ours=ours,
        id=container.id,
        name=container.name,
        bundle=container.userdata,
        runtime=runtime.path,
        runtime_args=runtime.global_args(container.rundir + "/oci-log"),
        exit_dir=context.tmpdir + "/exits",
        persist_dir=container.rundir,
        conmon_pidfile=config.conmon_pidfile or container.rundir + "/conmon.pid",
        container_pidfile=container.rundir + "/pidfile",
        log_path=_log(container, ours),
        log_size_max=config.log_size_max,
        log_tag=_log_tag(container),
        log_labels=config.log_labels if config.log_driver == "journald" else [],
        terminal=config.terminal,
        stdin=config.stdin,
        exit_command=exit_command.cleanup(context, container.id),
        exit_command_lock=container.rundir + "/exit.lock",
        health_command=_health_command(context, container) if ours and config.healthcheck else [],
        timeout=config.timeout,
        sdnotify_socket=notify_socket if _has_socket(container, notify_socket) else "",
        no_new_keyring=context.rootless,
        no_sync_log=config.auto_remove,
        runtime_opts=["--preserve-fds", str(preserve_fds)] if preserve_fds else [],
    )


def _spawn(
    context: Context, container: Container, state: State, preserve_fds: int, restored: list[str] | None
) -> State:
    config = container.config
    runtime = runtimes.of(context, container, state.runtime, state.cgroup_manager)
    options = monitor_options(context, container, runtime, preserve_fds, state.notify_socket)
    if restored is not None:
        options = replace(options, restore=container.userdata + "/checkpoint", runtime_opts=restored)
    files.replace(container.rundir + "/exit.lock", b"")
    if options.sdnotify_socket:
        files.make_directory(container.userdata + "/notify", 0o755)  # conmon does not make it
    try:
        started = monitors.spawn(
            options,
            env=monitor_environment(context),
            keep_fds=range(3, 3 + preserve_fds),
            meanwhile=_load_ahead,
            before_start=_mover(context, container, state),
        )
    except OSError as error:
        raise MonitorError(f"cannot start the monitor {options.monitor}: {reason(error)}") from None
    if started.pid <= 0:
        raise runtime.failure(started.message)
    conmon_pid = int(files.read(options.conmon_pidfile) or b"0")
    result = replace(
        state,
        pid=started.pid,
        pid_start=proc.start_time(started.pid),
        conmon_pid=conmon_pid,
        conmon_start=proc.start_time(conmon_pid),
    )
    rootless.register(context, conmon_pid, f"{result.pid} {result.pid_start}")
    if config.pidfile:
        try:
            files.deliver(config.pidfile, str(started.pid).encode())
        except OSError as error:
            raise PypodError(f"cannot write pid file {config.pidfile}: {reason(error)}") from None
    return result


def _health_command(context: Context, container: Container) -> list[str]:
    from pypod.engine import health_log

    return exit_command.health(context, container.id) if health_log.interval(container) else []


def _load_ahead() -> None:
    """Load what comes after ``create`` while the runtime is busy with it: on two processors that costs nothing."""
    from conmon import attach
    from pypod.engine import delete, stop
    from pypod.network import files as network_files

    assert attach and delete and stop and network_files


def _mover(context: Context, container: Container, state: State) -> Callable[[int], None] | None:
    """What moves the monitor to a cgroup of its own, on hosts where that is systemd's to give."""
    split = container.config.cgroups == "split"
    if context.rootless and state.cgroup_manager == "cgroupfs" and not container.config.cgroup_parent:
        from pypod.linux import cgroups

        split = cgroups.own() != "/"
    if state.cgroup_manager != "systemd" and not split:
        return None
    from pypod.engine import cgroup_home

    if split:
        cgroup_home.split()
        return None
    cgroup_home.enter(context, None if state.supervised else container.config)
    return None if state.supervised else cgroup_home.monitor(context, container.config)


def _log(container: Container, ours: bool) -> str:
    driver = container.config.log_driver
    if driver in ("k8s-file", "json-file"):
        if not ours:
            driver = "k8s-file"  # conmon knows no other, and `logs` reads either
        return f"{driver}:{container.log_file}"
    return driver


def _log_tag(container: Container) -> str:
    config = container.config
    if not config.log_tag or config.log_driver != "journald":
        return ""
    from pypod.engine import log_tag

    return log_tag.render(config.log_tag, config)


def monitor_environment(context: Context) -> dict[str, str]:
    """The monitor's environment: what the runtime and the way back need.

    A monitor lives as long as its container, and what else a user has in the environment, passwords too, is not its
    business.
    """
    env = {key: value for key, value in os.environ.items() if key in _ENVIRONMENT or key.startswith(_ENVIRONMENTS)}
    if context.rootless:
        env["XDG_RUNTIME_DIR"] = context.runtime_dir
    else:
        # By these crun finds the systemd of root's login session, which takes the containers along when it ends.
        env.pop("XDG_RUNTIME_DIR", None)
        env.pop("DBUS_SESSION_BUS_ADDRESS", None)
    env.setdefault("HOME", context.home)
    return env


def monitor_path(context: Context) -> str:
    """--conmon, else ours. Raises NotFound if a named one does not exist or cannot be executed."""
    from pypod.base import process
    from pypod.errors import NotFound

    wanted = str(context.flags.get("conmon") or "")
    if not wanted:
        return conmon.MONITOR
    found = process.find(wanted)
    if found is None:
        cause = "Permission denied" if os.path.exists(wanted) else "No such file or directory"
        raise NotFound(f"cannot use monitor {wanted}: {cause}")
    return found
