"""``stop``: end containers, gently first."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import stop as stopping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    chosen = targets.choose(invocation, context, store, states=("running", "initialized", "stopping"))
    seconds = invocation.options["time"]
    return targets.each(chosen, lambda container: stopping.stop(context, store, container, timeout=seconds))
