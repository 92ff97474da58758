"""The command line, parsed by podman's rules (those of Go's pflag) from the tables in ``options``.

    --opt value   --opt=value   --flag   --flag=false   -dit   -e K=V   -eK=V   -e=K=V   --

click's front (``clickfront``) reads the same tables; tests/unit/cli/test_parser.py holds the two together.
"""

from __future__ import annotations

from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Flag = tuple[Any, ...]
    Flags = Sequence[Flag]
    Values = dict[str, Any]

ALONE = ("bool", "form")  # kinds whose value may be left out, and never is the next word
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_MAX_INT = (1 << 63) - 1
_MAX_UINT = (1 << 64) - 1


class HelpWanted(Exception):
    """The command line asks for --help."""


def key(flag: Flag) -> str:
    """The flag's key in Invocation.options."""
    name: str = flag[0].partition(" ")[0]
    return name.replace("-", "_")


def names(flag: Flag) -> list[str]:
    """The flag as it is typed: --env, -e."""
    return [f"-{name}" if len(name) == 1 else f"--{name}" for name in flag[0].split()]


def alone(flag: Flag) -> str:
    """The value of a flag that may stand alone, if it does."""
    return "true" if flag[1] == "bool" else str(flag[5][0])


def placeholder(flag: Flag) -> str:
    """What follows the flag's name where it is explained."""
    shown: str = flag[3] or flag[1]
    return {"bool": "", "form": f"[={shown}]"}.get(flag[1], f" {shown}")


def defaults(flags: Flags) -> Values:
    """The values of a command line without any flag."""
    return {key(flag): [] if flag[2] == () else flag[2] for flag in flags}


class Parser:
    """One parser for one command: its own flags, and those that every command takes."""

    def __init__(self, flags: Flags, shared: Flags = (), *, path: str = "pypod", interspersed: bool = True) -> None:
        self.path = path
        self.interspersed = interspersed
        self.lookup: dict[str, tuple[Flag, bool]] = {}
        lookup = self.lookup
        for flag in shared:
            for name in flag[0].split():
                lookup[name] = (flag, True)
        for flag in flags:
            for name in flag[0].split():
                lookup[name] = (flag, False)
        self.values = defaults(flags)
        self.shared: Values = {}  # only those that were given

    def parse(self, argv: Sequence[str]) -> list[str]:
        """Take the flags out of ``argv`` into ``values`` and ``shared``, and return the arguments.

        Raises UsageError, HelpWanted.
        """
        arguments: list[str] = []
        at, count = 0, len(argv)
        while at < count:
            word = argv[at]
            at += 1
            if len(word) < 2 or word[0] != "-":
                if not self.interspersed:
                    return [word, *argv[at:]]
                arguments.append(word)
            elif word == "--":
                arguments.extend(argv[at:])
                break
            elif word[1] == "-":
                at = self._long(word[2:], argv, at)
            else:
                at = self._short(word[1:], argv, at)
        return arguments

    def _long(self, word: str, argv: Sequence[str], at: int) -> int:
        name, equals, value = word.partition("=")
        if not name or name[0] == "-":
            raise self._error(f"bad flag syntax: --{word}")
        found = self.lookup.get(name)
        if found is None or len(name) == 1:
            if name == "help":
                raise HelpWanted
            raise self._error(f"unknown flag: --{name}")
        if equals:
            self._set(found, value)
        elif found[0][1] in ALONE:
            self._set(found, alone(found[0]))
        elif at < len(argv):
            self._set(found, argv[at])
            at += 1
        else:
            raise self._error(f"flag needs an argument: --{name}")
        return at

    def _short(self, letters: str, argv: Sequence[str], at: int) -> int:
        while letters:
            letter = letters[0]
            found = self.lookup.get(letter)
            if found is None:
                if letter == "h":
                    raise HelpWanted
                raise self._error(f"unknown shorthand flag: {letter!r} in -{letters}")
            rest = letters[1:]
            if len(rest) > 1 and rest[0] == "=":
                self._set(found, rest[1:])
                return at
            if found[0][1] in ALONE:
                self._set(found, alone(found[0]))
                letters = rest
                continue
            if rest:
                self._set(found, rest)
            elif at < len(argv):
                self._set(found, argv[at])
                at += 1
            else:
                raise self._error(f"flag needs an argument: {letter!r} in -{letters}")
            return at
        return at

    def _set(self, found: tuple[Flag, bool], text: str) -> None:
        flag, shared = found
        values = self.shared if shared else self.values
        name = key(flag)
        kind = flag[1]
        try:
            if kind == "str":
                values[name] = text
            elif kind == "array":
                values.setdefault(name, []).append(text)
            elif kind == "list":
                values.setdefault(name, []).extend(split(text))
            else:
                values[name] = convert(flag, text)
        except ValueError as error:
            from pypod.cli.gofmt import quote

            shown = ", ".join(sorted(names(flag)[:1] + [n for n in names(flag) if len(n) == 2], key=len))
            raise self._error(f'invalid argument {quote(text)} for "{shown}" flag: {error}') from None

    def _error(self, message: str) -> UsageError:
        return UsageError(f"{message}\nSee '{self.path} --help'")


