"""Which registry does a short name mean? The user chooses, on the terminal (containers-registries.conf(5)).

The question is on stderr and the answer comes from stdin, so that stdout stays the command's own.
"""

from __future__ import annotations

import os

from pypod.errors import RegistryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.oci.reference import Reference

_TITLE = "Please select an image:"
_UP, _DOWN = ("\x1b[A", "\x1bOA", "k", "\x10"), ("\x1b[B", "\x1bOB", "j", "\x0e")
_INTERRUPT, _END = "\x03", ("", "\x04")
_MOST_KEY = 8  # characters of an escape sequence that is still read to its end


def chooser() -> Callable[[Sequence[Reference]], Reference] | None:
    """What asks the user, None where there is no terminal to ask on."""
    try:
        return choose if os.isatty(0) and os.isatty(2) else None
    except OSError:
        return None


def choose(candidates: Sequence[Reference]) -> Reference:
    """The candidate that the user takes.

    Raises RegistryError at the end of the input, KeyboardInterrupt.
    """
    from pypod.oci import reference

    names = [reference.complete(item) for item in candidates]
    number = _typed(names) if os.environ.get("TERM", "dumb") == "dumb" else _pointed(names)
    return candidates[number]


def _write(text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(2, data) :]


def _read(count: int) -> str:
    try:
        return os.read(0, count).decode("utf-8", "replace")
    except OSError:  # the terminal has gone
        return ""


def _nothing() -> RegistryError:
    return RegistryError("no image was selected for the short name", hint="say which registry")


def _typed(names: Sequence[str]) -> int:
    """By its number, on a terminal that cannot do more."""
    _write(_TITLE + "\n" + "".join(f"  {number}  {name}\n" for number, name in enumerate(names, 1)))
    while True:
        _write(f"Number (1-{len(names)}): ")
        line = _read(64)
        if not line:
            _write("\n")
            raise _nothing()
        word = line.strip()
        if word.isdecimal() and 1 <= int(word) <= len(names):
            return int(word) - 1


def _pointed(names: Sequence[str]) -> int:
    """By the arrow keys or a number, and Enter."""
    from pypod.engine.terminal import RawTerminal

    at, digits = 0, ""
    with RawTerminal(0):
        drawn = _draw(names, at, 0)
        try:
            while True:
                key = _key()
                if key == _INTERRUPT:
                    raise KeyboardInterrupt
                if key in _END:
                    raise _nothing()
                if key in ("\r", "\n"):
                    break
                digits = digits + key if key.isdecimal() else ""
                if digits and not 1 <= int(digits) <= len(names):
                    digits = key  # the number was complete: another one begins
                if digits and 1 <= int(digits) <= len(names):
                    at = int(digits) - 1
                elif key in _UP:
                    at = (at - 1) % len(names)
                elif key in _DOWN:
                    at = (at + 1) % len(names)
                drawn = _draw(names, at, drawn)
        finally:
            _write(f"\x1b[{drawn}A\r\x1b[J")
    _write(f"✔ {names[at]}\n")
    return at


def _key() -> str:
    """One key: a character, or an escape sequence; "" at the end."""
    key = _read(1)
    while key.startswith("\x1b") and len(key) < _MOST_KEY:
        more = _read(1)
        if not more:
            return ""
        key += more
        if len(key) > 2 and ("@" <= more <= "~") or (len(key) == 2 and more not in "[O"):
            break
    return key


def _draw(names: Sequence[str], at: int, drawn: int) -> int:
    """The list with a mark at one of them, instead of ``drawn`` lines above the cursor; how many lines it has."""
    try:
        columns, rows = os.get_terminal_size(2)
    except OSError:
        columns, rows = 80, 24
    room = max(1, (rows or 24) - 2)
    first = max(0, min(at - room // 2, len(names) - room))
    width = max(1, (columns or 80) - 1)
    lines = [_TITLE]
    for number in range(first, min(first + room, len(names))):
        lines.append(f"{'▸' if number == at else ' '} {number + 1}  {names[number]}")
    back = f"\x1b[{drawn}A\r\x1b[J" if drawn else ""
    _write(back + "".join(line[:width] + "\r\n" for line in lines))
    return len(lines)
