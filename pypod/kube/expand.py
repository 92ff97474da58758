"""``$(NAME)`` in commands, arguments and variables, as the Kubernetes API documents it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def expand(text: str, env: Mapping[str, str]) -> str:
    """``$(NAME)`` is replaced by what ``env`` has; one that it has not stays as it is, and ``$$`` is a ``$``."""
    if "$" not in text:
        return text
    result = []
    rest = text
    while rest:
        before, dollar, rest = rest.partition("$")
        result.append(before)
        if not dollar:
            break
        if rest.startswith("$"):
            result.append("$")
            rest = rest[1:]
        elif rest.startswith("("):
            name, closed, after = rest[1:].partition(")")
            if closed and name in env:
                result.append(env[name])
                rest = after
            elif closed:
                result.append(f"$({name})")
                rest = after
            else:
                result.append("$")
        else:
            result.append("$")
    return "".join(result)


def escape(text: str) -> str:
    """The text that ``expand`` makes ``text`` of."""
    return re.sub(r"\$(?=[$(])", "$$", text)
