"""What long work tells whoever watches: nothing here; the command line draws bars or writes lines."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class Progress:
    """Told about pieces of work, each under a ``key`` of its own. This one does not listen.

    May be called from several threads. ``total`` and ``count`` are bytes; ``total`` is -1 where nobody knows it.
    """

    def say(self, text: str) -> None:
        """A line that is no piece of work: "Trying to pull …"."""

    def begin(self, key: str, what: str, total: int = -1) -> None:
        """``what`` is shown: "Copying layer 3f2a…", "Writing image …"."""

    def advance(self, key: str, count: int) -> None:
        """``count`` more bytes are done."""

    def end(self, key: str, note: str = "") -> None:
        """The piece is done, or was not needed: then ``note`` says why ("already there")."""

    def close(self) -> None:
        """Nothing more comes; what is not done will not be."""


SILENT = Progress()


class Writing:
    """The last step of an image, for the length of a ``with`` block: its config and manifest."""

    def __init__(self, seen: Progress, config_digest: str) -> None:
        self._seen = seen
        self._digest = config_digest

    def __enter__(self) -> None:
        self._seen.begin("config", f"Copying config {self._digest}")
        self._seen.end("config")
        self._seen.begin("manifest", "Writing manifest to image destination")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._seen.end("manifest")
