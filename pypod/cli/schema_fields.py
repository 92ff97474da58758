"""The fields that a ``--format`` template may go on with, for TAB completion; they come from the schemas."""

from __future__ import annotations

from pypod.cli import schema as schemas
from pypod.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_ENDS = " \t\n({|"


def complete(command: Sequence[str], text: str) -> list[str]:
    """What ``text``, the beginning of a template, may become: whole words, "{{.State." where more can follow."""
    try:
        schema = schemas.bundle(schemas.load(command))
    except NotFound:
        return []
    start = text.rfind("{{")
    if start < 0 or "}}" in text[start:]:
        return ["json"] if "json".startswith(text) else []
    begin = max(text.rfind(char) for char in _ENDS) + 1
    if text[begin : begin + 1] != ".":
        return []
    path, _, last = text[begin:].rpartition(".")
    place = _row(schema)
    for name in path.split(".")[1:]:
        place = _member(place, name)
    # A template's own fields have no fields: they are made for people.
    own = [] if path else schema.get("x-template-fields", [])
    head, lower = text[: len(text) - len(last)], last.lower()
    return [
        head + name + ("." if not own and _names(_member(place, name)) else "}}")
        for name in own or _names(place)
        if name.lower().startswith(lower)
    ]


def _names(place: dict[str, Any]) -> list[str]:
    return [key[0].upper() + key[1:] for key in place.get("properties", ())]


def _row(schema: dict[str, Any]) -> dict[str, Any]:
    found = expand(schema, schema)
    return found["items"] if found.get("type") == "array" else found


def _member(place: dict[str, Any], name: str) -> dict[str, Any]:
    """The schema of a field, {} if there is none."""
    for key, value in place.get("properties", {}).items():
        if key.lower() == name.lower():
            found: dict[str, Any] = value
            return found
    return {}


def expand(whole: dict[str, Any], place: dict[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to in its place; of something that may be null, the other; of several kinds of
    objects, the fields of all."""
    if "$ref" in place:
        document, _, pointer = place["$ref"].partition("#")
        if document:
            whole = whole["$defs"][document.removeprefix(schemas.URN)]
        target: Any = whole
        for key in pointer.split("/")[1:]:
            target = target[key]
        return expand(whole, target)
    if "anyOf" in place:
        choices = [expand(whole, item) for item in place["anyOf"] if item.get("type") != "null"]
        if len(choices) == 1:
            return choices[0]
        # Of two fields with one name, the first.
        return {"properties": {key: item for one in choices[::-1] for key, item in one.get("properties", {}).items()}}
    result = dict(place)
    if "items" in place:
        result["items"] = expand(whole, place["items"])
    if "properties" in place:
        result["properties"] = {key: expand(whole, item) for key, item in place["properties"].items()}
    return result
