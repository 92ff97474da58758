"""``kill``: a signal to the first process of running containers."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import signals
from pypod.engine import stop as stopping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    number = signals.number(invocation.options["signal"])
    chosen = targets.choose(invocation, context, store, states=("running", "paused"))
    return targets.each(chosen, lambda container: stopping.kill(context, container, number))
