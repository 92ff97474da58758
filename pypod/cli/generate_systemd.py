"""``generate systemd``: the units on stdout, or as files in the working directory."""

from __future__ import annotations

import os

from pypod.base import files, report
from pypod.cli import output, targets
from pypod.cli.create_command import dissect
from pypod.engine import units
from pypod.errors import PypodError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    flags = invocation.options
    if flags["format"] not in (None, "json"):
        raise UsageError(f"unknown --format argument: {flags['format']}")
    if flags["template"] and flags["new"] is False:
        raise UsageError("--template cannot be set with --new=false")
    wanted = units.Wanted(
        new=bool(flags["new"] or flags["template"]),
        by_name=flags["name"],
        template=flags["template"],
        header=not flags["no_header"],
        container_prefix=flags["container_prefix"],
        pod_prefix=flags["pod_prefix"],
        separator=flags["separator"],
        restart_policy=flags["restart_policy"],
        restart_sec=flags["restart_sec"],
        start_timeout=flags["start_timeout"],
        stop_timeout=flags["stop_timeout"],
        environment=tuple(flags["env"]),
        wants=tuple(flags["wants"]),
        after=tuple(flags["after"]),
        requires=tuple(flags["requires"]),
    )
    context, store = targets.open_engine(invocation)
    found, warnings = units.generate(context, store, invocation.args[0], wanted, dissect)
    for text in warnings:
        report.warning(text)
    if flags["files"]:
        found = {name: _write(name, text) for name, text in found.items()}
    if flags["format"] == "json":
        output.json(dict(sorted(found.items())), 1)
    elif flags["files"]:
        for path in found.values():
            output.line(path)
    else:
        for text in found.values():
            output.write(text)
    return 0


def _write(name: str, text: str) -> str:
    path = name + ".service"
    try:
        path = os.path.join(os.getcwd(), path)
        files.replace(path, text.encode(), mode=0o644, durable=True)
    except OSError as error:
        raise PypodError(f"cannot write {path}: {reason(error)}") from None
    return path
