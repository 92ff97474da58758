"""``schema``: the JSON Schema (draft 2020-12) of what a command prints with --format json.

The files are in pypod/data/schemas, one for each output; a hyphen is a blank of the command's name, an underscore a
hyphen, and ``--verbose`` the flag that changes the output. ``run`` and ``create`` print theirs with --dry-run=json.
``error`` is no command: it is a line of stderr with --log-format json.

Where a template's fields are not the keys of the JSON, ``x-template-fields`` lists them (see ``schema_fields``).
"""

from __future__ import annotations

import os

import pypod
from pypod.base import fastjson, files, gojson
from pypod.cli import output, table
from pypod.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.cli.invocation import Invocation

DIRECTORY = os.path.join(os.path.dirname(pypod.__file__), "data", "schemas")
URN = "urn:pypod:schema:"

# Outputs that are alike.
_SAME = {"create": "run", "volume ls": "volume inspect"}
_SHORT = {"system df -v": "system df --verbose"}


def run(invocation: Invocation) -> int:
    if invocation.options["fields"] is not None:
        from pypod.cli import schema_fields

        for word in schema_fields.complete(invocation.args, invocation.options["fields"]):
            output.line(word)
        return 0
    if not invocation.args:
        for name in every():
            output.line(name)
        return 0
    output.line(gojson.text(bundle(load(invocation.args)), 2))
    return 0


def every() -> list[str]:
    """The commands that have a schema."""
    names = [_name(file.removesuffix(".json")) for file in os.listdir(DIRECTORY) if file.endswith(".json")]
    return sorted([*names, *_SAME])


def _name(stem: str) -> str:
    command, _, flag = stem.partition("--")
    return command.replace("-", " ").replace("_", "-") + (f" --{flag}" if flag else "")


def load(words: Sequence[str]) -> dict[str, Any]:
    """The schema of a command as it can be typed ("container ls" is "ps").

    Raises NotFound.
    """
    typed = " ".join(words)
    name = _SHORT.get(typed) or table.canonical(typed) or typed
    name = _SAME.get(name, name)
    known = every()
    if name not in known:
        close = table.suggestions(typed, known)
        raise NotFound(
            f'no schema for "{typed}"',
            hint=f"did you mean {', '.join(close)}?" if close else "pypod schema lists the commands that have one",
        )
    command, dashes, flag = name.partition(" --")
    return _read(command.replace("-", "_").replace(" ", "-") + ("--" + flag if dashes else ""))


def _read(stem: str) -> dict[str, Any]:
    found: dict[str, Any] = fastjson.loads(files.read(f"{DIRECTORY}/{stem}.json").decode())
    return found


def bundle(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with those that it refers to inside, so that it stands alone."""
    names = sorted(set(_references(schema)))
    if not names:
        return schema
    return {**schema, "$defs": {**schema.get("$defs", {}), **{name: _read(name) for name in names}}}


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        target = value.get("$ref", "")
        own = [target[len(URN) :].partition("#")[0]] if target.startswith(URN) else []
        return own + [name for item in value.values() for name in _references(item)]
    return [name for item in value for name in _references(item)] if isinstance(value, list) else []
