"""The functions of Go templates, over JSON's values."""

from __future__ import annotations

from pypod.cli.gofmt import printf as sprintf
from pypod.cli.gofmt import show, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_LONGEST = 1 << 20


class Bad(Exception):
    """A function was given what it cannot take."""


def truth(value: Any) -> bool:
    """Whether ``if`` takes its first branch: structs are always true, other values unless they are empty."""
    if hasattr(value, "go_field") and not isinstance(value, str):
        return True
    return bool(value)


def unquote(body: str) -> str:
    """The text of a Go string literal without its quotes.

    Raises ValueError.
    """
    out = []
    at = 0
    raw = bytearray()
    while at < len(body):
        char = body[at]
        at += 1
        if char != "\\":
            out.append(char)
            continue
        char = body[at : at + 1]
        at += 1
        if char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif char and char in "\\'\"":
            out.append(char)
        elif char in ("x", "u", "U"):
            digits = {"x": 2, "u": 4, "U": 8}[char]
            code = body[at : at + digits]
            if len(code) != digits:
                raise ValueError(code)
            at += digits
            number = int(code, 16)
            if char == "x" and number > 127:
                raw.append(number)
                # Bytes of one character may follow each other.
                while body[at : at + 2] == "\\x" and int(body[at + 2 : at + 4], 16) > 127:
                    raw.append(int(body[at + 2 : at + 4], 16))
                    at += 4
                out.append(raw.decode("utf-8", "surrogateescape"))
                raw.clear()
            else:
                out.append(chr(number))
        elif char and char in "01234567":
            code = body[at - 1 : at + 2]
            at += 2
            out.append(chr(int(code, 8)))
        else:
            raise ValueError(char)
    return "".join(out)


def _basic(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number" if isinstance(value, int) else "float"
    return "string" if isinstance(value, str) else ""


def _same(first: Any, second: Any) -> bool:
    if first is None or second is None:
        return first is second
    left, right = _basic(first), _basic(second)
    if not left or not right:
        raise Bad("error calling eq: non-comparable type " + type_name(first if not left else second))
    if left != right:
        raise Bad("error calling eq: incompatible types for comparison")
    return bool(first == second)


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise Bad("error calling eq: missing argument for comparison")
    return any(_same(first, other) for other in others)


def _ne(first: Any, second: Any) -> bool:
    return not _same(first, second)


def _lt(first: Any, second: Any) -> bool:
    if not _basic(first) or _basic(first) == "bool" or _basic(first) != _basic(second):
        raise Bad("error calling lt: incompatible types for comparison")
    return bool(first < second)


def _le(first: Any, second: Any) -> bool:
    return _lt(first, second) or _same(first, second)


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, (list, tuple)) or (isinstance(value, dict) and not hasattr(value, "go_field")):
        return len(value)
    raise Bad(f"error calling len: len of {'nil pointer' if value is None else 'type ' + type_name(value)}")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if value is None:
            raise Bad("error calling index: index of untyped nil")
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise Bad(f"error calling index: value has type {type_name(key)}; should be string")
            if hasattr(value, "go_field"):
                raise Bad("error calling index: can't index item of type " + type_name(value))
            if key in value:
                value = value[key]
            else:
                others = list(value.values())
                value = "" if all(isinstance(item, str) for item in others) else None
            continue
        if not isinstance(value, (list, tuple, str)):
            raise Bad("error calling index: can't index item of type " + type_name(value))
        if not isinstance(key, int) or isinstance(key, bool):
            raise Bad(f"error calling index: cannot index slice/array with type {type_name(key)}")
        if not 0 <= key < _len(value):
            raise Bad(f"error calling index: index out of range: {key}")
        value = value.encode("utf-8", "surrogateescape")[key] if isinstance(value, str) else value[key]
    return value


def _slice(value: Any, *bounds: Any) -> Any:
    if not isinstance(value, (list, tuple, str)):
        raise Bad("error calling slice: can't slice item of type " + type_name(value))
    size = _len(value)
    if len(bounds) > 3 or (isinstance(value, str) and len(bounds) == 3):
        raise Bad("error calling slice: too many slice indexes")
    for bound in bounds:
        if not isinstance(bound, int) or isinstance(bound, bool):
            raise Bad(f"error calling slice: cannot index slice/array with type {type_name(bound)}")
        if not 0 <= bound <= size:
            raise Bad(f"error calling slice: index out of range: {bound}")
    low = bounds[0] if bounds else 0
    high = bounds[1] if len(bounds) > 1 else size
    if low > high:
        raise Bad(f"error calling slice: invalid slice index: {low} > {high}")
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")[low:high].decode("utf-8", "surrogateescape")
    return value[low:high]


def _print(*values: Any) -> str:
    out = ""
    for at, value in enumerate(values):
        # Sprint puts a blank between operands when neither is a string.
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            out += " "
        out += _text(value)
    return out


def _println(*values: Any) -> str:
    return " ".join(map(_text, values)) + "\n"


def _printf(template: Any, *values: Any) -> str:
    if not isinstance(template, str):
        raise Bad("error calling printf: wrong type for value; expected string")
    return sprintf(template, values)


def _text(value: Any) -> str:
    if hasattr(value, "go_show"):
        return str(value.go_show())
    return "<nil>" if value is None else show(value)


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Bad(f"wrong type for value of {name}; expected string; got {type_name(value)}")
    return value


def _json(value: Any) -> str:
    from pypod.base import gojson

    return gojson.text(value, 0)


def _join(values: Any, separator: Any) -> str:
    if values is None:
        return ""
    if isinstance(values, str) and hasattr(values, "go_field"):
        return values  # a heading
    if not isinstance(values, (list, tuple)):
        raise Bad(f"wrong type for value of join; expected []string; got {type_name(values)}")
    return _string("join", separator).join(_string("join", item) for item in values)


def _split(value: Any, separator: Any) -> list[str]:
    value, separator = _string("split", value), _string("split", separator)
    return value.split(separator) if separator else list(value)


def _title(value: Any) -> str:
    text = _string("title", value)
    return "".join(char.upper() if at == 0 or text[at - 1].isspace() else char for at, char in enumerate(text))


def _truncate(value: Any, length: Any) -> str:
    if not isinstance(length, int):
        raise Bad("wrong type for value of truncate; expected int")
    return _string("truncate", value)[: max(length, 0)]


def _pad(value: Any, before: Any, after: Any) -> str:
    if not isinstance(before, int) or not isinstance(after, int) or max(before, after) > _LONGEST:
        raise Bad("wrong type for value of pad; expected int")
    text = _string("pad", value)
    return " " * before + text + " " * after if text else text


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "eq": _eq,
    "ge": lambda first, second: not _lt(first, second),
    "gt": lambda first, second: not _le(first, second),
    "index": _index,
    "join": _join,
    "json": _json,
    "le": _le,
    "len": _len,
    "lower": lambda value: _string("lower", value).lower(),
    "lt": _lt,
    "ne": _ne,
    "not": lambda value: not truth(value),
    "pad": _pad,
    "print": _print,
    "printf": _printf,
    "println": _println,
    "slice": _slice,
    "split": _split,
    "title": _title,
    "truncate": _truncate,
    "upper": lambda value: _string("upper", value).upper(),
}
