"""Containers that ended while nobody was left to clean up after them: their monitor was killed, or its exit command.

Whoever lists or looks at such a one does what the exit command would have done, --rm and restart policy included.
"""

from __future__ import annotations

from pypod.engine.container import Container, State, observe
from pypod.errors import PypodError
from pypod.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store


def abandoned(state: State) -> bool:
    """Whether an observed state tells of such an end. A start that is at work is none."""
    return state.unclean and state.conmon_pid > 0 and not proc.alive(state.conmon_pid, state.conmon_start)


def unwatched(state: State) -> bool:
    """Whether the container lives on although its monitor was killed: its output goes nowhere."""
    return state.live and state.pid > 0 and not proc.alive(state.conmon_pid, state.conmon_start)


def tend(context: Context, store: Store, container: Container) -> bool:
    """Clean up if it is one and nobody is at it. Whether something was done; what fails is for a later command.

    One that lives on without its monitor is not checked any more.
    """
    state = observe(container)
    if state.health_timer and unwatched(state):
        end_checks(context, container)
    if not abandoned(state):
        return False
    from pypod.engine import after_exit, cleanup

    lock = container.lock
    try:
        if not lock.acquire(blocking=False):
            return False
        try:
            cleanup.enter(context, state)
            after_exit.settle(context, store, container)
        finally:
            lock.release()
    except PypodError:
        return False
    return True


def end_checks(context: Context, container: Container) -> None:
    """No more health checks by systemd of one that lives on without its monitor, unless somebody is at it."""
    from pypod.base.record import replace
    from pypod.engine import health_timer
    from pypod.engine.container import save_state

    lock = container.lock
    try:
        if not lock.acquire(blocking=False):
            return
    except PypodError:
        return  # it is gone
    try:
        state = observe(container)
        if state.health_timer and unwatched(state):
            health_timer.disarm(context, state)
            save_state(container, replace(state, health_timer=""))
    finally:
        lock.release()
