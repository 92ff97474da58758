"""What a verb gets: the command line, parsed and counted."""

from __future__ import annotations

from pypod.base.record import record
from pypod.cli import options
from pypod.cli.parser import Parser
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.cli.table import Command


@record
class Invocation:
    """One command line.

    ``command`` is the key of ``table.COMMANDS`` ("ps" for "container ls" too), ``path`` what was typed. ``options``
    has every flag of the command, with its default if it was not given; ``globals`` only the global flags given.
    """

    command: str
    path: str
    options: dict[str, Any]
    args: list[str]
    globals: dict[str, Any]
    argv: list[str]  # all that followed the program's name, for inspect's CreateCommand


def invocation(command: Command, words: Sequence[str], given: dict[str, Any], argv: Sequence[str]) -> Invocation:
    """Parse the ``words`` after the verb.

    Raises UsageError, HelpWanted.
    """
    parser = Parser(
        command.flags(), options.GLOBAL, path=f"pypod {command.path}", interspersed=not command.own_arguments
    )
    parser.shared.update(given)
    arguments = parser.parse(words)
    check_arguments(command, arguments, parser.values)
    return Invocation(
        command=command.name,
        path=command.path,
        options=parser.values,
        args=arguments,
        globals=parser.shared,
        argv=list(argv),
    )


def check_arguments(command: Command, arguments: Sequence[str], values: dict[str, Any]) -> None:
    """Whether the number of arguments is right.

    Raises UsageError in podman's words.
    """
    rule = command.arguments
    count = len(arguments)
    if rule[0] == "first":
        if not count and not values.get("latest") and not values.get("all"):
            raise UsageError(rule[1])
        return
    if rule[0] == "names":
        _check_names(rule[1], count, values)
        return
    least, most = rule
    if count >= least and (most < 0 or count <= most):
        return
    if most == 0:
        raise UsageError(f"`pypod {command.path}` takes no arguments")
    if most < 0:
        raise UsageError(f"requires at least {least} arg(s), only received {count}")
    if least == most:
        raise UsageError(f"accepts {least} arg(s), received {count}")
    if least == 0:
        raise UsageError(f"accepts at most {most} arg(s), received {count}")
    raise UsageError(f"accepts between {least} and {most} arg(s), received {count}")


def _check_names(message: str, count: int, values: dict[str, Any]) -> None:
    everything = values.get("all")
    latest = values.get("latest")
    file = values.get("cidfile") or values.get("pod_id_file")
    filters = values.get("filter")
    if file and (everything or latest):
        raise UsageError("--all, --latest, and --cidfile cannot be used together")
    if everything and latest:
        raise UsageError("--all and --latest cannot be used together")
    if filters and (latest or file):
        raise UsageError("--filter cannot be used with --latest or --cidfile")
    if count:
        if everything:
            raise UsageError("no arguments are needed with --all")
        if latest:
            raise UsageError("--latest and containers cannot be used together")
        if filters:
            raise UsageError("no arguments are needed with --filter")
    elif not (everything or latest or file or filters or values.get("running")):
        raise UsageError(message)
