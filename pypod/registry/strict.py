"""JSON that may be read in one way only: containers-policy.json(5) and containers-signature(5) demand it."""

from __future__ import annotations

import json

from pypod.base.text import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class BadDocument(ValueError):
    """The document is not what it must be; the message says how."""


def _pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise BadDocument(f"Duplicate key {shown(key)}")
        result[key] = value
    return result


def _constant(text: str) -> Any:
    raise BadDocument(f"{text} is not JSON")


def shown(text: object) -> str:
    """Text of somebody else's, quoted, printable and cut short."""
    return f'"{show(str(text))}"'


def loads(data: bytes) -> dict[str, Any]:
    """A JSON object in UTF-8 without a key twice.

    Raises BadDocument.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_pairs, parse_constant=_constant)
    except BadDocument:
        raise
    except RecursionError:
        raise BadDocument("nested too deeply") from None
    except ValueError as error:
        raise BadDocument(str(error)) from None
    return an_object(value, "the document")


def an_object(value: object, what: str) -> dict[str, Any]:
    """``value``, which must be a JSON object. Raises BadDocument."""
    if not isinstance(value, dict):
        raise BadDocument(f"{what} is not a JSON object")
    return value


def a_string(value: object, what: str) -> str:
    """``value``, which must be a string. Raises BadDocument."""
    if not isinstance(value, str):
        raise BadDocument(f"{what} is not a string")
    return value


def only(value: dict[str, Any], keys: Sequence[str]) -> None:
    """No other keys than these. Raises BadDocument."""
    for key in value:
        if key not in keys:
            raise BadDocument(f"Unknown key {shown(key)}")


def exactly(value: object, keys: Sequence[str], what: str) -> dict[str, Any]:
    """``value``, which must be an object with all of ``keys`` and no others. Raises BadDocument."""
    result = an_object(value, what)
    only(result, keys)
    for key in keys:
        if key not in result:
            raise BadDocument(f"Key {shown(key)} missing in {what}")
    return result
