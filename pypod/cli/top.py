"""``top``: show the processes of a container."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import top

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    container = targets.one(invocation, context, store)
    words = invocation.args[1:] if invocation.args[:1] == ["--"] else invocation.args
    columns = None if any(word.startswith("-") for word in words) else top.descriptors(words)
    if columns is None:
        return top.in_container(context, container, words)
    output.write(output.columns(top.table(context, container, columns)))
    return 0
