"""``healthcheck run``: 0 if the container is well, 1 if it is not."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import container as containers
from pypod.engine import health

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    if health.run(context, store, containers.find(context, store, invocation.args[0])):
        return 0
    output.line("unhealthy")
    return 1
