"""``container exists``: 0 or 1, and not a word."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import container as containers
from pypod.errors import NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    try:
        if invocation.options["external"]:
            store.find_container(invocation.args[0])
        else:
            containers.find(context, store, invocation.args[0])
    except NoSuchContainer:
        return 1
    return 0
