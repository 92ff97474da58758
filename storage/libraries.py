"""Libraries of the system that Python uses too, called by ctypes where its own modules show too little of them."""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_known: dict[str, Any] = {}


def load(name: str, declare: Callable[[Any], object]) -> Any:
    """The library ``name`` ("libz.so.1"), its functions described by ``declare``; None where there is none."""
    if name not in _known:
        try:
            found = ctypes.CDLL(name)
            declare(found)
            _known[name] = found
        except (OSError, AttributeError):
            _known[name] = None
    return _known[name]
