"""``completion``: scripts for bash, zsh and fish, made from the tables.

Flags and verbs are in the script; names of containers, images and volumes, and the fields of a --format template
(``schema --fields``), are asked of pypod when Tab is pressed.
"""

from __future__ import annotations

from pypod.cli import options, output, parser, schema, table
from pypod.errors import UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pypod.cli.invocation import Invocation

SHELLS = ("bash", "zsh", "fish")

# What prints the names that an argument may have, one a line.
QUERIES = {
    "container": "ps --all --format '{{.Names}}'",
    "image": "images --format '{{.Repository}}:{{.Tag}}'",
    "network": "network ls --quiet",
    "secret": "secret ls --format '{{.Name}}'",
    "pod": "pod ps --format '{{.Name}}'",
    "volume": "volume ls --quiet",
}


def run(invocation: Invocation) -> int:
    shell = invocation.args[0]
    if shell not in SHELLS:
        raise UsageError(f'invalid argument "{shell}" for "pypod completion"', hint="one of " + ", ".join(SHELLS))
    text = script(shell, descriptions=not invocation.options["no_desc"])
    path = invocation.options["file"]
    if path is None:
        output.write(text)
        return 0
    from pypod.base import files

    try:
        files.deliver(path, text.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {reason(error)}") from None
    return 0


def script(shell: str, *, descriptions: bool = True) -> str:
    """The completion script for one of SHELLS."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](descriptions)


def paths() -> Iterator[tuple[str, str]]:
    """Every command as it can be typed, with its key in the table."""
    for group in ("", *table.GROUPS):
        for verb, name in table.members(group).items():
            if table.COMMANDS[name][2]:
                yield f"{group} {verb}".lstrip(), name


def verbs(group: str) -> list[tuple[str, str]]:
    """What can follow a group: words with their summaries."""
    found = [
        (verb, table.COMMANDS[name][1]) for verb, name in table.members(group).items() if table.COMMANDS[name][2]
    ]
    return sorted([*found, *table.groups(group).items()])


def shown(flags: parser.Flags) -> list[parser.Flag]:
    """The flags that have a help text."""
    return [flag for flag in flags if flag[4]]


def _format(name: str, flags: parser.Flags) -> list[str]:
    """How a command's --format is spelled, if what may follow is known."""
    if name not in schema.every():
        return []
    return [word for flag in flags if parser.key(flag) == "format" for word in parser.names(flag)]


def _words(items: Any) -> str:
    return " ".join(items)


def _long(flags: parser.Flags) -> list[str]:
    return [parser.names(flag)[0] for flag in shown(flags)]


def _takers(flags: parser.Flags) -> list[str]:
    """Every spelling of the flags that take a value."""
    return [name for flag in flags if flag[1] not in parser.ALONE for name in parser.names(flag)]


def _bash(descriptions: bool) -> str:
    out = [
        "# bash completion for pypod. Load it with: source <(pypod completion bash)",
        "_pypod_fields() {",
        # The quote that is still open is not in what is put in its place.
        "    local text=${cur#[\\'\\\"]}",
        '    mapfile -t COMPREPLY < <(pypod schema --fields "$text" $1 2>/dev/null)',
        "    [[ ${COMPREPLY[0]} == json ]] || compopt -o nospace 2>/dev/null",
        "}",
        "_pypod() {",
        '    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} word path="" i',
        '    local global="' + _words(_takers(options.GLOBAL)) + '" words="" kind=""',
        "    COMPREPLY=()",
        "    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}",
        "    [[ $cur == = ]] && cur=''",
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        "        word=${COMP_WORDS[i]}",
        '        if [[ " $global " == *" $word "* ]]; then ((i++)); continue; fi',
        "        [[ $word == -* ]] && continue",
        '        path="${path:+$path }$word"',
        '        [[ " ' + _words(table.GROUPS) + ' " == *" $path "* ]] || break',
        "    done",
        '    case "$path" in',
    ]
    for group in ("", *table.GROUPS):
        names = _words(verb for verb, _ in verbs(group))
        offered = _words(_long(options.GLOBAL))
        out.append(f'    "{group}") words="{names}"; [[ $cur == -* ]] && words="{offered}" ;;')
    for path, name in paths():
        command = table.Command(name, path)
        flags = command.flags()
        lines = [f'    "{path}") kind="{command.completes}"']
        choices = [(flag, flag[5]) for flag in shown(flags) if len(flag) > 5 and flag[1] != "form"]
        if spelled := _format(name, flags):
            lines.append(f'        case "$prev" in {"|".join(spelled)}) _pypod_fields "$path"; return ;; esac')
        if choices:
            lines.append('        case "$prev" in')
            for flag, values in choices:
                lines.append(f'        {"|".join(parser.names(flag))}) kind=""; words="{_words(values)}" ;;')
            lines.append("        esac")
        lines.append(f'        [[ $cur == -* ]] && words="{_words(_long(flags))} --help" ;;')
        out += lines
    out += [
        "    esac",
        "    if [[ -z $words ]]; then",
        "        case $kind in",
        *(f"        {kind}) words=$(pypod {query} 2>/dev/null) ;;" for kind, query in QUERIES.items()),
        f"        object) words=$(pypod {QUERIES['container']} 2>/dev/null; pypod {QUERIES['image']} 2>/dev/null) ;;",
        f'        shell) words="{_words(SHELLS)}" ;;',
        "        esac",
        "    fi",
        "    local IFS=$' \\t\\n'",
        '    COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        "    [[ ${#COMPREPLY[@]} -eq 0 && $cur != -* ]] && compopt -o default",
        "}",
        "complete -F _pypod pypod",
    ]
    return "\n".join(out) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh(descriptions: bool) -> str:
    def described(word: str, text: str) -> str:
        return _quoted(f"{word}:{text}" if descriptions else word)

    out = [
        "#compdef pypod",
        "# zsh completion for pypod: put this where $fpath points, as _pypod.",
        "_pypod() {",
        # Not "path": zsh ties that to PATH.
        '    local verb="" word i',
        "    local -a words_ flags_",
        '    local kind="" formats_=""',
        "    for ((i = 2; i < CURRENT; i++)); do",
        "        word=${words[i]}",
        '        if [[ " ' + _words(_takers(options.GLOBAL)) + ' " == *" $word "* ]]; then ((i++)); continue; fi',
        "        [[ $word == -* ]] && continue",
        '        verb="${verb:+$verb }$word"',
        '        [[ " ' + _words(table.GROUPS) + ' " == *" $verb "* ]] || break',
        "    done",
        '    case "$verb" in',
    ]
    for group in ("", *table.GROUPS):
        out.append(f'    "{group}") words_=({_words(described(*item) for item in verbs(group))})')
        flags = _words(described(parser.names(flag)[0], flag[4]) for flag in shown(options.GLOBAL))
        out.append(f"        flags_=({flags}) ;;")
    for path, name in paths():
        command = table.Command(name, path)
        flags = _words(described(parser.names(flag)[0], flag[4]) for flag in shown(command.flags()))
        spelled = _words(_format(name, command.flags()))
        out.append(f'    "{path}") kind="{command.completes}"; formats_="{spelled}"; flags_=({flags}) ;;')
    out += [
        "    esac",
        '    if [[ " $formats_ " == *" ${words[CURRENT-1]} "* ]]; then',
        '        words_=("${(@f)$(pypod schema --fields "$PREFIX" ${=verb} 2>/dev/null)}")',
        "        compadd -S '' -- $words_",
        "        return",
        "    fi",
        "    case $kind in",
        *(f'    {kind}) words_=("${{(@f)$(pypod {query} 2>/dev/null)}}") ;;' for kind, query in QUERIES.items()),
        f"    shell) words_=({_words(SHELLS)}) ;;",
        "    esac",
        "    # A colon in an image's name is not the start of a description.",
        '    [[ -n $kind ]] && words_=("${words_[@]//:/\\\\:}")',
        "    if [[ ${words[CURRENT]} == -* ]]; then _describe flag flags_",
        "    else _describe argument words_ || _files; fi",
        "}",
        "compdef _pypod pypod",
    ]
    return "\n".join(out) + "\n"


def _fish(descriptions: bool) -> str:
    def described(text: str) -> str:
        return f" -d {_quoted(text)}" if descriptions else ""

    out = [
        "# fish completion for pypod: put this in ~/.config/fish/completions/pypod.fish",
        "function __pypod_path",
        "    set -l words (commandline -opc)",
        "    set -e words[1]",
        "    set -l path",
        "    set -l skip 0",
        "    for word in $words",
        "        if test $skip -eq 1; set skip 0; continue; end",
        f"        if contains -- $word {_words(_takers(options.GLOBAL))}; set skip 1; continue; end",
        "        string match -q -- '-*' $word; and continue",
        "        set path $path $word",
        f'        contains -- "$path" {_words(map(_quoted, table.GROUPS))}; or break',
        "    end",
        '    echo "$path"',
        "end",
        "function __pypod_fields",
        """    set -l text (string replace -r "^(--format=)?['\\\"]?" '' -- (commandline -ct))""",
        '    pypod schema --fields "$text" $argv 2>/dev/null',
        "end",
        "complete -c pypod -f",
    ]
    for group in ("", *table.GROUPS):
        at = f"-n 'test (__pypod_path) = \"{group}\"'"
        for verb, text in verbs(group):
            out.append(f"complete -c pypod {at} -a {verb}{described(text)}")
    for path, name in paths():
        command = table.Command(name, path)
        at = f"-n 'test (__pypod_path) = \"{path}\"'"
        for flag in shown(command.flags()):
            spelled = " ".join(f"-s {word}" if len(word) == 1 else f"-l {word}" for word in flag[0].split()[:2])
            value = "" if flag[1] in parser.ALONE else " -r"
            if len(flag) > 5 and value:
                value = f" -x -a {_quoted(_words(flag[5]))}"
            elif parser.key(flag) == "format" and _format(name, command.flags()):
                value = f' -x -a "(__pypod_fields {path})"'
            out.append(f"complete -c pypod {at} {spelled}{value}{described(flag[4])}")
        if command.completes in QUERIES:
            out.append(f'complete -c pypod {at} -a "(pypod {QUERIES[command.completes]} 2>/dev/null)"')
        elif command.completes == "file":
            out.append(f"complete -c pypod {at} -F")
    return "\n".join(out) + "\n"
