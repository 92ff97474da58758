"""``port``: list the published ports of containers."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import container as containers
from pypod.engine import ports_view
from pypod.errors import NotFound, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    options = invocation.options
    args = invocation.args
    if options["all"] and (options["latest"] or args):
        raise UsageError("--all cannot be used with --latest or with a container")
    if len(args) > (1 if options["latest"] else 2):
        raise UsageError("`pypod port` accepts at most 2 arguments")
    context, store = targets.open_engine(invocation)
    if options["all"]:
        for container in containers.every(context, store):
            for item in ports_view.published(container):
                output.line(f"{container.id[:12]}\t{item.container_port}/{item.protocol} -> {item.address}")
        return 0
    container = ports_view.publisher(context, store, targets.one(invocation, context, store))
    if not invocation.args:
        for item in ports_view.published(container):
            output.line(f"{item.container_port}/{item.protocol} -> {item.address}")
        return 0
    text = invocation.args[0]
    wanted = ports_view.parse(text)
    found = [item for item in ports_view.published(container) if (item.container_port, item.protocol) == wanted]
    for item in found:
        output.line(item.address)
    if not found:
        raise NotFound(f'failed to find published port "{text}"')
    return 0
