"""``unshare``: a command in the user namespace of rootless containers."""

from __future__ import annotations

import os

from pypod.base import process
from pypod.cli.targets import open_engine
from pypod.engine import context as contexts
from pypod.engine import rootless
from pypod.errors import CommandNotExecutable, CommandNotFound, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from pypod.cli.invocation import Invocation
else:
    import _signal


def run(invocation: Invocation) -> int:
    context, _ = open_engine(invocation)
    if not context.rootless:
        raise UsageError("please use unshare with rootless")
    command = list(invocation.args) or [os.environ.get("SHELL") or "/bin/sh"]
    contexts.make_directories(context)
    rootless.enter(context)
    os.environ.setdefault("CONTAINERS_GRAPHROOT", context.graphroot)
    os.environ.setdefault("CONTAINERS_RUNROOT", context.runroot)
    path = process.find(command[0])
    if path is None:
        raise CommandNotFound(f"cannot run {command[0]}: No such file or directory")
    if invocation.options["rootless_netns"]:
        from pypod.engine import bridges

        return bridges.inside(context, lambda: _execute(path, command))
    _execute(path, command)
    return 0


def _execute(path: str, command: list[str]) -> None:
    # The interpreter ignores these two, and a command would inherit that.
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    try:
        os.execv(path, command)
    except OSError as error:
        raise CommandNotExecutable(f"cannot run {command[0]}: {reason(error)}") from None
