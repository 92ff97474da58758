"""The only writer of errors, warnings and debug messages: lines for people, or with ``--log-format json`` one JSON
object a line.

    {"level": "error", "ref": "no-such-container", "message": "…", "hint": "…"}

``ref`` says what kind of error it is and stays the same from release to release; ``hint`` is "" if no cure is known.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.errors import PypodError

_chosen = ""


def choose(form: str) -> None:
    """``json`` or ``text``, instead of what PYPOD_LOG_FORMAT says."""
    global _chosen
    _chosen = form


def _as_json() -> bool:
    return (_chosen or os.environ.get("PYPOD_LOG_FORMAT", "")) == "json"


def error(error: PypodError) -> None:
    """Write an error to stderr; a stderr that is gone is no matter."""
    if _as_json():
        _line({"level": "error", "ref": error.ref, "message": error.message, "hint": error.hint})
        return
    _write(f"Error: {error.message}\n" + (f"Hint: {error.hint}\n" if error.hint else ""))


def warning(message: str, *, mark: str = "Warning: ") -> None:
    """Write a warning to stderr. ``mark`` is what begins the line for people: podman has several."""
    if _as_json():
        _line({"level": "warning", "message": message})
    else:
        _write(f"{mark}{message}\n")


def debug(message: str) -> None:
    """Write to stderr what only ``--log-level debug`` asks for."""
    if _as_json():
        _line({"level": "debug", "message": message})
    else:
        _write(f"Debug: {message}\n")


def _line(values: dict[str, object]) -> None:
    from pypod.base import fastjson

    _write(fastjson.dumps(values) + "\n")


def _write(text: str) -> None:
    try:
        os.write(2, text.encode("utf-8", "surrogateescape"))
    except OSError:
        pass
