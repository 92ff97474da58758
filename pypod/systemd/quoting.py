"""Text that systemd reads as it was meant: words of command lines, values of assignments, paths.

systemd.service(5) "COMMAND LINES", systemd.syntax(7) "QUOTING", systemd.unit(5) "SPECIFIERS". Text in, text out. Text
comes as Python has it from the system: bytes that are no UTF-8 are surrogates (PEP 383).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# What needs no quotes anywhere. A ";" that is a word of its own begins another command.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@%$^~{}[]()<>|&!?*#;")
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", '"': '\\"'}


class Raw(str):
    """A word of a command that is written as it is: its specifiers are meant."""

    __slots__ = ()


class Unrepresentable(ValueError):
    """systemd has no way to write this; the text says why."""


def _bytes(character: str) -> str:
    """``\\xNN`` for each of its bytes."""
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _escaped(text: str) -> str:
    """For within double quotes. What an editor would not show, and bytes that are no UTF-8, become ``\\xNN``."""
    if "\0" in text:
        raise Unrepresentable("a NUL byte cannot be in it")
    return "".join(
        _ESCAPES.get(character) or (character if character.isprintable() else _bytes(character)) for character in text
    )


def quoted(text: str) -> str:
    """``text`` as one item, in quotes only where it needs them; specifiers and variables are left alone."""
    if text and text != ";" and _PLAIN.issuperset(text):
        return text
    return f'"{_escaped(text)}"'


def specifiers(text: str) -> str:
    """``text`` without meaning to systemd's specifiers."""
    return text.replace("%", "%%")


def word(text: str) -> str:
    """One argument of an Exec line, that arrives as it is here. Raises Unrepresentable."""
    return quoted(specifiers(text).replace("$", "$$"))


def program(path: str) -> list[str]:
    """The first words of an Exec line that runs ``path``. Raises Unrepresentable.

    The program's path is taken as it is: no variables, no control characters. env(1) runs what cannot be said so.
    """
    if not path.startswith("/"):
        raise Unrepresentable(f"the path of the program must be absolute: {path!r}")
    if path.isprintable() and "$" not in path:
        return [quoted(specifiers(path))]
    if "=" in path:
        raise Unrepresentable(f"systemd cannot start a program with such a path: {path!r}")
    return ["/usr/bin/env", word(path)]


def command(words: Sequence[str]) -> list[str]:
    """The words of an Exec line, each quoted but for those that are ``Raw``. Raises Unrepresentable."""
    first, *rest = words
    return [*program(first), *(item if isinstance(item, Raw) else word(item) for item in rest)]


def lines(words: Sequence[str], *, width: int = 100) -> str:
    """Quoted words as one setting, continued over several lines where that reads better.

    A line begins with a flag: systemd takes a continued line that begins with # or ; for a comment and drops it.
    """
    result = words[0]
    column = len(result)
    for item in words[1:]:
        if item.startswith("-") or (column + len(item) > width and item[0] not in "#;"):
            result += " \\\n\t" + item
            column = 8 + len(item)
        else:
            result += " " + item
            column += 1 + len(item)
    return result


def assignment(name: str, value: str) -> str:
    """What follows ``Environment=``. Raises Unrepresentable for a name that is none."""
    if not name or not name.isascii() or name[0].isdigit() or not all(c.isalnum() or c == "_" for c in name):
        raise Unrepresentable(f"systemd takes no variable of this name: {name!r}")
    return quoted(specifiers(f"{name}={value}"))


def listed_path(text: str) -> str:
    """An item of a setting that lists paths, such as RequiresMountsFor=; its specifiers are meant.

    Quotes work there, but no escapes of C. Raises Unrepresentable.
    """
    if not text.isprintable():
        raise Unrepresentable(f"systemd cannot read this path: {text!r}")
    if _PLAIN.issuperset(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def whole_path(text: str) -> str:
    """The value of a setting that is one path and knows no quotes, such as PIDFile=. Raises Unrepresentable."""
    return whole(specifiers(text))


def whole(text: str) -> str:
    """The same; specifiers in it are meant. Raises Unrepresentable."""
    if not text.isprintable() or text != text.strip() or text.endswith("\\"):
        raise Unrepresentable(f"systemd cannot read this path: {text!r}")
    return text
