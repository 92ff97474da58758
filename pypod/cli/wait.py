"""``wait``: block until containers stop, and print their exit codes."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import ended, sizes
from pypod.engine import wait as engine
from pypod.errors import NoSuchContainer, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation
    from pypod.engine.context import Context


def run(invocation: Invocation) -> int:
    options = invocation.options
    for condition in options["condition"]:
        if condition not in engine.CONDITIONS:
            raise UsageError(f'unknown container state "{condition}"', hint="one of " + ", ".join(engine.CONDITIONS))
    interval = _interval(options["interval"])
    context, store = targets.open_engine(invocation)
    code = 0
    ignore = options["ignore"]
    options["ignore"] = False  # what is missing keeps its place in the output
    for target in targets.choose(invocation, context, store, keep_missing=True):
        try:
            if target.container is None:
                output.line(str(_gone(context, target)))
            else:
                output.line(
                    str(engine.wait(context, store, target.container, options["condition"], max(interval, 0.001)))
                )
        except PypodError as error:
            if ignore and isinstance(error, NoSuchContainer):
                output.line("-1")
                continue
            targets.complain(error)
            code = code or error.code
            continue
        output.flush()
        if options["exit_first_match"]:
            break
    return code


def _gone(context: Context, target: targets.Target) -> int:
    """The exit code of a --rm container that was faster than we. Raises the target's error if it is not known."""
    code = ended.lookup(context, target.typed)
    if code is None:
        assert target.error is not None
        raise target.error
    return code


def _interval(text: str) -> float:
    """Seconds of --interval; plain digits are milliseconds (podman-wait(1)). Raises UsageError."""
    if text.isdecimal():
        return int(text) / 1000
    try:
        return sizes.parse_duration(text) / 1e9
    except ValueError as error:
        raise UsageError(f"time: {error}") from None
