"""``restart``: stop and start again."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import events
from pypod.engine import start as starting
from pypod.engine import stop as stopping
from pypod.engine.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    chosen = targets.choose(invocation, context, store)
    seconds = invocation.options["time"]

    def restart(container: Container) -> None:
        events.container(context, container, "restart")
        stopping.stop(context, store, container, timeout=seconds, remove=False)
        starting.start_detached(context, store, container)

    return targets.each(chosen, restart)
