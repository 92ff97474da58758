"""``container checkpoint`` and ``container restore``: not here yet, which is said as precisely as podman says it.

What a command line asks for is checked all the same, so that a script finds its own mistakes first.
"""

from __future__ import annotations

from pypod.base import process
from pypod.cli import targets
from pypod.errors import NotFound, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation

# What an archive is needed for.
_EXPORTED = ("ignore_rootfs", "ignore_volumes")
_IMPORTED = ("import_previous", "ignore_rootfs", "ignore_volumes", "name", "pod")
# What criu would be told.
_FOR_CRIU = (
    *("create_image", "file_locks", "ignore_static_ip", "ignore_static_mac", "keep", "leave_running"),
    *("print_stats", "publish", "tcp_close", "tcp_established"),
)


def run(invocation: Invocation) -> int:
    """``container checkpoint``."""
    options = invocation.options
    if options["compress"] not in ("gzip", "none", "zstd"):
        raise UsageError(f"selected compression algorithm ({options['compress']}) must be one of gzip, none, zstd")
    if options["with_previous"] and options["pre_checkpoint"]:
        raise UsageError("--with-previous can not be used with --pre-checkpoint")
    _needs(options, _EXPORTED, options["export"], "--export")
    return _refuse(invocation, "checkpointing")


def restore(invocation: Invocation) -> int:
    """``container restore``."""
    options = invocation.options
    _needs(options, _IMPORTED, options["import"], "--import")
    if options["name"] and options["tcp_established"]:
        raise UsageError("--tcp-established cannot be used with --name")
    if not (invocation.args or options["all"] or options["latest"] or options["import"]):
        raise UsageError("you must provide at least one name or id")
    return _refuse(invocation, "restoring")


def _needs(options: dict[str, Any], keys: tuple[str, ...], archive: str | None, flag: str) -> None:
    for key in keys:
        if options[key] and not archive:
            raise UsageError(f"--{key.replace('_', '-')} can only be used with {flag}")


def _refuse(invocation: Invocation, what: str) -> int:
    context, store = targets.open_engine(invocation)
    if context.rootless:
        raise UsageError(f"{what} a container requires root")
    if invocation.args:
        for target in targets.choose(invocation, context, store):
            if target.error is not None:
                raise target.error
    if process.find("criu") is None:
        raise NotFound("checkpoint/restore requires criu", hint="and checkpoints are not supported yet even with it")
    asked = [f"--{key.replace('_', '-')}" for key in _FOR_CRIU if invocation.options.get(key)]
    raise PypodError(f"{what} containers is not supported yet" + (f", nor are {', '.join(asked)}" if asked else ""))
