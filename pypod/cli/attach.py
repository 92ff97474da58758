"""``attach``: this terminal to a running container."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import run as running
from pypod.engine.attach import choose_detach_keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    container = targets.one(invocation, context, store)
    keys = choose_detach_keys(context, flags["detach_keys"])
    return running.attach_running(context, container, keys, flags["sig_proxy"], flags["no_stdin"])
