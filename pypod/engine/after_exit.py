"""What the exit command does when a container has ended: clean up, and then remove it or start it again."""

from __future__ import annotations

from pypod.engine import cleanup, delete
from pypod.engine.container import Container, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store


def clean_up(context: Context, store: Store, container: Container, *, remove: bool = False) -> State:
    """``container cleanup``: what the exit command does, also removal (--rm) and restart.

    Raises BadState if the container runs, NoSuchContainer if it was removed meanwhile.
    """
    with container.lock:
        return settle(context, store, container, remove=remove)


def settle(context: Context, store: Store, container: Container, *, remove: bool = False) -> State:
    """The same for a caller who holds the lock and is in the container's namespaces."""
    state = cleanup.finish(context, store, container)
    # Under the same lock: who stops the container must not come in between and find nothing to stop.
    if not remove and wants_restart(container, state):
        from pypod.engine import start  # most containers are not restarted

        start.restart_after_exit(context, store, container, state)
    elif remove or cleanup.goes(container, state):
        delete.delete(context, store, container)
    return state


def wants_restart(container: Container, state: State) -> bool:
    """Whether the restart policy or the health check asks for another start (podman-run(1), --restart)."""
    policy = container.config.restart_policy
    if state.status != "exited" or state.stopped_by_user:
        return False
    if state.restart_wanted:
        return True
    if policy in ("always", "unless-stopped"):
        return True
    if policy == "on-failure" and state.exit_code != 0:
        limit = container.config.restart_retries
        return not limit or state.restarts < limit
    return False
