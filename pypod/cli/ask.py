"""Questions on the terminal. stdout may be a pipe: they are asked on stderr."""

from __future__ import annotations

import os

from pypod.errors import PypodError


def line(prompt: str) -> str:
    """What the user types, without its end. Raises PypodError where the input ends."""
    os.write(2, prompt.encode("utf-8", "surrogateescape"))
    typed = b""
    while not typed.endswith(b"\n"):
        more = os.read(0, 1024)
        if not more:
            os.write(2, b"\n")
            raise PypodError("the input has ended before an answer")
        typed += more
    return typed.rstrip(b"\r\n").decode("utf-8", "surrogateescape")


def secret(prompt: str) -> str:
    """The same, without showing it; the terminal is as before, whatever happens. Raises PypodError."""
    import termios

    before = termios.tcgetattr(0)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(0, termios.TCSAFLUSH, silent)
        return line(prompt)
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, before)
        os.write(2, b"\n")
