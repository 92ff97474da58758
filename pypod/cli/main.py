"""From argv to a verb: global flags, command, its flags, its module."""

from __future__ import annotations

from pypod.cli import options, table
from pypod.cli.invocation import invocation
from pypod.cli.parser import HelpWanted, Parser
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_ROOT = (("version v", "bool", False, "", "Print the version"),)
_LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")


def main(argv: Sequence[str]) -> int:
    """Run the command line ``argv`` (without the program's name) and return the exit code.

    Raises PypodError; printing it is the caller's part.
    """
    path = ""
    given: dict[str, Any] = {}
    words = list(argv)
    try:
        while True:
            parser = Parser(() if path else _ROOT, options.GLOBAL, path=f"pypod {path}".rstrip(), interspersed=False)
            parser.shared = given
            words = parser.parse(words)
            if parser.values.get("version"):
                return _version()
            if not words:
                return _help(path, wanted=False)
            if words[0] == "help" and not path:
                return _help(" ".join(words[1:]), wanted=True)
            path = f"{path} {words.pop(0)}".lstrip()
            if path not in table.GROUPS:
                break
        name = table.canonical(path)
        if name is None:
            raise table.unknown(path)
        command = table.Command(name, path)
        call = invocation(command, words, given, argv)
    except HelpWanted:
        return _help(path, wanted=True)
    finally:
        if "log_format" in given:
            _choose_format(given["log_format"])
    _check_globals(call.globals)
    module, _, function = command.module.partition(":")
    run = getattr(table.load(module), function or "run")
    code: int = run(call)
    return code


def _version() -> int:
    from pypod import version_line
    from pypod.cli import output

    output.line(version_line())
    return 0


def _help(path: str, *, wanted: bool) -> int:
    """Show the help of a command or group. Not asked for, the lack of a command is an error (podman: 125)."""
    from pypod.cli import clickfront

    if wanted or not path:
        clickfront.show_help(path)
        return 0
    raise UsageError(f"missing command 'pypod {path} COMMAND'\nTry 'pypod {path} --help' for more information")


def _choose_format(form: str) -> None:
    from pypod.base import report

    report.choose(form)


def _check_globals(given: dict[str, Any]) -> None:
    level = given.get("log_level")
    if level is not None and level.lower() not in _LEVELS:
        raise UsageError(f'Log Level "{level}" is not supported, choose from: {", ".join(_LEVELS)}', code=1)
    if given.get("log_format") not in (None, "text", "json"):
        raise UsageError(f'log format "{given["log_format"]}" is not supported, choose from: text, json')
    for key in ("hooks_dir", "module", "syslog"):
        if given.get(key):
            raise UsageError(f"--{key.replace('_', '-')} is not supported yet")
    if given.get("events_backend") not in (None, "file", "journald", "none"):
        shown = given["events_backend"]
        raise UsageError(f'configuring runtime: "{shown}" is not a valid events backend: invalid argument')
    if given.get("noout") or given.get("out"):
        from pypod.cli import output

        output.redirect(given.get("out") or "/dev/null")
