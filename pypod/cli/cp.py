"""``cp``: copy files into, out of and between containers."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import cp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    source, target = (cp.parse(word) for word in invocation.args)
    options = invocation.options
    cp.copy(context, store, source, target, archive=options["archive"], overwrite=options["overwrite"])
    return 0
