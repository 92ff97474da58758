"""Progress for commands that are short nearly always: what draws it is imported when there is something to draw."""

from __future__ import annotations

from storage.progress import SILENT, Progress


class Late(Progress):
    """Nothing until there is something to say; then what ``progress.watch`` chooses."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._real = SILENT

    def _awake(self) -> Progress:
        if self._real is SILENT and not self._quiet:
            from pypod.cli import progress

            self._real = progress.watch().progress
        return self._real

    def say(self, text: str) -> None:
        self._awake().say(text)

    def begin(self, key: str, what: str, total: int = -1) -> None:
        self._awake().begin(key, what, total)

    def advance(self, key: str, count: int) -> None:
        self._real.advance(key, count)

    def end(self, key: str, note: str = "") -> None:
        self._real.end(key, note)
