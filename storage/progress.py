"""What long work tells whoever watches: nothing here; the command line draws bars or writes lines."""

from __future__ import annotations


class Progress:
    """Told about pieces of work, each under a ``key`` of its own. This one does not listen.

    May be called from several threads. ``total`` and ``count`` are bytes; ``total`` is -1 where nobody knows it.
    """

    def begin(self, key: str, what: str, total: int = -1) -> None:
        """``what`` is shown: "Copying layer 3f2a…", "Writing image …"."""

    def advance(self, key: str, count: int) -> None:
        """``count`` more bytes are done."""

    def end(self, key: str, note: str = "") -> None:
        """The piece is done, or was not needed: then ``note`` says why ("already there")."""


SILENT = Progress()
