"""A signal between any two steps: raised after each call of a C function in turn, where Python looks for signals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType


class Signalled(BaseException):
    """What the handler of a signal raises."""


def after_each_call(work: Callable[[], object]) -> int:
    """Calls ``work`` again and again, each time ended by a signal one call later, until it gets through.

    Returns how many times it was ended. ``work`` looks at what is left itself, in a ``finally``.
    """
    ended = 0
    while True:
        left = ended

        def look(frame: FrameType, event: str, argument: object) -> None:
            nonlocal left
            if event == "c_return":
                if not left:
                    sys.setprofile(None)
                    raise Signalled
                left -= 1

        sys.setprofile(look)
        try:
            work()
        except Signalled:
            ended += 1
        else:
            return ended
        finally:
            sys.setprofile(None)
