"""click's front over the same tables: --help at every level.

The commands are parsed by ``parser``; click costs 25 ms, and whoever asks for help has the time. The click commands
made here are whole ones all the same: they parse what ``parser`` parses, to the same values, which a test holds
them to. pflag knows two things that click does not, ``--flag=false`` and ``-x=value``: ``_Command.make_parser``
adds them.
"""

from __future__ import annotations

import os
from typing import Any

import click

from pypod.cli import invocation, options, parser, table
from pypod.errors import UsageError


class _Value(click.ParamType[Any]):
    """The text of a flag, converted by the small parser's own rules."""

    name = "value"

    def __init__(self, flag: parser.Flag) -> None:
        self.flag = flag

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        kind = self.flag[1]
        if not isinstance(value, str) or kind in ("str", "array"):
            return value
        try:
            return parser.split(value) if kind == "list" else parser.convert(self.flag, value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Option(click.Option):
    """A flag of the tables."""

    def __init__(self, flag: parser.Flag) -> None:
        kind = flag[1]
        self.flag = flag
        many = kind in ("list", "array")
        declared: list[str] = [f"f_{parser.key(flag)}", *parser.names(flag)]
        settings: dict[str, Any] = {"help": flag[4], "hidden": not flag[4], "default": None}
        if kind in parser.ALONE:
            settings["is_flag"] = True
            if kind == "form":
                settings["flag_value"] = parser.alone(flag)
        else:
            settings["metavar"] = flag[3] or kind
            settings["multiple"] = True  # each value is looked at, also where the last one counts
            settings["type"] = _Value(flag)
        self.last_counts = not many and "multiple" in settings
        super().__init__(declared, **settings)

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """The converted value, or values."""
        found = super().process_value(ctx, value)
        if self.last_counts and isinstance(found, (tuple, list)):
            return found[-1] if found else None
        return found

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The flag's own letter first, then its name; other spellings are not shown."""
        if self.hidden:
            return None
        spelled = parser.names(self.flag)
        letters = [name for name in spelled if len(name) == 2]
        shown = f"{letters[0]}, {spelled[0]}" if letters else f"    {spelled[0]}"
        shown += parser.placeholder(self.flag)
        text = self.flag[4]
        default = self.flag[2]
        if default not in (None, False, ()) and "(default" not in text:
            text += f" (default {str(default).lower() if isinstance(default, bool) else default})"
        if len(self.flag) > 5:
            text += ": " + ", ".join(self.flag[5]) if len(self.flag[5]) < 6 else ""
        return shown, text


class _Help:
    """--help, worded and aligned as the other flags are."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option: click.Option | None = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.help = "Show this help"
            shown = "-h, --help" if "-h" in option.opts else "    --help"

            def record(ctx: click.Context) -> tuple[str, str] | None:
                return shown, "Show this help"

            option.get_help_record = record  # type: ignore[method-assign]
        return option


class _Command(_Help, click.Command):
    """One verb; calling it does nothing but parse."""

    def make_parser(self, ctx: click.Context) -> Any:
        made: Any = super().make_parser(ctx)
        _teach(made)
        return made

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_text(f"Usage: {ctx.command_path} {self.options_metavar}")


def _teach(made: Any) -> None:
    """pflag's --flag=false, -f=false and -x=value, for a click parser."""
    match_long, match_short = made._match_long_opt, made._match_short_opt

    def store(option: Any, text: str, state: Any) -> None:
        try:
            value = parser.convert(option.obj.flag, text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        state.opts[option.dest] = value
        state.order.append(option.obj)

    def long(opt: str, explicit: str | None, state: Any) -> None:
        option = made._long_opt.get(opt)
        if explicit is not None and option is not None and isinstance(option.obj, _Option) and not option.takes_value:
            store(option, explicit, state)
        elif opt.startswith("---") or opt == "--":
            raise click.NoSuchOption(opt)
        else:
            match_long(opt, explicit, state)

    def short(arg: str, state: Any) -> None:
        letters = arg[1:]
        while letters:
            option = made._short_opt.get("-" + letters[0])
            if option is not None and len(letters) > 2 and letters[1] == "=":
                if option.takes_value:
                    state.rargs.insert(0, letters[2:])
                    match_short("-" + letters[0], state)
                else:
                    store(option, letters[2:], state)
                return
            if option is None or option.takes_value:
                match_short("-" + letters, state)
                return
            match_short("-" + letters[0], state)
            letters = letters[1:]

    made._match_long_opt, made._match_short_opt = long, short


def command(path: str) -> click.Command:
    """The click command for a path as typed.

    Raises UsageError if there is none.
    """
    name = table.canonical(path)
    if name is None:
        raise table.unknown(path)
    found = table.Command(name, path)
    flags = found.flags()
    own = {word for flag in flags for word in flag[0].split()}
    shared = [flag for flag in options.GLOBAL if own.isdisjoint(flag[0].split())]
    parameters: list[click.Parameter] = [_Option(flag) for flag in flags]
    parameters += [_hidden(flag) for flag in shared]
    parameters.append(click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED))
    return _Command(
        name=path.rpartition(" ")[2],
        params=parameters,
        help=found.summary + ".",
        options_metavar=found.usage,
        context_settings={
            "help_option_names": ["--help"] if "h" in own else ["--help", "-h"],
            "allow_interspersed_args": not found.own_arguments,
            "max_content_width": 120,
        },
    )


def _hidden(flag: parser.Flag) -> click.Option:
    option = _Option(flag)
    option.hidden = True
    return option


class _Group(_Help, click.Group):
    """The top level, or container, image and so on: its commands are made when they are asked for."""

    def __init__(self, path: str, summary: str) -> None:
        self.path = path
        super().__init__(
            name=path or "pypod",
            help=summary,
            params=[] if path else [_Option(flag) for flag in options.GLOBAL],
            options_metavar="[options]",
            subcommand_metavar="COMMAND",
            context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 120},
        )

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*table.members(self.path), *table.groups(self.path)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        path = f"{self.path} {cmd_name}".lstrip()
        if path in table.GROUPS:
            return _Group(path, table.GROUPS[path] + ".")
        return command(path) if table.canonical(path) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The top level is shown by sections; a group in one list."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for verb, name in table.members(self.path).items():
            entry = table.Command(name, name)
            if entry.section:
                title = "Commands" if self.path else entry.section
                sections.setdefault(title, []).append((verb, entry.summary))
        order = ["Commands"] if self.path else list(table.SECTIONS)
        sections["Groups"] = sorted(table.groups(self.path).items())
        order.append("Groups")
        for title in order:
            if sections.get(title):
                with formatter.section(title):
                    formatter.write_dl(sections[title])


