"""``info``: facts about this host and the store."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    found = info.info(context, store)
    template = invocation.options["format"]
    if template is None:
        output.write(yaml(found))
    elif output.is_json(template):
        output.json(found, 2)
    else:
        output.rendered(template, _struct(found, "define.Info"))
    return 0


# Objects of info whose keys are not fields: options, states and the like.
_MAPS = frozenset(("graphOptions", "graphStatus", "registries"))


# Where the field of podman's templates is not the key of its JSON.
_FIELDS = (("cgroupVersion", "CgroupsVersion"), ("capabilities", "DefaultCapabilities"))


def _struct(value: Any, name: str) -> Any:
    from pypod.cli.gotemplate import Struct

    if isinstance(value, dict):
        inner = {key: item if key in _MAPS else _struct(item, key) for key, item in value.items()}
        inner |= {field: inner[key] for key, field in _FIELDS if key in inner}
        return Struct(inner, name)
    if isinstance(value, list):
        return [_struct(item, name) for item in value]
    return value


def yaml(value: Any, margin: str = "") -> str:
    """A JSON value as YAML, keys sorted, as podman shows info."""
    out = ""
    for key in sorted(value):
        item = value[key]
        if isinstance(item, dict) and item:
            out += f"{margin}{_scalar(key)}:\n{yaml(item, margin + '  ')}"
        elif isinstance(item, list) and item:
            out += f"{margin}{_scalar(key)}:\n"
            for entry in item:
                if isinstance(entry, dict):
                    block = yaml(entry, margin + "  ")
                    out += f"{margin}- {block[len(margin) + 2 :]}"
                else:
                    out += f"{margin}- {_scalar(entry)}\n"
        elif isinstance(item, str) and "\n" in item:
            lines = f"\n{margin}  ".join(item.split("\n"))
            out += f"{margin}{_scalar(key)}: |-\n{margin}  {lines}\n"
        else:
            out += f"{margin}{_scalar(key)}: {_scalar(item)}\n"
    return out


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    if not isinstance(value, str):
        return repr(value)
    if not value:
        return '""'
    if value.lower() in ("null", "true", "false", "yes", "no", "on", "off", "~", "y", "n") or _number(value):
        return f'"{value}"'
    if value[0] in "-?:,[]{}#&*!|>'\"%@` " or ": " in value or " #" in value or value[-1] in ": ":
        return "'" + value.replace("'", "''") + "'"
    return value


def _number(text: str) -> bool:
    try:
        float(text.replace("_", ""))
    except ValueError:
        return False
    return True
