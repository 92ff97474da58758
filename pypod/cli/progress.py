"""How long work goes on: bars on a terminal, plain lines elsewhere, JSON for programs; on stderr.

    with progress.watch(quiet=..., form=...) as seen:
        engine.load(..., progress=seen)

There is no thread and no timer, because a process that has threads can enter no user namespace: what is drawn is
drawn by whoever reports. The cursor always rests at the start of the line below the bars: a command that dies at any
moment leaves a terminal in order.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock

from pypod.base import units
from storage.progress import SILENT, Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

RATE = 10  # drawings in a second at most
_SHOWN_OF_DIGEST = 12
_BAR_MOST, _BAR_LEAST = 40, 8


class Watched:
    """The progress of one command for the length of a ``with`` block; leaving takes unfinished bars away."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def __enter__(self) -> Progress:
        return self.progress

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.close()


def watch(*, quiet: bool = False, form: str = "auto", fd: int = 2) -> Watched:
    """``form`` is --progress: "auto" is what fits where ``fd`` leads, bars on a terminal and lines elsewhere.

    Nothing is shown if ``quiet``.
    """
    if quiet:
        return Watched(SILENT)
    if form == "json":
        return Watched(Events(fd))
    if form == "auto" and os.isatty(fd) and os.environ.get("TERM", "dumb") != "dumb":
        return Watched(Bars(fd))
    return Watched(Lines(fd))


