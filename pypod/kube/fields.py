"""Reading the fields of an object: each of its type, none unknown, and every error with document and path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from pypod.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


_UNKNOWN = 100  # fields of an object: more are not those of a newer Kubernetes


@dataclass(kw_only=True)
class Notes:
    """What the user should know of a document but need not stop at."""

    document: int
    name: str = ""  # of the object
    ignored: list[str] = field(default_factory=list)  # fields of Kubernetes that do nothing here
    unknown: list[str] = field(default_factory=list)

    def warnings(self) -> list[str]:
        where = f"document {self.document}" + (f" ({self.name})" if self.name else "")
        result = [f"{where}: {path}: no such field, ignored" for path in self.unknown]
        if self.ignored:
            result.append(f"{where}: no effect here: {', '.join(self.ignored)}")
        return result


class Fields:
    """A mapping of the document. What was not asked for by the time of ``done`` is unknown."""

    def __init__(self, value: Any, notes: Notes, path: str = "") -> None:
        self.notes = notes
        self.path = path
        self._asked: set[str] = set()
        if not isinstance(value, dict):
            self.wrong("", f"must be a mapping, not {_shown(value)}")
        self._value: dict[str, Any] = value

    def at(self, key: str) -> str:
        word = key if key.isprintable() else repr(key)  # a message is one line
        return f"{self.path}.{word}" if self.path and word else self.path or word

    def wrong(self, key: str, cause: str, hint: str = "") -> NoReturn:
        """Raise UsageError for one field."""
        name = f" ({self.notes.name})" if self.notes.name else ""
        place = self.at(key)
        raise UsageError(f"document {self.notes.document}{name}: {place + ': ' if place else ''}{cause}", hint=hint)

    def raw(self, key: str) -> Any:
        """Whatever it is; None if it is not there."""
        self._asked.add(key)
        return self._value.get(key)

    def __contains__(self, key: str) -> bool:
        return self._value.get(key) is not None

    def keys(self) -> list[str]:
        return [key for key, value in self._value.items() if value is not None]

    def text(self, key: str, default: str = "") -> str:
        found = self.raw(key)
        if found is None:
            return default
        if not isinstance(found, str):
            self.wrong(key, f"must be text, not {_shown(found)}", hint="put it in quotes" if _simple(found) else "")
        if "\0" in found:
            self.wrong(key, "has a zero byte")
        return found

    def needed(self, key: str) -> str:
        """Text that must be there and not be empty."""
        found = self.text(key)
        if not found:
            self.wrong(key, "is missing")
        return found

    def choice(self, key: str, known: Collection[str], default: str = "") -> str:
        """One of the words that are ``known``; "" is the default, as for Kubernetes."""
        found = self.text(key) or default
        if found and found not in known:
            self.wrong(key, f"{found!r} is none of {', '.join(sorted(known))}", meant(found, known))
        return found

    def number(self, key: str, default: int = 0, *, least: int = 0, most: int = 2**63 - 1) -> int:
        found = self.raw(key)
        if found is None:
            return default
        if not isinstance(found, int) or isinstance(found, bool):
            self.wrong(key, f"must be a whole number, not {_shown(found)}")
        if not least <= found <= most:
            self.wrong(key, f"must be from {least} to {most}, not {found}")
        return found

    def maybe_number(self, key: str, *, least: int = 0, most: int = 2**31 - 1) -> int | None:
        self._asked.add(key)
        return self.number(key, least=least, most=most) if key in self else None

    def flag(self, key: str) -> bool | None:
        found = self.raw(key)
        if found is not None and not isinstance(found, bool):
            self.wrong(key, f"must be true or false, not {_shown(found)}")
        return found

    def mapping(self, key: str) -> Fields | None:
        found = self.raw(key)
        return None if found is None else Fields(found, self.notes, self.at(key))

    def each(self, key: str) -> list[Fields]:
        """A list of mappings."""
        return [Fields(item, self.notes, f"{self.at(key)}[{index}]") for index, item in enumerate(self._list(key))]

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of words."""
        found = self._list(key)
        for index, item in enumerate(found):
            if not isinstance(item, str):
                hint = "put it in quotes" if _simple(item) else ""
                self.wrong(f"{key}[{index}]", f"must be text, not {_shown(item)}", hint)
            if "\0" in item:
                self.wrong(f"{key}[{index}]", "has a zero byte")
        return tuple(found)

    def numbers(self, key: str) -> tuple[int, ...]:
        found = self._list(key)
        for index, item in enumerate(found):
            if not isinstance(item, int) or isinstance(item, bool) or not 0 <= item < 2**32:
                self.wrong(f"{key}[{index}]", f"must be a number, not {_shown(item)}")
        return tuple(found)

    def table(self, key: str) -> dict[str, str]:
        """A mapping of words to words."""
        inner = self.mapping(key)
        return {} if inner is None else {name: inner.text(name) for name in inner.keys()}

    def _list(self, key: str) -> list[Any]:
        found = self.raw(key)
        if found is None:
            return []
        if not isinstance(found, list):
            self.wrong(key, f"must be a list, not {_shown(found)}")
        return found

    def done(self, *, quiet: str = "", without: str = "") -> None:
        """Judge the fields that nobody asked for.

        ``quiet`` are fields of Kubernetes that mean nothing on one machine, ``without`` those that are missed here.
        Raises UsageError for one that is a known one mistyped; others, which a newer Kubernetes may have, are noted,
        unless there are too many.
        """
        silent, missed = set(quiet.split()), set(without.split())
        known = self._asked | silent | missed
        for key in self.keys():
            if key in self._asked or key in silent:
                continue
            if key in missed:
                self.notes.ignored.append(self.at(key))
                continue
            hint = meant(key, known)
            if hint:
                self.wrong(key, "no such field", hint)
            self.notes.unknown.append(self.at(key))
            if len(self.notes.unknown) > _UNKNOWN:
                self.wrong("", f"more than {_UNKNOWN} fields are unknown")


def _simple(value: object) -> bool:
    return isinstance(value, (int, float))


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the bool {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return "a list" if isinstance(value, list) else "a mapping"


def repeated(names: Iterable[str]) -> str:
    """The first name that is there twice, "" if there is none."""
    seen = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def meant(word: str, known: Collection[str], least: float = 0.8) -> str:
    """A hint at the known word that ``word`` was probably meant for; "" if there is none.

    ``least`` is how alike they must be, from 0 to 1.
    """
    import difflib

    lower = {item.lower(): item for item in known}
    if word.lower() in lower:
        return f"did you mean {lower[word.lower()]}?"
    found = difflib.get_close_matches(word, known, 1, least)
    return f"did you mean {found[0]}?" if found else ""