def convert(flag: Flag, text: str) -> Any:
    """The value of a bool, int, uint, float, choice or form.

    Raises ValueError with Go's words.
    """
    kind = flag[1]
    if kind == "bool":
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise ValueError(_syntax("ParseBool", text))
    if kind in ("choice", "form"):
        if text not in flag[5]:
            from pypod.cli.gofmt import quote

            raise ValueError(f"{quote(text)} is not a valid value.  Choose from: {', '.join(map(quote, flag[5]))}")
        return text
    function = {"int": "ParseInt", "uint": "ParseUint", "float": "ParseFloat"}[kind]
    # Python's numbers take blanks and digits of other scripts, Go's do not.
    if not text or not text.isascii() or text != text.strip():
        raise ValueError(_syntax(function, text))
    if kind == "float":
        try:
            return float(text)
        except ValueError:
            raise ValueError(_syntax(function, text)) from None
    if kind == "uint" and text[0] in "+-":
        raise ValueError(_syntax(function, text))
    digits = text.lstrip("+-") if len(text) - len(text.lstrip("+-")) <= 1 else ""
    try:
        if digits[:1] == "0" and digits[1:2] not in ("x", "X", "o", "O", "b", "B"):
            number = int("0o" + digits, 8) if digits != "0" else 0
        else:
            number = int(digits, 0)
    except ValueError:
        raise ValueError(_syntax(function, text)) from None
    if text[0] == "-":
        number = -number
    low, high = (0, _MAX_UINT) if kind == "uint" else (-_MAX_INT - 1, _MAX_INT)
    if not low <= number <= high:
        from pypod.cli.gofmt import quote

        raise ValueError(f"strconv.{function}: parsing {quote(text)}: value out of range")
    return number


def _syntax(function: str, text: str) -> str:
    from pypod.cli.gofmt import quote

    return f"strconv.{function}: parsing {quote(text)}: invalid syntax"


def split(text: str) -> list[str]:
    """The items of a comma-separated value; a quoted item may hold commas (RFC 4180).

    Raises ValueError.
    """
    if '"' not in text:
        return text.split(",") if text else []
    items = []
    at = 0
    while True:
        if text[at : at + 1] == '"':
            item = ""
            at += 1
            while True:
                end = text.find('"', at)
                if end < 0:
                    raise ValueError(
                        f'parse error on line 1, column {len(text) + 1}: extraneous or missing " in quoted-field'
                    )
                item += text[at:end]
                at = end + 1
                if text[at : at + 1] != '"':
                    break
                item += '"'
                at += 1
            if at < len(text) and text[at] != ",":
                raise ValueError(f'parse error on line 1, column {at + 1}: extraneous or missing " in quoted-field')
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            item = text[at:end]
            if '"' in item:
                column = at + item.index('"') + 1
                raise ValueError(f'parse error on line 1, column {column}: bare " in non-quoted-field')
            at = end
        items.append(item)
        if at >= len(text):
            return items
        at += 1
