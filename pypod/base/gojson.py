"""JSON as Go's encoder writes it: what podman's users compare with."""

from __future__ import annotations

from pypod.base import fastjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def text(value: Any, indent: int = 4) -> str:
    """One JSON document as Go writes it, compact if ``indent`` is 0: non-ASCII text stays readable."""
    escape: Callable[[str], str] = fastjson.dumps
    if fastjson.c is not None:
        escape = fastjson.c.encode_basestring

    def string(text: str) -> str:
        # A lone surrogate stands for a byte that is not UTF-8: only its escape is valid JSON.
        return escape(text) if text.isascii() or text.isprintable() else fastjson.dumps(text)

    out: list[str] = []
    if indent:
        _write(value, "\n", " " * indent, ": ", string, out)
    else:
        _write(value, "", "", ":", string, out)
    return "".join(out)


def _write(value: Any, margin: str, step: str, colon: str, string: Callable[[str], str], out: list[str]) -> None:
    if isinstance(value, str):
        out.append(string(value))
    elif isinstance(value, dict):
        if not value:
            out.append("{}")
            return
        inner = margin + step
        before = "{" + inner
        for name, item in value.items():
            out.append(before + string(str(name)) + colon)
            _write(item, inner, step, colon, string, out)
            before = "," + inner
        out.append(margin + "}")
    elif isinstance(value, (list, tuple)):
        if not value:
            out.append("[]")
            return
        inner = margin + step
        before = "[" + inner
        for item in value:
            out.append(before)
            _write(item, inner, step, colon, string, out)
            before = "," + inner
        out.append(margin + "]")
    elif hasattr(value, "go_json"):
        _write(value.go_json(), margin, step, colon, string, out)
    elif value is None:
        out.append("null")
    elif value is True or value is False:
        out.append("true" if value else "false")
    else:
        out.append(repr(value))
