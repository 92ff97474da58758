"""``rename``: give a container another name."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import container as containers
from pypod.engine import events, names, rootless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    reference, name = invocation.args
    context, store = targets.open_engine(invocation)
    container = containers.find(context, store, reference)
    names.check(name)
    rootless.enter_user(context)
    store.rename_container(container.id, name)
    events.container(context, containers.find(context, store, container.id), "rename")
    return 0
