"""How often, and after which wait, something is tried again."""

from __future__ import annotations

import threading

from pypod.errors import ConnectionCut, RegistryError
from pypod.registry.answers import Later
from pypod.registry.causes import CutBeforeAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 60.0  # seconds of a wait that doubles


class Tries:
    """The further tries of one operation. ``delay`` in seconds; -1: 1, 2, 4 … up to 60.

    Setting ``stop`` ends a wait.
    """

    def __init__(
        self, count: int, delay: float, stop: threading.Event, on_retry: Callable[[str], None] | None = None
    ) -> None:
        self._count = count
        self._delay = delay
        self._stop = stop
        self._on_retry = on_retry
        self._used = 0
        self._at_once = True

    def progress(self) -> None:
        """What was tried brought something: count from the beginning."""
        self._used = 0
        self._at_once = True

    def again(self, error: RegistryError) -> None:
        """Wait before another try; raise ``error`` if it will not help, or if there were enough."""
        if not isinstance(error, ConnectionCut) or self._stop.is_set():
            raise error
        if isinstance(error, CutBeforeAnswer) and self._at_once and self._count:
            self._at_once = False  # a kept connection that the server had closed meanwhile: not worth a wait
            return
        if self._used >= self._count:
            raise error
        wait = self._delay if self._delay >= 0 else min(2.0**self._used, LONGEST)
        if isinstance(error, Later):
            wait = max(wait, error.after)
        self._used += 1
        if self._on_retry is not None:
            self._on_retry(f"{error.message}; trying again in {wait:g}s ({self._used}/{self._count})")
        if self._stop.wait(wait):
            raise error
