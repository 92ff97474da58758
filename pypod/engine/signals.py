"""Signals by name and number (signal(7), Linux on every architecture that pypod knows)."""

from __future__ import annotations

from pypod.errors import UsageError

_NAMES = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG "
    "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split()
RTMIN, RTMAX = 34, 64


def number(text: str) -> int:
    """``TERM``, ``SIGTERM``, ``sigterm``, ``15``, ``RTMIN+3``.

    Raises UsageError.
    """
    if text.isdecimal():
        value = int(text)
        if 1 <= value <= RTMAX:
            return value
        raise UsageError(f"invalid signal: {text}")
    name = text.upper().removeprefix("SIG")
    if name in _NAMES:
        return _NAMES.index(name) + 1
    for base, value in (("RTMIN", RTMIN), ("RTMAX", RTMAX)):
        rest = name.removeprefix(base)
        if rest != name and (not rest or (rest[0] in "+-" and rest[1:].isdecimal())):
            value += int(rest or 0)
            if RTMIN <= value <= RTMAX:
                return value
    raise UsageError(f"invalid signal: {text}")


def name(value: int) -> str:
    """``SIGTERM`` for 15."""
    if value <= len(_NAMES):
        return "SIG" + _NAMES[value - 1]
    return f"SIGRTMIN+{value - RTMIN}" if value <= RTMAX else str(value)
