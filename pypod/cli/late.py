"""Progress and pulls for commands that nearly always need neither: what does them is imported when it is needed."""

from __future__ import annotations

from storage.progress import SILENT, Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Any

    from pypod.engine.context import Context
    from storage.records import Image
    from storage.store import Store


class Late(Progress):
    """Nothing until there is something to say; then what ``progress.watch`` chooses, to the end of the block."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._real = SILENT

    def __enter__(self) -> Late:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._real.close()

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


class Puller:
    """How ``create`` gets an image that is not here, or not as it is wanted: by the flags of run and create."""

    def __init__(self, flags: Mapping[str, Any], progress: Progress) -> None:
        self._flags = flags
        self._progress = progress

    def __call__(self, context: Context, store: Store, name: str, policy: str) -> Image:
        from pypod.cli import pull
        from pypod.engine import pull as pulling

        request = pull.request(self._flags, policy=policy)
        return pulling.pull(context, store, name, request, self._progress)[0]
