"""``container cleanup``: what a monitor's exit command does."""

from __future__ import annotations

import os

from pypod.cli import targets
from pypod.engine import after_exit, execute
from pypod.engine import cleanup as cleaning
from pypod.engine import container as containers
from pypod.errors import NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from pypod.cli.invocation import Invocation
else:
    import _signal


def run(invocation: Invocation) -> int:
    # conmon starts its exit command with signals blocked, and with descriptors' numbers that are closed by now.
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    for name in ("_OCI_SYNCPIPE", "_OCI_STARTPIPE", "_OCI_ATTACHPIPE"):
        os.environ.pop(name, None)
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    chosen = targets.choose(invocation, context, store, states=("exited", "stopping", "initialized"))

    def clean(container: containers.Container) -> None:
        if flags["exec"]:
            execute.cleanup(context, container, flags["exec"])
            return
        state = containers.observe(container)
        if flags["stopped_only"] and state.live:
            return
        cleaning.enter(context, containers.stored_state(container))
        try:
            after_exit.clean_up(context, store, container, remove=flags["rm"])
        except NoSuchContainer:
            pass  # somebody else was faster

    return targets.each(chosen, clean)
