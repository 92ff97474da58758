"""``wait``: block until a container is in a state, without polling where the kernel can tell."""

from __future__ import annotations

import time

from pypod.engine import cleanup, ended, health_log, orphans
from pypod.engine import container as containers
from pypod.engine.container import Container, read_exit_file
from pypod.errors import BadState, NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.context import Context
    from storage.store import Store

CONDITIONS = (
    "configured", "created", "exited", "healthy", "initialized", "paused", "removing", "running", "stopped",
    "stopping", "unhealthy",
)  # fmt: skip


def wait(context: Context, store: Store, container: Container, conditions: Sequence[str], interval: float) -> int:
    """The exit code once the container is in one of ``conditions``; -1 for other conditions than an end."""
    wanted = {"created" if item == "configured" else item for item in conditions} or {"stopped"}
    ends = wanted & {"stopped", "exited"}
    if wanted <= {"healthy", "unhealthy"} and container.config.healthcheck is None:
        raise BadState(f"container {container.id} has no defined healthcheck")
    while True:
        try:
            found = containers.find(context, store, container.id)
        except NoSuchContainer:
            code = ended.lookup(context, container.id)
            return -1 if code is None else code
        state = containers.observe(found)
        if state.unclean and orphans.tend(context, store, found):
            if ends:
                return state.exit_code
            continue
        if state.status in wanted - {"stopped", "exited"}:
            return -1
        if wanted & {"healthy", "unhealthy"} and health_log.status(found, state) in wanted:
            return -1
        if ends and state.status in ("exited", "created"):
            return state.exit_code
        if ends and state.live and len(wanted) == len(ends):
            cleanup.wait_for_end(found, state)
            written = read_exit_file(found)
            if written is not None:
                return written[0]
            continue
        time.sleep(interval)
