"""``update``: other limits, restart policy, health check and environment for a container that exists."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import update

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    container = targets.one(invocation, context, store)
    output.line(update.update(context, container, invocation.options).id)
    return 0
