"""``$(NAME)`` in commands, arguments and variables, as the Kubernetes API documents it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


_REFERENCE = re.compile(r"\$(\$|\(([^)]*)\))")


def expand(text: str, env: Mapping[str, str]) -> str:
    """``$(NAME)`` is replaced by what ``env`` has; one that it has not stays as it is, and ``$$`` is a ``$``."""
    end = text.rfind(")") + 1  # behind it nothing is closed, and each look for that would go to the end of the text
    known = _REFERENCE.sub(lambda found: "$" if found[1] == "$" else env.get(found[2], found[0]), text[:end])
    return known + text[end:].replace("$$", "$")


def escape(text: str) -> str:
    """The text that ``expand`` makes ``text`` of."""
    return re.sub(r"\$(?=[$(])", "$$", text)
