"""Man pages and docs/commands.md, made from the tables: ``python -m pypod.cli.manpages DIR [COMMANDS.md]``."""

from __future__ import annotations

from pypod import __version__
from pypod.cli import completion, options, parser, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _escape(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def _default(flag: parser.Flag) -> str:
    if flag[2] in (None, False, ()) or "(default" in flag[4]:
        return ""
    return f" (default {str(flag[2]).lower() if isinstance(flag[2], bool) else flag[2]})"


def _spelled(flag: parser.Flag) -> list[str]:
    return sorted(parser.names(flag), key=lambda name: (len(name) > 2, name != parser.names(flag)[0]))


def _flags(flags: parser.Flags) -> list[str]:
    out = []
    for flag in sorted(completion.shown(flags), key=lambda item: str(item[0])):
        names = ", ".join(f"\\fB{_escape(name)}\\fR" for name in _spelled(flag))
        shown = parser.placeholder(flag)
        value = f" \\fI{_escape(shown[1:])}\\fR" if shown.startswith(" ") else _escape(shown)
        more = f" One of {', '.join(flag[5])}." if len(flag) > 5 else ""
        repeat = " May be repeated." if flag[1] in ("list", "array") else ""
        out += [".TP", names + value, _escape(f"{flag[4]}{_default(flag)}.{more}{repeat}")]
    return out


def page(path: str) -> str:
    """The man page of one command, in man(7) macros."""
    command = table.Command(table.canonical(path) or path, path)
    title = "pypod-" + path.replace(" ", "-")
    out = [
        f'.TH "{title.upper()}" "1" "" "pypod {__version__}" "pypod"',
        ".SH NAME",
        f"{_escape(title)} \\- {_escape(command.summary[0].lower() + command.summary[1:])}",
        ".SH SYNOPSIS",
        f"\\fBpypod {_escape(path)}\\fR {_escape(command.usage)}",
    ]
    others = [spelled for spelled, name in completion.paths() if name == command.name and spelled != path]
    if others:
        out += [".PP", "Also: " + ", ".join(f"\\fBpypod {_escape(other)}\\fR" for other in others)]
    flags = command.flags()
    if completion.shown(flags):
        out += [".SH OPTIONS", *_flags(flags)]
    out += [
        ".SH EXIT STATUS",
        "0 on success, 125 for an error of pypod itself; "
        "run, exec and start \\-\\-attach pass on the exit code of the container's command.",
        ".SH SEE ALSO",
        "\\fBpypod\\fR(1)",
    ]
    return "\n".join(out) + "\n"


def root_page() -> str:
    """pypod(1)."""
    out = [
        f'.TH "PYPOD" "1" "" "pypod {__version__}" "pypod"',
        ".SH NAME",
        "pypod \\- containers without a daemon and without root",
        ".SH SYNOPSIS",
        "\\fBpypod\\fR [options] \\fIcommand\\fR",
        ".SH GLOBAL OPTIONS",
        *_flags(options.GLOBAL),
        ".SH COMMANDS",
    ]
    for path in sorted(table.COMMANDS):
        if table.COMMANDS[path][2]:
            out += [
                ".TP",
                f"\\fBpypod\\-{_escape(path.replace(' ', '-'))}\\fR(1)",
                _escape(table.COMMANDS[path][1] + "."),
            ]
    return "\n".join(out) + "\n"


def markdown() -> str:
    """docs/commands.md: every command with its flags."""
    out = [
        "# Commands",
        "",
        "Made from the tables in `pypod/cli/options*.py` by `python -m pypod.cli.manpages`; do not edit.",
        "",
    ]
    for section in table.SECTIONS:
        out += [f"## {section}", ""]
        for path, entry in sorted(table.COMMANDS.items()):
            if entry[2] != section:
                continue
            command = table.Command(path, path)
            out += [f"### pypod {path}", "", f"{command.summary}.", "", f"`pypod {path} {command.usage}`", ""]
            others = [spelled for spelled, name in completion.paths() if name == path and spelled != path]
            if others:
                out += ["Also: " + ", ".join(f"`pypod {other}`" for other in others), ""]
            rows = completion.shown(command.flags())
            if rows:
                out += ["| flag | |", "|---|---|", *map(_row, rows), ""]
    out += ["## Global flags", "", "| flag | |", "|---|---|", *map(_row, completion.shown(options.GLOBAL))]
    return "\n".join(out) + "\n"


def _row(flag: Any) -> str:
    names = ", ".join(f"`{name}`" for name in _spelled(flag))
    shown = parser.placeholder(flag)
    value = f" *{shown[1:]}*" if shown.startswith(" ") else shown
    more = f": {', '.join(flag[5])}" if len(flag) > 5 else ""
    return f"| {names}{value} | {flag[4]}{_default(flag)}{more} |".replace("*[[", "*\\[[").replace("<", "\\<")


def main(arguments: list[str]) -> int:
    """Write every man page into a directory, and the markdown to a file if one is named."""
    import os

    from pypod.base import files

    directory = arguments[0]
    files.make_directory(directory, 0o755)
    files.replace(f"{directory}/pypod.1", root_page().encode(), mode=0o644)
    for path in table.COMMANDS:
        name = "pypod-" + path.replace(" ", "-")
        files.replace(f"{directory}/{name}.1", page(path).encode(), mode=0o644)
    if len(arguments) > 1:
        files.replace(os.path.abspath(arguments[1]), markdown().encode(), mode=0o644)
    return 0


if __name__ == "__main__":
    import sys

    raise SystemExit(main(sys.argv[1:]))
