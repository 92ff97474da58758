"""The YAML that configuration files are written in: nested block mappings of scalars. What is more is an error."""

from __future__ import annotations

from pypod.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_ESCAPES = {"\\": "\\", '"': '"', "/": "/", "n": "\n", "t": "\t", "0": "\0"}


class _Bad(ValueError):
    pass


def loads(text: str, path: str) -> dict[str, Any]:
    """A mapping of strings to strings, booleans, None or such mappings.

    Raises ConfigError, which names ``path`` and the line.
    """
    root: dict[str, Any] = {}
    # The mappings that are open: their indentation (-1: known by the first key in it), and the mapping.
    open_: list[tuple[int, dict[str, Any]]] = [(-1, root)]
    waiting: tuple[dict[str, Any], str, int] | None = None  # a key whose value may follow, indented
    for number, line in enumerate(text.splitlines(), 1):
        try:
            content = line.strip()
            if not content or content.startswith("#") or (number == 1 and content == "---"):
                continue
            indent = len(line) - len(line.lstrip(" "))
            if line[indent] == "\t":
                raise _Bad("a tab cannot indent")
            key, value, more = _entry(content)
            if waiting is not None and indent > waiting[2]:
                inner: dict[str, Any] = {}
                waiting[0][waiting[1]] = inner
                open_.append((indent, inner))
            if open_[0][0] < 0:
                open_[0] = (indent, root)
            while len(open_) > 1 and indent < open_[-1][0]:
                open_.pop()
            if indent != open_[-1][0]:
                raise _Bad("the indentation fits no key above")
            mapping = open_[-1][1]
            if key in mapping:
                raise _Bad(f"key {key[:80]!r} twice")
            mapping[key] = value
            waiting = (mapping, key, indent) if more else None
        except _Bad as error:
            raise ConfigError(f"cannot parse configuration {path}: line {number}: {error}") from None
    return root


def _entry(content: str) -> tuple[str, Any, bool]:
    """A line's key and value, and whether the value may follow on the next lines."""
    if content[0] in "-?[]{}&*!|>%@`,":
        raise _Bad("only mappings of plain values are understood")
    if content[0] in "'\"":
        key, rest = _quoted(content)
        rest = rest.lstrip()
        if not rest.startswith(":") or (len(rest) > 1 and rest[1] not in " \t"):
            raise _Bad("a colon is missing")
        rest = rest[1:]
    else:
        end = content.find(": ")
        if end < 0:
            bare = _without_comment(content)
            if not bare.endswith(":"):
                raise _Bad("a colon is missing")
            return bare[:-1].rstrip(), None, True
        key, rest = content[:end].rstrip(), content[end + 1 :]
    rest = rest.strip()
    if not rest or rest.startswith("#"):
        return key, None, True
    return key, _scalar(rest), False


def _scalar(text: str) -> Any:
    if text[0] in "'\"":
        value, rest = _quoted(text)
        rest = rest.strip()
        if rest and not rest.startswith("#"):
            raise _Bad("something follows a quoted value")
        return value
    text = _without_comment(text)
    if text == "{}":
        return {}
    if text[0] in "[]{}&*!|>%@`,?" or ": " in text or text.endswith(":"):
        raise _Bad("only plain values are understood")
    if text in ("~", "null", "Null", "NULL"):
        return None
    return _BOOLEANS.get(text.lower(), text)


def _without_comment(text: str) -> str:
    end = text.find(" #")
    return (text if end < 0 else text[:end]).rstrip()


def _quoted(text: str) -> tuple[str, str]:
    """A quoted text at the begin of ``text``, and what follows it."""
    quote = text[0]
    result = ""
    position = 1
    while position < len(text):
        char = text[position]
        position += 1
        if char != quote and (char != "\\" or quote == "'"):
            result += char
        elif char == "\\":
            escaped = text[position : position + 1]
            if escaped not in _ESCAPES:
                raise _Bad("an escape that is not understood")
            result += _ESCAPES[escaped]
            position += 1
        elif quote == "'" and text[position : position + 1] == "'":
            result += "'"
            position += 1
        else:
            return result, text[position:]
    raise _Bad("a quote is not closed")
