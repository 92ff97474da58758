"""The command line that a container or pod was made by, taken apart so that another one can be made of it."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True)
class Flag:
    """One flag as it was typed: its key ("env" for -e), its value as text, and its words.

    Of several in one word (-it) each has words of its own; ``siblings`` has the keys of all, ``together`` what was
    typed, the first of them only.
    """

    key: str
    value: str
    words: tuple[str, ...]
    siblings: tuple[str, ...] = ()
    together: tuple[str, ...] = ()


@dataclass(frozen=True)
class CreateCommand:
    """``pypod GLOBALS PATH FLAGS ARGUMENTS``."""

    globals: tuple[Flag, ...]  # those after the verb, too
    path: str  # "run", "container create", "pod create"
    flags: tuple[Flag, ...]
    arguments: tuple[str, ...]
    dashes: bool = False  # whether -- came before the arguments

    @property
    def global_words(self) -> list[str]:
        return [word for flag in self.globals for word in flag.words]

    def value(self, key: str) -> str | None:
        """What the flag was given as last; None if it was not."""
        found = None
        for flag in self.flags:
            if flag.key == key:
                found = flag.value
        return found

    def given(self, key: str) -> bool:
        """Whether a bool flag is on."""
        return self.value(key) in ("1", "t", "T", "true", "TRUE", "True")

    def without(self, keys: Collection[str]) -> list[str]:
        """The words of all other flags."""
        words: list[str] = []
        for flag in self.flags:
            if flag.siblings and not set(flag.siblings) & set(keys):
                words += flag.together
            elif flag.key not in keys:
                words += flag.words
        return words

    @property
    def rest(self) -> list[str]:
        """The words after the flags."""
        return ["--", *self.arguments] if self.dashes else list(self.arguments)
