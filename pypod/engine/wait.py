"""``wait``: block until a container is in a state, without polling where the kernel can tell."""

from __future__ import annotations

import time

from pypod.engine import cleanup
from pypod.engine import container as containers
from pypod.engine.container import Container, read_exit_file
from pypod.errors import NoSuchContainer

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
    ended = wanted & {"stopped", "exited"}
    last = -1
    while True:
        try:
            found = containers.find(context, store, container.id)
        except NoSuchContainer:
            # Removed by itself (--rm): the exit file stays behind for those who wait.
            code = read_exit_file(container)
            return code[0] if code is not None else last
        state = containers.observe(found)
        if state.status in wanted - {"stopped", "exited"}:
            return -1
        if ended and state.status in ("exited", "created"):
            return state.exit_code
        if ended and state.live and len(wanted) == len(ended):
            cleanup.wait_for_end(found, state)
            code = read_exit_file(found)
            if code is not None:
                return code[0]
            continue
        time.sleep(interval)
