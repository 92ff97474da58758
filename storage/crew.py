"""Work on a stream by several threads: whoever reads hands each piece on, and each worker does one job with it.

The main thread stays the one that reads, because only there a signal interrupts what waits. For long work only:
this imports ``threading``.
"""

from __future__ import annotations

import queue
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

DEPTH = 4  # pieces that wait for a worker, at most


class Worker:
    """A thread that does ``work`` with one piece after the other, in order."""

    def __init__(self, work: Callable[[Any], Any], crew: Crew) -> None:
        self._work = work
        self._crew = crew
        self._pieces: queue.Queue[Any] = queue.Queue(DEPTH)
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            # After a failure what comes is taken and dropped, so that nobody waits for ever.
            if self.error is None and not self._crew.given_up:
                try:
                    self._work(piece)
                except BaseException as error:
                    self.error = error

    def put(self, piece: Any) -> None:
        """Hand on a piece. Raises what the work with an earlier one has raised."""
        if self.error is not None:
            raise self.error
        self._pieces.put(piece)

    def finish(self) -> None:
        """Wait until all is done. Raises what the work has raised."""
        self.end()
        if self.error is not None:
            raise self.error

    def end(self) -> None:
        """No more pieces: wait for the thread, whatever interrupts."""
        interrupt: BaseException | None = None
        while self._thread.is_alive():
            try:
                self._pieces.put(None)
                self._thread.join()
            except BaseException as error:
                self._crew.given_up = True
                interrupt = error
        if interrupt is not None:
            raise interrupt


class Crew:
    """Some workers; a context manager at whose end they are gone, after an error too.

    A worker may hand pieces on to those that were made before it: they end after it, else it would wait for ever for
    one that takes nothing any more. Of several errors the one counts that is about the earlier bytes: a worker's
    before the reader's.
    """

    def __init__(self) -> None:
        self._workers: list[Worker] = []
        self.given_up = False

    def worker(self, work: Callable[[Any], Any]) -> Worker:
        one = Worker(work, self)
        self._workers.append(one)
        return one

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if value is not None and not isinstance(value, Exception):
            self.given_up = True
        interrupt: BaseException | None = None
        for one in reversed(self._workers):
            try:
                one.end()
            except BaseException as error:  # the others still work with what the caller is about to close
                interrupt = error
        if interrupt is not None:
            raise interrupt
        if isinstance(value, Exception):
            for one in self._workers:
                if one.error is not None and one.error is not value:
                    raise one.error from None
