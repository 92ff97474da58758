"""The shape of JSON: keys and types, of two tools side by side."""

from __future__ import annotations

from typing import Any

# What tells the objects of a list apart, so that its order does not matter.
_NAMES = ("Names", "Destination", "name", "Name", "RepoTags", "host_port", "digest")


def kind(value: Any) -> str:
    """The JSON type: integer and number are one."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "string", dict: "object", list: "array"}[type(value)]


def differences(theirs: Any, ours: Any, path: str = "") -> dict[str, str]:
    """What ours lacks or has with another type: texts by path (".State.Pid"; "[]" is an element of a list).

    What ours has beside is no difference.
    """
    if kind(theirs) != kind(ours):
        return {path: f"podman {kind(theirs)}, pypod {kind(ours)}"}
    found: dict[str, str] = {}
    if isinstance(theirs, dict):
        for key, value in theirs.items():
            if key not in ours:
                found[f"{path}.{key}"] = "missing"
            else:
                found |= differences(value, ours[key], f"{path}.{key}")
    elif isinstance(theirs, list):
        for value, other in _pairs(theirs, ours):
            found |= differences(value, other, path + "[]")
    return found


def _pairs(theirs: list[Any], ours: list[Any]) -> list[tuple[Any, Any]]:
    for name in _NAMES:
        if theirs and ours and all(isinstance(item, dict) and name in item for item in [*theirs, *ours]):
            by_name = {str(item[name]): item for item in ours}
            return [(item, by_name[str(item[name])]) for item in theirs if str(item[name]) in by_name]
    return list(zip(theirs, ours, strict=False))