def _write(fd: int, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        pass  # nobody watches any more, which is no reason to stop the work


class Lines(Progress):
    """One line when a piece begins; one more only if it was not needed."""

    def __init__(self, fd: int = 2) -> None:
        self._fd = fd

    def begin(self, key: str, what: str, total: int = -1) -> None:
        self.say(what)

    def say(self, text: str) -> None:
        _write(self._fd, _plain(text) + "\n")


class Events(Progress):
    """One JSON object on each line (docs/registries.md, "Progress for programs")."""

    def __init__(self, fd: int = 2, *, now: Callable[[], float] = time.monotonic) -> None:
        self._fd = fd
        self._now = now
        self._lock = allocate_lock()
        self._pieces: dict[str, tuple[int, int, float]] = {}  # total, current, when it was told last

    def _tell(self, event: str, **values: str | int) -> None:
        from pypod.base import fastjson

        _write(self._fd, fastjson.dumps({"event": event, **values}) + "\n")

    def say(self, text: str) -> None:
        with self._lock:
            self._tell("message", what=text)

    def begin(self, key: str, what: str, total: int = -1) -> None:
        with self._lock:
            self._pieces[key] = (total, 0, self._now())
            self._tell("begin", id=key, what=what, current=0, total=total)

    def advance(self, key: str, count: int) -> None:
        with self._lock:
            if key not in self._pieces:
                return
            total, current, told = self._pieces[key]
            current += count
            now = self._now()
            if now - told >= 1 / RATE:
                self._tell("progress", id=key, current=current, total=total)
                told = now
            self._pieces[key] = (total, current, told)

    def end(self, key: str, note: str = "") -> None:
        with self._lock:
            total, current, _ = self._pieces.pop(key, (-1, 0, 0.0))
            self._tell("end", id=key, note=note, current=current, total=total)


def _plain(text: str) -> str:
    """Names come from archives: nothing in them may steer a terminal."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def _short(text: str) -> str:
    """Digests cut to what people read."""
    words = text.split(" ")
    for place, word in enumerate(words):
        if word.startswith("sha256:") and len(word) == 71:
            words[place] = word[7 : 7 + _SHOWN_OF_DIGEST]
    return " ".join(words)


class _Piece:
    """One piece of work on its way."""

    __slots__ = ("began", "count", "label", "seen", "speed", "total")

    def __init__(self, label: str, total: int, now: float) -> None:
        self.label = label
        self.total = total
        self.count = 0
        self.began = now
        self.seen = (now, 0)  # when the speed was computed last, and the count then
        self.speed = 0.0

    def measure(self, now: float) -> None:
        """The speed in bytes per second, smoothed over about two seconds."""
        then, count = self.seen
        passed = now - then
        if passed < 0.2:
            return
        current = (self.count - count) / passed
        share = min(1.0, passed / 2) if self.speed else 1.0
        self.speed += (current - self.speed) * share
        self.seen = (now, self.count)

    def line(self, width: int) -> str:
        """At most ``width`` columns: the label, and of bar, sizes and speed what there is room for."""
        done = units.size(self.count)
        sizes = f"{done} / {units.size(self.total)}" if self.total > 0 else done if self.count else ""
        speed = f"{units.size(self.speed)}/s" if self.speed else ""
        tail = " | ".join(word for word in (sizes, speed) if word)
        for right in (tail, sizes, ""):
            room = width - len(self.label) - len(right) - 4
            if self.total > 0 and room >= _BAR_LEAST:
                return f"{self.label} {self._bar(min(room, _BAR_MOST))} {right}".rstrip()
            if right and len(self.label) + 1 + len(right) <= width:
                return f"{self.label} {right}"
        return self.label[:width]

    def _bar(self, room: int) -> str:
        filled = min(room, room * self.count // self.total)
        head = ">" if 0 < filled < room else ""
        return f"[{'=' * (filled - len(head))}{head}{'-' * (room - filled)}]"

    def last(self, width: int, note: str) -> str:
        """The line that stays."""
        text = f"{self.label} {note or 'done'}"
        if self.count and not note:
            more = f"{text} | {units.size(self.count)}"
            text = more if len(more) <= width else text
        return text[:width]


class Bars(Progress):
    """A bar per piece, drawn again in place; a finished piece's last line moves up and stays."""

    def __init__(self, fd: int = 2, *, now: Callable[[], float] = time.monotonic) -> None:
        self._fd = fd
        self._now = now
        self._lock = allocate_lock()
        self._pieces: dict[str, _Piece] = {}
        self._finished: list[str] = []  # last lines that are not written yet
        self._drawn: list[int] = []  # how wide each of the lines is that stand above the cursor
        self._times: list[float] = []  # of the last drawings

    def say(self, text: str) -> None:
        with self._lock:
            self._finished.append(_plain(text))
            self._draw(self._now())

    def begin(self, key: str, what: str, total: int = -1) -> None:
        with self._lock:
            now = self._now()
            self._pieces[key] = _Piece(_short(_plain(what)), total, now)
            self._maybe(now)

    def advance(self, key: str, count: int) -> None:
        with self._lock:
            piece = self._pieces.get(key)
            if piece is None:
                return
            piece.count += count
            now = self._now()
            if not self._times or now - self._times[-1] >= 1 / RATE:
                self._maybe(now)

    def end(self, key: str, note: str = "") -> None:
        with self._lock:
            piece = self._pieces.pop(key, None)
            if piece is not None:
                self._finished.append(piece.last(self._size()[0], note))
                self._maybe(self._now())

    def close(self) -> None:
        """Take away what is not finished: whatever is said next has the terminal to itself."""
        with self._lock:
            self._pieces.clear()
            self._draw(self._now())

    def _maybe(self, now: float) -> None:
        """Draw, unless that was done RATE times within the last second: then what comes next draws."""
        if len(self._times) < RATE or now - self._times[0] >= 1:
            self._draw(now)

    def _size(self) -> tuple[int, int]:
        """Columns that may be written to (the last one stays free: some terminals wrap there), and rows."""
        try:
            columns, rows = os.get_terminal_size(self._fd)
        except OSError:
            columns, rows = 80, 24
        return max(1, (columns or 80) - 1), max(2, rows or 24)

    def _draw(self, now: float) -> None:
        width, rows = self._size()
        text = self._erased(width, rows) + "".join(line + "\n" for line in self._finished)
        self._finished = []
        lines = []
        room = rows - 2
        pieces = list(self._pieces.values())
        for piece in pieces:
            piece.measure(now)
        for piece in pieces if len(pieces) <= room else pieces[: room - 1]:
            lines.append(piece.line(width))
        if len(lines) < len(pieces):
            lines.append(f"... and {len(pieces) - len(lines)} more"[:width])
        if text or lines:
            _write(self._fd, text + "".join(line + "\n" for line in lines))
        self._drawn = [len(line) for line in lines]
        self._times = [*self._times[1 - RATE :], now]

    def _erased(self, width: int, rows: int) -> str:
        """What takes the cursor back to the first of the drawn lines, and clears from there."""
        if not self._drawn:
            return ""
        if max(self._drawn) > width or len(self._drawn) >= rows:
            # The window has become smaller, and nobody knows how the terminal has folded the lines: leave them.
            return ""
        return f"\r\x1b[{len(self._drawn)}A\x1b[J"
