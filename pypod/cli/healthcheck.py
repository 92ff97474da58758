"""``healthcheck run``: 0 if the container is well, 1 if it is not."""

from __future__ import annotations

import os

from pypod.cli import output, targets
from pypod.engine import container as containers
from pypod.engine import health, health_log
from pypod.errors import BadState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    timed = health_log.TIMER in os.environ
    if timed:
        from pypod.engine import health_timer

        if not health_timer.is_due(context, store, invocation.args[0]):
            return 0
    try:
        if health.run(context, store, containers.find(context, store, invocation.args[0])):
            return 0
    except BadState:
        if timed:
            return 0  # it has just ended
        raise
    if not timed:  # the journal need not have it each time
        output.line("unhealthy")
    return 1
