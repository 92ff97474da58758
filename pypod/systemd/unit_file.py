"""Unit files as systemd reads them (systemd.syntax(7)): text in, assignments with their places out, and back.

Specifiers and variables are left alone. Text comes as Python has it from the system: bytes that are no UTF-8 are
surrogates (PEP 383).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_COMMENTS = "#;"
_BLANK = " \t\n\r"
_TRUE = frozenset(("1", "yes", "y", "true", "t", "on"))
_FALSE = frozenset(("0", "no", "n", "false", "f", "off"))
_SIMPLE = {
    "a": b"\a",
    "b": b"\b",
    "f": b"\f",
    "n": b"\n",
    "r": b"\r",
    "t": b"\t",
    "v": b"\v",
    "\\": b"\\",
    '"': b'"',
    "'": b"'",
    "s": b" ",
}
_NUMBERS = {"x": 2, "u": 4, "U": 8}  # how many hexadecimal digits follow


class BadWords(ValueError):
    """A value that cannot be split into words; the text says why."""


@dataclass(frozen=True)
class Entry:
    """One assignment, and where it was read."""

    key: str
    value: str
    path: str
    line: int  # from 1; of a continued line the first


@dataclass(frozen=True)
class Complaint:
    """A line that systemd would ignore with a message in the journal."""

    path: str
    line: int
    text: str


@dataclass
class Section:
    """One section; sections of the same name are one."""

    name: str
    path: str
    line: int
    entries: list[Entry] = field(default_factory=list)


@dataclass
class UnitFile:
    """The sections of a file and its drop-ins, in the order in which they first appear."""

    sections: dict[str, Section] = field(default_factory=dict)

    def merge(self, other: UnitFile) -> None:
        """Add the assignments of a drop-in, which come later and so win."""
        for name, section in other.sections.items():
            if name in self.sections:
                self.sections[name].entries += section.entries
            else:
                self.sections[name] = Section(name, section.path, section.line, list(section.entries))

    def entries(self, section: str, key: str = "") -> list[Entry]:
        """The assignments of a section; those of ``key`` only since the last empty one, which resets."""
        found = self.sections[section].entries if section in self.sections else []
        if not key:
            return list(found)
        result: list[Entry] = []
        for entry in found:
            if entry.key == key:
                result = [*result, entry] if entry.value else []
        return result

    def last(self, section: str, key: str) -> Entry | None:
        """The assignment that is in force."""
        found = self.entries(section, key)
        return found[-1] if found else None

    def text(self) -> str:
        """The file, without comments and continued lines."""
        parts = []
        for section in self.sections.values():
            lines = [f"[{section.name}]", *(f"{entry.key}={entry.value}" for entry in section.entries)]
            parts.append("\n".join(lines) + "\n")
        return "\n".join(parts)


def parse(text: str, path: str = "") -> tuple[UnitFile, list[Complaint]]:
    """What a file says, and its lines that say nothing."""
    result = UnitFile()
    complaints: list[Complaint] = []
    current: Section | None = None
    in_broken_section = False
    for line, content in _logical_lines(text):
        if content.startswith("["):
            if not content.endswith("]") or not content[1:-1].strip():
                complaints.append(Complaint(path, line, f"invalid section header {content!r}"))
                current, in_broken_section = None, True
                continue
            name = content[1:-1]
            current = result.sections.setdefault(name, Section(name, path, line))
            in_broken_section = False
            continue
        key, equals, value = content.partition("=")
        key, value = key.rstrip(_BLANK), value.strip(_BLANK)
        if not equals or not key:
            complaints.append(Complaint(path, line, f"not an assignment KEY=VALUE: {content!r}"))
        elif current is None:
            if not in_broken_section:
                complaints.append(Complaint(path, line, f"{key}= is before the first [section]"))
        elif not _is_utf8(content):
            complaints.append(Complaint(path, line, f"{key}= is not UTF-8: write such bytes as \\xNN"))
        else:
            current.entries.append(Entry(key, value, path, line))
    return result, complaints


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """The lines that say something, continued ones joined, with the number of the first."""
    found: list[tuple[int, str]] = []
    joined = ""
    start = 0
    # As for systemd, a carriage return alone ends a line too.
    for number, raw in enumerate(re.split("\r\n|[\r\n]", text.removeprefix("\ufeff")), 1):
        if raw.lstrip(_BLANK)[:1] in (*_COMMENTS,):
            continue  # also within a continued line
        start = start or number
        if (len(raw) - len(raw.rstrip("\\"))) % 2:
            joined += raw[:-1] + " "
            continue
        _add(found, start, joined + raw)
        joined, start = "", 0
    if joined:
        _add(found, start, joined)
    return found


def _add(found: list[tuple[int, str]], number: int, content: str) -> None:
    content = content.strip(_BLANK)
    if content and content[0] not in _COMMENTS:
        found.append((number, content))


def split(text: str) -> list[str]:
    """The words of a value (systemd.syntax(7), "QUOTING"): quotes and C escapes are taken away. Raises BadWords."""
    words: list[str] = []
    at = 0
    while True:
        while at < len(text) and text[at] in _BLANK:
            at += 1
        if at >= len(text):
            return words
        word, at = _word(text, at)
        words.append(word)


def _word(text: str, at: int) -> tuple[str, int]:
    result = bytearray()
    quote = ""
    while at < len(text):
        character = text[at]
        if character == "\\":
            data, at = _escape(text, at + 1)
            result += data
            continue
        at += 1
        if quote:
            if character == quote:
                quote = ""
                continue
        elif character in "'\"":
            quote = character
            continue
        elif character in _BLANK:
            break
        result += character.encode("utf-8", "surrogateescape")
    if quote:
        raise BadWords(f"a {quote} has no second one")
    return result.decode("utf-8", "surrogateescape"), at


def _escape(text: str, at: int) -> tuple[bytes, int]:
    """The bytes of the escape whose backslash is before ``at``, and where it ends."""
    letter = text[at : at + 1]
    if not letter:
        raise BadWords("it ends in a backslash")
    if letter in _SIMPLE:
        return _SIMPLE[letter], at + 1
    octal = letter in "01234567"
    size = 3 if octal else _NUMBERS.get(letter, 0)
    begin = at if octal else at + 1
    digits = text[begin : begin + size]
    if not size or len(digits) != size or not set(digits) <= set("01234567" if octal else "0123456789abcdefABCDEF"):
        raise BadWords(f"\\{letter}{'' if octal else digits} is no escape: write \\\\ for a backslash")
    number = int(digits, 8 if octal else 16)
    if not number:
        raise BadWords("a NUL byte cannot be in it")
    if letter in "uU":
        if number > 0x10FFFF or 0xD800 <= number < 0xE000:
            raise BadWords(f"\\{letter}{digits} is no character")
        return chr(number).encode(), begin + size
    if number > 255:
        raise BadWords(f"\\{digits} is no byte")
    return bytes([number]), begin + size


def whole(text: str) -> str:
    """A value that is one word, which may have blanks in it: quotes around the whole of it are taken away."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        try:
            words = split(text)
        except BadWords:
            return text
        if len(words) == 1:
            return words[0]
    return text


def boolean(text: str) -> bool | None:
    """What systemd takes the word for; None: neither."""
    lower = text.lower()
    return True if lower in _TRUE else False if lower in _FALSE else None
