"""Who runs a container's health check by itself: a transient timer of systemd's, or the timer of its monitor.

systemd where one answers, as podman has it. The monitor where none does or it refuses, where DISABLE_HC_SYSTEMD=true
says so, and for --sdnotify=healthy, as systemd takes READY=1 only from a process of the container's own unit.

``health_timer`` in state.json says which it is. It is written before systemd is asked, so that whoever comes after a
crash knows what there may be; and a run of a timer that the state does not name (any more) ends that timer.
"""

from __future__ import annotations

import os

from pypod.base import report
from pypod.base.record import replace
from pypod.engine import container as containers
from pypod.engine import exit_command, health_log, limits, orphans, scope_limits
from pypod.engine.container import Container, State, save_state
from pypod.errors import NoSuchContainer
from pypod.systemd import bus, timer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store

UNHEALTHY = 1  # the exit status of a run that found so: no failure of its unit

_own = ""  # the timer of which this process is a run


def choose(context: Context, container: Container, state: State) -> str:
    """The name of the timer that systemd shall be asked for, "" if it is the monitor's to run the check, or nobody's.

    Each start has another one, as the units of the last one may not be gone yet.
    """
    config = container.config
    if config.healthcheck is None or not health_log.interval(container):
        return ""
    if state.notify_socket and config.sdnotify == "healthy":
        return ""
    if os.environ.get("DISABLE_HC_SYSTEMD") == "true" or not limits.systemd_answers(context):
        return ""
    startup = "-startup" if health_log.in_startup(container, config.healthcheck) else ""
    return f"{container.id}{startup}-{os.urandom(8).hex()}"


def arm(context: Context, container: Container, state: State) -> State:
    """Let the check that is due run at once and then at its interval: by the timer that ``state`` names, or else by
    the monitor.

    The caller holds the container's lock and has saved the state. Returns what it is now: systemd may have refused.
    """
    if state.health_timer:
        try:
            _start(context, container, state.health_timer)
            return state
        except bus.BusError as error:
            if str(context.flags.get("log_level") or "").lower() in ("debug", "trace"):
                report.debug(f"the monitor runs the health check of container {container.name}: {error}")
        state = replace(state, health_timer="")
        save_state(container, state)
    _tell_monitor(context, container, health_log.interval(container))
    return state


def rearm(context: Context, container: Container, state: State) -> State:
    """The same when another check or interval is due, or again after a pause. ``state`` is the saved one."""
    disarm(context, state)
    wanted = choose(context, container, state) if state.status == "running" else state.health_timer
    if wanted != state.health_timer:
        state = replace(state, health_timer=wanted)
        save_state(container, state)
    if state.status != "running" and wanted:
        return state  # unpause comes by here
    if wanted:
        _tell_monitor(context, container, 0)
    return arm(context, container, state)


def disarm(context: Context, state: State) -> None:
    """No more runs of systemd's. One at work is killed, unless this is it: it has begun to see to what follows."""
    if state.health_timer:
        socket = scope_limits.socket(context)
        timer.stop(socket, context.uid, state.health_timer, run=state.health_timer != _own)


def next_check(context: Context, container: Container) -> None:
    """The startup check has passed: another one is due."""
    with container.lock:
        state = containers.observe(container)
        if state.status == "running":
            rearm(context, container, state)


def is_due(context: Context, store: Store, reference: str) -> bool:
    """Whether this process, a run of a timer, is to look at the container. A timer that is not its any more is ended.

    A container whose monitor was killed is not checked any more: what would follow is the monitor's to do. This does
    not clean up after one that ended so, either: a container that it started would end with this run's cgroup.
    """
    global _own
    _own = name = os.environ.pop(health_log.TIMER)
    try:
        container = containers.find(context, store, reference)
    except NoSuchContainer:
        state = State()
    else:
        state = containers.observe(container)
    if state.live and state.health_timer == name:
        if not orphans.unwatched(state):
            return state.status == "running"
        orphans.end_checks(context, container)
    disarm(context, State(health_timer=name))
    return False


def _start(context: Context, container: Container, name: str) -> None:
    from pypod.engine import start

    # Those say that a process is in the user namespace, and a run begins outside.
    inherited = start.monitor_environment(context).items()
    environment = {key: value for key, value in inherited if not key.startswith("_CONTAINERS_")}
    timer.start(
        scope_limits.socket(context),
        context.uid,
        name,
        exit_command.health(context, container.id),
        {**environment, health_log.TIMER: name},
        max(health_log.interval(container) // 1000, 1),
        well=[UNHEALTHY],
        description=f"Health check of container {container.name}",
    )


def _tell_monitor(context: Context, container: Container, interval: int) -> None:
    import conmon
    from conmon import attach

    # Real conmon has no timer.
    if (context.flags.get("conmon") or conmon.MONITOR) == conmon.MONITOR:
        attach.set_health_interval(container.userdata, max(interval // 1_000_000, 1) if interval else 0)
