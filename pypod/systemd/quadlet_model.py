"""What the conversion of Quadlet files works with: the files, what is wrong with them, and the units they become.

Source: podman-systemd.unit(5).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pypod.base.text import show
from pypod.systemd import quoting, unit_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pypod.systemd.unit_file import Entry, UnitFile

# What a kind of file describes: its section, and what follows its name in that of the service.
SECTIONS = {
    "container": "Container",
    "pod": "Pod",
    "volume": "Volume",
    "network": "Network",
    "kube": "Kube",
    "image": "Image",
    "build": "Build",
}
_LONGEST = 800  # characters of a message: the kernel's log takes about 900 bytes
_SUFFIXES = {"pod": "-pod", "volume": "-volume", "network": "-network", "image": "-image", "build": "-build"}


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where. ``line`` 0: with the file as a whole."""

    path: str
    line: int
    text: str
    hint: str = ""
    fatal: bool = True  # there is no unit

    @property
    def message(self) -> str:
        """On one line, and without what would steer a terminal."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return show(f"{place}: {self.text}", _LONGEST)

    def __str__(self) -> str:
        return self.message + (f" ({self.hint})" if self.hint else "")


@dataclass
class Source:
    """One Quadlet file with its drop-ins merged in."""

    filename: str  # web@.container
    path: str
    unit: UnitFile
    problems: list[Problem] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.filename.rpartition(".")[2]

    @property
    def section(self) -> str:
        return SECTIONS[self.kind]

    @property
    def stem(self) -> str:
        return self.filename.rpartition(".")[0]

    @property
    def base(self) -> str:
        """The name without the instance: web for web@a."""
        return self.stem.partition("@")[0]

    @property
    def templated(self) -> bool:
        return "@" in self.stem

    @property
    def instance(self) -> str:
        return self.stem.partition("@")[2]

    @property
    def directory(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def service(self) -> str:
        """The name of the service without .service; a template's ends with @."""
        given = self.unit.last(self.section, "ServiceName")
        base = given.value.removesuffix(".service") if given else self.base + _SUFFIXES.get(self.kind, "")
        return f"{base.rstrip('@')}@{self.instance}" if self.templated else base

    # What is wrong.

    def bad(self, entry: Entry | None, text: str, hint: str = "", *, fatal: bool = True) -> None:
        """Note that an assignment, or the file, cannot be used."""
        path, line = (entry.path, entry.line) if entry else (self.path, 0)
        self.problems.append(Problem(path, line, f"{entry.key}= {text}" if entry else text, hint, fatal))

    def lacks(self, text: str) -> None:
        """Note that something is not there; not where it may be only misspelt."""
        if not self.failed:
            self.bad(None, text)

    @property
    def failed(self) -> bool:
        return any(problem.fatal for problem in self.problems)

    # Keys of its own section.

    def value(self, key: str) -> str:
        """The value in force, without the quotes around it; "" if there is none."""
        entry = self.unit.last(self.section, key)
        return unit_file.whole(entry.value) if entry else ""

    def entry(self, key: str) -> Entry | None:
        return self.unit.last(self.section, key)

    def flag(self, key: str, default: bool) -> bool:
        """A boolean; one that is none is noted."""
        return self.flag_of(self.section, key, default)

    def flag_of(self, section: str, key: str, default: bool) -> bool:
        entry = self.unit.last(section, key)
        if entry is None:
            return default
        value = unit_file.boolean(entry.value)
        if value is None:
            self.bad(entry, f"is neither true nor false: {entry.value!r}")
            return default
        return value


@dataclass(frozen=True)
class Service:
    """A unit: its text, and the links that enable it, name to target, relative to the directory of the units."""

    name: str  # with .service
    text: str
    links: dict[str, str]


@dataclass(frozen=True)
class Setting:
    """Whom the units are for."""

    program: tuple[str, ...]  # the path of pypod and its first words
    user: bool  # a user's manager
    commands: frozenset[str]  # the commands that this pypod has
    exists: Callable[[str], bool] = bool  # whether the host has a path


def close(word: str, known: Iterable[str]) -> str:
    """``did you mean …``, or ""."""
    lower = {item.lower(): item for item in known}
    found = difflib.get_close_matches(word.lower(), list(lower), 1, 0.6)
    return f"did you mean {lower[found[0]]}?" if found else ""


def literal(text: str) -> str:
    """Text for a word of a command that arrives as it is: without meaning to specifiers and variables."""
    return quoting.specifiers(text).replace("$", "$$")


def command(setting: Setting, words: Sequence[str], before: Sequence[str] = ()) -> str:
    """An Exec line that runs pypod. Specifiers and variables in ``before`` (global flags) and ``words`` are meant."""
    first, *rest = setting.program
    shown = [*quoting.program(first), *(quoting.word(word) for word in rest)]
    return " ".join([*shown, *(quoting.quoted(word) for word in (*before, *words))])
