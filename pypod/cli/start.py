"""``start``: containers that exist, in the background or attached."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import attach
from pypod.engine import container as containers
from pypod.engine import run as running
from pypod.engine import start as starting
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    chosen = targets.choose(invocation, context, store, states=("created", "initialized", "exited"))
    attached = flags["attach"] or flags["interactive"]
    if attached:
        if len(chosen) != 1:
            raise UsageError("you cannot start and attach multiple containers at once")
        if chosen[0].error is not None:
            raise chosen[0].error
        container = chosen[0].container
        assert container is not None
        keys = attach.choose_detach_keys(context, flags["detach_keys"])
        if containers.observe(container).status == "running":
            return running.attach_running(context, container, keys, True, not flags["interactive"])
        streams = attach.choose_streams([], interactive=flags["interactive"], terminal=container.config.terminal)
        proxy = True if flags["sig_proxy"] is None else flags["sig_proxy"]
        return running.run_attached(context, store, container, streams, detach_keys=keys, sig_proxy=proxy)
    return targets.each(chosen, lambda container: starting.start_detached(context, store, container))
