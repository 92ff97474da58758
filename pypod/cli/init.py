"""``init``: everything that start does but for the command itself."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import start as starting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    chosen = targets.choose(invocation, context, store, states=("created", "exited"))
    return targets.each(chosen, lambda container: starting.initialize_only(context, store, container))
