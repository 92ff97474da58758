"""--exit-policy stop: the infra container is stopped when the last other container of its pod has ended."""

from __future__ import annotations

import os

from pypod.engine import after_exit, pods
from pypod.engine import container as containers
from pypod.errors import PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.container import Container, State
    from pypod.engine.context import Context
    from storage.store import Store


def member_ended(context: Context, store: Store, container: Container, state: State) -> None:
    """What the end of a member means for its pod. The caller holds the member's lock and is in its namespaces."""
    try:
        pod = pods.load(context, container.config.pod)
        if pod.exit_policy != "stop" or not pod.infra_id or after_exit.wants_restart(container, state):
            return
        for other in pods.members(context, store, pod.id):
            if other.id not in (container.id, pod.infra_id) and containers.observe(other).live:
                return
        infra = containers.find(context, store, pod.infra_id)
    except PypodError:
        return
    # In another process: it goes to the infra container's namespaces, and the caller has work left in these.
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    code = 1
    try:
        from pypod.engine import stop

        stop.stop(context, store, infra, quiet=True)
        code = 0
    finally:
        os._exit(code)
