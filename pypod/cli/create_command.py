"""Takes a ``CreateCommand`` apart by the tables that the parser reads."""

from __future__ import annotations

from pypod.cli import options, table
from pypod.cli.parser import HelpWanted, Parser, key
from pypod.engine.create_command import CreateCommand, Flag
from pypod.errors import PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class _Recorder(Parser):
    """Keeps each flag as it was typed."""

    def __init__(self, flags: Any, path: str, interspersed: bool) -> None:
        super().__init__(flags, options.GLOBAL, path=path, interspersed=interspersed)
        self.seen: list[tuple[Flag, bool]] = []
        self.dashes = False
        self._sets: list[tuple[Any, bool, str]] = []

    def _set(self, found: tuple[Any, bool], text: str) -> None:
        self._sets.append((found[0], found[1], text))

    def record(self, argv: Sequence[str]) -> list[str]:
        """The arguments; the flags are in ``seen``. Raises UsageError, HelpWanted."""
        arguments: list[str] = []
        at = 0
        while at < len(argv):
            word = argv[at]
            begin, at = at, at + 1
            if len(word) < 2 or word[0] != "-":
                if not self.interspersed:
                    return [*arguments, *argv[begin:]]
                arguments.append(word)
            elif word == "--":
                self.dashes = True
                return [*arguments, *argv[at:]]
            else:
                self._sets.clear()
                at = self._long(word[2:], argv, at) if word[1] == "-" else self._short(word[1:], argv, at)
                self._keep(tuple(argv[begin:at]))
        return arguments

    def _keep(self, words: tuple[str, ...]) -> None:
        if len(self._sets) == 1:
            flag, shared, text = self._sets[0]
            self.seen.append((Flag(key(flag), text, words), shared))
            return
        siblings = tuple(key(flag) for flag, _, _ in self._sets)
        for flag, shared, text in self._sets:
            name = flag[0].partition(" ")[0]
            spelled = f"--{name}" if flag[1] == "bool" and text == "true" else f"--{name}={text}"
            self.seen.append((Flag(key(flag), text, (spelled,), siblings, words), shared))
            words = ()


def dissect(words: Sequence[str]) -> CreateCommand:
    """``words`` with the program's name first, as ``inspect`` shows them.

    Raises PypodError if this pypod would not take that command line.
    """
    try:
        return _dissect(list(words[1:]))
    except (HelpWanted, UsageError) as error:
        cause = error.message.partition("\n")[0] if isinstance(error, UsageError) else "it asks for help"
        raise PypodError(f"cannot understand the command {' '.join(words[:4])} …: {cause}") from None


def _dissect(words: list[str]) -> CreateCommand:
    shared: list[Flag] = []
    path = ""
    while True:
        outer = _Recorder((), "pypod", interspersed=False)
        words = outer.record(words)
        shared += [flag for flag, _ in outer.seen]
        if not words:
            raise UsageError("it has no command")
        path = f"{path} {words.pop(0)}".lstrip()
        if path not in table.GROUPS:
            break
    name = table.canonical(path)
    if name not in ("create", "run", "pod create"):
        raise UsageError(f"{path} makes no container and no pod that it could make again")
    command = table.Command(name, path)
    inner = _Recorder(command.flags(), f"pypod {path}", interspersed=not command.own_arguments)
    arguments = inner.record(words)
    shared += [flag for flag, everywhere in inner.seen if everywhere]
    flags = tuple(flag for flag, everywhere in inner.seen if not everywhere)
    return CreateCommand(tuple(shared), path, flags, tuple(arguments), inner.dashes)
