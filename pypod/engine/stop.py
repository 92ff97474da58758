"""``stop``, ``kill``, ``pause`` and ``unpause``: signals to a container, straight to its process."""

from __future__ import annotations

import os

from pypod.base.record import replace
from pypod.engine import cleanup, delete, events, rootless, runtimes, signals
from pypod.engine.container import Container, State, observe, save_state, stored_state
from pypod.errors import BadState, NoSuchContainer, PypodError, reason
from pypod.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from pypod.engine.context import Context
    from storage.store import Store
else:
    import _signal

SIGKILL = 9


def send(container: Container, state: State, number: int) -> None:
    """One signal to the container's first process. Raises PypodError."""
    try:
        fd = os.pidfd_open(state.pid)
    except ProcessLookupError:
        return
    try:
        if proc.alive(state.pid, state.pid_start):
            _signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        pass
    except OSError as error:
        raise PypodError(f"cannot signal container {container.id}: {reason(error)}") from None
    finally:
        os.close(fd)


def kill(context: Context, container: Container, number: int) -> None:
    """Send a signal. Raises BadState if the container does not run."""
    state = observe(container)
    if state.status not in ("running", "paused", "stopping"):
        raise BadState(
            f"can only kill running containers. {container.id} is in state {state.status}: container state improper"
        )
    rootless.enter_user(context)
    with container.lock:
        # What the user ends stays down, whatever the restart policy (podman-kill(1)).
        save_state(container, replace(stored_state(container), stopped_by_user=True))
    send(container, state, number)
    events.container(context, container, "kill")


def stop(
    context: Context,
    store: Store,
    container: Container,
    *,
    timeout: int | None = None,
    remove: bool = True,
    quiet: bool = False,
) -> bool:
    """Stop signal, then SIGKILL after ``timeout`` seconds (the container's own if None), then clean up.

    A --rm container is gone afterwards, unless ``remove`` is off. ``quiet``: no word about SIGKILL.

    False if it did not run. A paused one is thawed first: a frozen process takes no signal.
    """
    seconds = container.config.stop_timeout if timeout is None else timeout
    state = observe(container)
    if not state.live and not state.unclean and not container.config.restarts:
        return False
    cleanup.enter(context, state)
    exit_lock = cleanup.ExitLock(container)
    try:
        exit_lock.acquire()
        with container.lock:
            # What was seen without the lock may have been the moment between two runs, or a start at work.
            state = observe(container)
            if not state.live:
                final = cleanup.finish(context, store, container)
                if final.status == "exited" and not final.stopped_by_user and not container.config.auto_remove:
                    save_state(container, replace(final, stopped_by_user=True))
                return False
            frozen = state.status == "paused"
            state = replace(state, status="stopping", stopped_by_user=True)
            save_state(container, state)
        if frozen:
            runtimes.of(context, container, state.runtime, state.cgroup_manager).resume(container.id)
        _end(context, container, state, seconds, quiet)
        events.container(context, container, "stop")
        try:
            _finish(context, store, container, remove)
        except NoSuchContainer:
            pass  # its exit command was faster
        exit_lock.done()
    finally:
        exit_lock.release()
    return True


def end_for_restart(context: Context, container: Container) -> bool:
    """End a running container such that its exit command starts it again. False if it has no monitor to call that.

    The caller may be the monitor's child, which ends with the container.
    """
    state = observe(container)
    if not proc.alive(state.conmon_pid, state.conmon_start):
        return False
    cleanup.enter(context, state)
    with container.lock:
        state = observe(container)
        if state.status != "running":
            return True
        state = replace(state, status="stopping", restart_wanted=True)
        save_state(container, state)
    _end(context, container, state, container.config.stop_timeout, quiet=True)
    return True


def _end(context: Context, container: Container, state: State, seconds: int, quiet: bool) -> None:
    if seconds > 0:
        send(container, state, container.config.stop_signal)
        if cleanup.wait_for_end(container, state, seconds * 1000):
            return
        if not quiet:
            name = signals.name(container.config.stop_signal)
            os.write(
                2,
                f"Warning: StopSignal {name} failed to stop container {container.name} in {seconds} seconds,"
                " resorting to SIGKILL\n".encode(),
            )
    _kill_all(context, container, state)
    cleanup.wait_for_end(container, state, 10_000)


def _kill_all(context: Context, container: Container, state: State) -> None:
    send(container, state, SIGKILL)
    if container.config.pid.mode != "private":
        # Without a pid namespace the first process takes nobody along.
        try:
            runtimes.of(context, container, state.runtime, state.cgroup_manager).kill(
                container.id, SIGKILL, everybody=True
            )
        except PypodError:
            # Without a cgroup the runtime does not know them either. The monitor, which adopts orphans, does.
            for pid in proc.descendants(state.conmon_pid):
                try:
                    os.kill(pid, SIGKILL)
                except OSError:
                    continue


def _finish(context: Context, store: Store, container: Container, remove: bool) -> None:
    with container.lock:
        state = cleanup.finish(context, store, container)
        if remove and cleanup.goes(container, state):
            delete.delete(context, store, container)


def pause(context: Context, container: Container) -> None:
    """Freeze every process of a running container. Raises BadState, RuntimeFailed."""
    with container.lock:
        state = observe(container)
        if state.status != "running":
            raise BadState(f'"{state.status}" is not running, can\'t pause: container state improper')
        if context.rootless and not _can_freeze():
            raise BadState(
                "pause is not supported for rootless containers on this host: it needs cgroup v2",
                hint="boot with systemd.unified_cgroup_hierarchy=1",
            )
        rootless.enter_user(context)
        if state.health_timer:
            from pypod.engine import health_timer

            # Its name stays in the state: that systemd is to have it again.
            health_timer.disarm(context, state)
        try:
            runtimes.of(context, container, state.runtime, state.cgroup_manager).pause(container.id)
        except PypodError:
            if state.health_timer:
                health_timer.rearm(context, container, state)
            raise
        save_state(container, replace(state, status="paused"))
    events.container(context, container, "pause")


def unpause(context: Context, container: Container) -> None:
    """Thaw. Raises BadState, RuntimeFailed."""
    with container.lock:
        state = observe(container)
        if state.status != "paused":
            raise BadState(f'"{container.id}" is not paused, can\'t unpause: container state improper')
        rootless.enter_user(context)
        runtimes.of(context, container, state.runtime, state.cgroup_manager).resume(container.id)
        state = replace(state, status="running")
        save_state(container, state)
        if state.health_timer:
            from pypod.engine import health_timer

            health_timer.rearm(context, container, state)
    events.container(context, container, "unpause")


def _can_freeze() -> bool:
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")
