"""Values as Go's fmt package prints them: %q, %v and printf, for templates and error messages."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def quote(text: str) -> str:
    """A double-quoted Go string (strconv.Quote)."""
    out = ['"']
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
            out.append(f"\\x{code - 0xDC00:02x}")
        elif char.isprintable():
            out.append(char)
        elif code < 0x80:
            out.append(f"\\x{code:02x}")
        elif code <= 0xFFFF:
            out.append(f"\\u{code:04x}")
        else:
            out.append(f"\\U{code:08x}")
    out.append('"')
    return "".join(out)


def show(value: Any) -> str:
    """%v: what a template prints for a value."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<no value>"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, float):
        return _float(value)
    return _inner(value)


def _inner(value: Any) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, dict):
        if getattr(value, "go_type", ""):
            return "{" + " ".join(_inner(item) for item in value.values()) + "}"
        return "map[" + " ".join(f"{_inner(name)}:{_inner(value[name])}" for name in sorted(value)) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(map(_inner, value)) + "]"
    if isinstance(value, (bool, float, str)):
        return show(value)
    return str(value)


def _float(value: float) -> str:
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa.removesuffix('.0')}e{exponent}" if e else text


def printf(template: str, values: Sequence[Any]) -> str:
    """Sprintf with the verbs v s d q t x X f g e c U % T, flags and width; a mistake is shown as Go shows it."""
    out = []
    at, used = 0, 0
    while at < len(template):
        char = template[at]
        at += 1
        if char != "%":
            out.append(char)
            continue
        start = at
        while at < len(template) and template[at] in "+-# 0":
            at += 1
        flags = template[start:at]
        start = at
        while at < len(template) and template[at].isdecimal():
            at += 1
        width = int(template[start:at] or "0")
        precision = None
        if at < len(template) and template[at] == ".":
            at += 1
            start = at
            while at < len(template) and template[at].isdecimal():
                at += 1
            precision = int(template[start:at] or "0")
        if at >= len(template):
            out.append("%!(NOVERB)")
            break
        verb = template[at]
        at += 1
        if verb == "%":
            out.append("%")
            continue
        if used >= len(values):
            out.append(f"%!{verb}(MISSING)")
            continue
        text = _verb(verb, flags, precision, values[used])
        used += 1
        if len(text) < width:
            if "-" in flags:
                text = text.ljust(width)
            elif "0" in flags and text[:1] in "+-":
                text = text[0] + text[1:].rjust(width - 1, "0")
            else:
                text = text.rjust(width, "0" if "0" in flags else " ")
        out.append(text)
    if used < len(values):
        extra = ", ".join(f"{type_name(item)}={_inner(item)}" for item in values[used:])
        out.append(f"%!(EXTRA {extra})")
    return "".join(out)


def type_name(value: Any) -> str:
    """%T: the Go type that a value would have."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, dict):
        return getattr(value, "go_type", "") or "map[string]string"
    if isinstance(value, (list, tuple)):
        return "[]string" if all(isinstance(item, str) for item in value) else "[]interface {}"
    return {int: "int", float: "float64", str: "string"}.get(type(value), type(value).__name__)


def _verb(verb: str, flags: str, precision: int | None, value: Any) -> str:
    number = isinstance(value, int) and not isinstance(value, bool)
    if verb == "v":
        return _inner(value)
    if verb == "T":
        return type_name(value)
    if verb == "s" and not (number or isinstance(value, (bool, float)) or value is None):
        text = _inner(value)
        return text if precision is None else text[:precision]
    if verb == "q":
        if isinstance(value, str):
            return quote(value)
        if number:
            return "'" + quote(chr(value))[1:-1] + "'"
        if isinstance(value, (list, tuple)):
            return "[" + " ".join(quote(item) if isinstance(item, str) else _inner(item) for item in value) + "]"
    if verb == "d" and number:
        return ("+" if "+" in flags and value >= 0 else " " if " " in flags and value >= 0 else "") + str(value)
    if verb == "t" and isinstance(value, bool):
        return show(value)
    if verb in "xX":
        if number:
            text = format(value, verb)
            return ("0" + verb + text) if "#" in flags else text
        if isinstance(value, str):
            text = value.encode("utf-8", "surrogateescape").hex()
            return text.upper() if verb == "X" else text
    if verb in "feEgG" and (number or isinstance(value, float)) and not (number and verb in "feEgG"):
        return format(value, f".{6 if precision is None else precision}{verb}") if verb in "feE" else _float(value)
    if verb in "ob" and number:
        return format(value, verb)
    if verb == "c" and number:
        return chr(value)
    return f"%!{verb}({type_name(value)}={_inner(value)})"
