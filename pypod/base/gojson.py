"""JSON as Go's encoder writes it: what podman's users compare with."""

from __future__ import annotations

from pypod.base import fastjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def text(value: Any, indent: int = 4) -> str:
    """One JSON document as Go writes it, compact if ``indent`` is 0: non-ASCII text stays readable."""
    out: list[str] = []
    writer = _Writer(" " * indent, ": ") if indent else _Writer("", ":")
    writer.write(value, "", "\n" if indent else "", out.append)
    return "".join(out)


class _Writer:
    """A list of a thousand containers has 40,000 values and names: a scalar costs no call but its escaping."""

    def __init__(self, step: str, colon: str) -> None:
        self.step = step
        self.colon = colon
        self.names: dict[str, str] = {}  # as they are written, with the colon
        self.escape: Callable[[str], str] = fastjson.dumps if fastjson.c is None else fastjson.c.encode_basestring

    def string(self, text: str) -> str:
        # A lone surrogate stands for a byte that is not UTF-8: only its escape is valid JSON.
        return self.escape(text) if text.isascii() or text.isprintable() else fastjson.dumps(text)

    def write(self, value: Any, lead: str, margin: str, put: Callable[[str], None]) -> None:
        """Hand over ``lead`` and the value; ``margin`` is the line end and what begins the line of its end."""
        if isinstance(value, dict):
            self.members(value, lead, margin, put)
        elif isinstance(value, (list, tuple)):
            inner = margin + self.step
            before = lead + "[" + inner
            for item in value:
                self.write(item, before, inner, put)
                before = "," + inner
            put(margin + "]" if value else lead + "[]")
        elif isinstance(value, str):
            put(lead + self.string(value))
        elif hasattr(value, "go_json"):
            self.write(value.go_json(), lead, margin, put)
        elif value is None:
            put(lead + "null")
        elif value is True or value is False:
            put(lead + ("true" if value else "false"))
        else:
            put(lead + repr(value))

    def members(self, value: dict[Any, Any], lead: str, margin: str, put: Callable[[str], None]) -> None:
        names, escape = self.names, self.escape
        inner = margin + self.step
        before = lead + "{" + inner
        for name, item in value.items():
            shown = names.get(name)
            if shown is None:
                shown = names[name] = self.string(str(name)) + self.colon
            kind = type(item)
            if kind is str and item.isascii():
                put(before + shown + escape(item))
            elif kind is int:
                put(f"{before}{shown}{item}")
            elif item is None:
                put(before + shown + "null")
            elif item is False:
                put(before + shown + "false")
            else:
                self.write(item, before + shown, inner, put)
            before = "," + inner
        put(margin + "}" if value else lead + "{}")
