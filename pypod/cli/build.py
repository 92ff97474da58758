"""``build``: hands over to buildah, which becomes this process, unless something is to be done after it."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.cli import output
from pypod.engine import build
from pypod.engine import context as contexts
from pypod.errors import PypodError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from pypod.cli.invocation import Invocation
else:
    import _signal


def run(invocation: Invocation) -> int:
    context = contexts.open_context(invocation.globals)
    found = build.plan(context, invocation.options, invocation.args[0] if invocation.args else "")
    build.prepare(context)
    if invocation.options["iidfile"]:
        return _with_id(found, invocation.options["iidfile"])
    # The interpreter ignores these two, and buildah would inherit that.
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    try:
        os.execve(found.argv[0], found.argv, found.env)
    except OSError as error:
        raise PypodError(f"cannot run {found.argv[0]}: {reason(error)}") from None


def _with_id(plan: build.Plan, path: str) -> int:
    """buildah prints the image's ID or writes it to a file, podman does both."""
    status = build.run(plan)
    if status == 0:
        try:
            output.line(files.read(path, 256).decode("ascii", "replace").removeprefix("sha256:").strip())
        except OSError as error:
            raise PypodError(f"cannot read {path}: {reason(error)}") from None
    return status
