"""The user's terminal while a container is attached to it: raw mode, size, signals passed on."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import FrameType
    from typing import Any
else:
    import _signal

SIGWINCH = 28
# All that podman-run(1) --sig-proxy passes on: not CHLD, PIPE, STOP, KILL, URG, WINCH and the synchronous ones.
PROXIED = (1, 2, 3, 10, 12, 14, 15, 18, 20, 21, 22)
KEYS = (2, 3, 20)  # INT, QUIT, TSTP: a terminal's ^C, ^\ and ^Z


class RawTerminal:
    """Raw mode on a terminal for as long as the ``with`` block lasts; the old mode comes back whatever happens."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.saved: list[Any] | None = None

    def __enter__(self) -> RawTerminal:
        if self.fd >= 0 and os.isatty(self.fd):
            import termios

            self.saved = termios.tcgetattr(self.fd)
            mode = termios.tcgetattr(self.fd)
            # cfmakeraw(3)
            mode[0] &= ~(
                termios.IGNBRK
                | termios.BRKINT
                | termios.PARMRK
                | termios.ISTRIP
                | termios.INLCR
                | termios.IGNCR
                | termios.ICRNL
                | termios.IXON
            )
            mode[1] &= ~termios.OPOST
            mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
            mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
            mode[6][termios.VMIN] = 1
            mode[6][termios.VTIME] = 0
            termios.tcsetattr(self.fd, termios.TCSANOW, mode)
        return self

    def __exit__(self, *_: object) -> None:
        if self.saved is not None:
            import termios

            termios.tcsetattr(self.fd, termios.TCSANOW, self.saved)


def size(fd: int) -> tuple[int, int] | None:
    """(rows, columns) of a terminal; None if it is none or does not know."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return None
    return (rows, columns) if rows and columns else None


class Signals:
    """Handlers for the length of a ``with`` block: ``on_signal`` gets what is passed on, ``on_resize`` is called too.

    Python runs handlers between two bytecodes, also while poll(2) waits (PEP 475), so they may do real work.
    """

    def __init__(self, on_signal: Callable[[int], None] | None, on_resize: Callable[[], None] | None) -> None:
        self.on_signal = on_signal
        self.on_resize = on_resize
        self.saved: list[tuple[int, Any]] = []

    def __enter__(self) -> Signals:
        wanted: list[tuple[int, Any]] = []
        on_signal, on_resize = self.on_signal, self.on_resize
        if on_signal is not None:

            def proxy(number: int, _: FrameType | None) -> None:
                on_signal(number)

            wanted += [(number, proxy) for number in PROXIED]
        if on_resize is not None:

            def resized(_: int, __: FrameType | None) -> None:
                on_resize()

            wanted.append((SIGWINCH, resized))
        for number, handler in wanted:
            self.saved.append((number, _signal.signal(number, handler)))
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.saved:
            _signal.signal(number, handler if handler is not None else _signal.SIG_DFL)