def front() -> click.Group:
    """The whole tree."""
    return _Group("", "Containers without a daemon and without root.")


def show_help(path: str) -> None:
    """Print the help of a command, of a group, or of pypod itself (``path`` "").

    Raises UsageError if there is no such command.
    """
    from pypod.cli import output

    context = click.Context(front(), info_name="pypod", max_content_width=120, terminal_width=_width())
    current: click.Command = context.command
    at = ""
    for word in path.split():
        at = f"{at} {word}".lstrip()
        found = current.get_command(context, word) if isinstance(current, _Group) else None
        if found is None:
            raise table.unknown(at)
        context = click.Context(found, info_name=word, parent=context, max_content_width=120, terminal_width=_width())
        current = found
    output.line(current.get_help(context))


def _width() -> int:
    try:
        return min(os.get_terminal_size().columns, 120)
    except OSError:
        return 100


def parse(path: str, words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """What click makes of the ``words`` after a verb: the command's own values, and its arguments.

    Raises UsageError, ``parser.HelpWanted``.
    """
    found = command(path)
    try:
        context = found.make_context(path, list(words))
    except click.exceptions.Exit:
        raise parser.HelpWanted from None
    except click.ClickException as error:
        raise UsageError(error.format_message()) from None
    entry = table.Command(table.canonical(path) or path, path)
    values = parser.defaults(entry.flags())
    for flag in entry.flags():
        given = context.params.get(f"f_{parser.key(flag)}")
        if context.get_parameter_source(f"f_{parser.key(flag)}") == click.core.ParameterSource.COMMANDLINE:
            if flag[1] == "list":
                given = [item for items in given or () for item in items]
            values[parser.key(flag)] = list(given or ()) if flag[1] in ("list", "array") else given
    arguments = list(context.params["arguments"])
    invocation.check_arguments(entry, arguments, values)
    return values, arguments
