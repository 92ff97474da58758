"""``unpause``: let frozen containers go on."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import stop as stopping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    chosen = targets.choose(invocation, context, store, states=("paused",))
    return targets.each(chosen, lambda container: stopping.unpause(context, container))
