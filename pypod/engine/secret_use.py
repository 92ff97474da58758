"""``--secret``: a container's copies of secrets, as files or variables (podman-run(1)).

Files are copied when the container is made, so that it starts the same for as long as it lives; variables are looked
up at each start, and stand in no file that outlives the container's run but its OCI config, which is its owner's.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.engine import secrets
from pypod.engine.config import SecretUse
from pypod.errors import PypodError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.engine.config import ContainerConfig
    from pypod.engine.container import Container
    from pypod.engine.context import Context

HIDDEN = "*******"
_PLACE = "/run/secrets"


def parse(texts: Sequence[str], context: Context) -> list[SecretUse]:
    """The secrets that are asked for, which must exist. Raises UsageError, NoSuchSecret."""
    return [_parse(text, context) for text in texts]


def _parse(text: str, context: Context) -> SecretUse:
    words = text.split(",")
    values: dict[str, str] = {}
    if "=" not in words[0]:
        values["source"] = words.pop(0)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in ("type", "source", "target", "uid", "gid", "mode") or key in values:
            raise UsageError(f"error parsing secret {text}: option {word} is invalid or given twice")
        values[key] = value
    kind = values.get("type", "mount")
    if kind not in ("mount", "env"):
        raise UsageError(f"type {kind} is invalid: {text}")
    if not values.get("source"):
        raise UsageError(f"no source found for secret {text}")
    if kind == "env" and {"uid", "gid", "mode"} & values.keys():
        raise UsageError("UID, GID, Mode options cannot be set with secret type env: invalid argument")
    secret = secrets.find(context, values["source"])
    target = values.get("target") or ("" if kind == "mount" else secret.name)
    if "/" not in target and kind == "mount":
        target = f"{_PLACE}/{target or secret.name}"
    elif kind == "mount" and not target.startswith("/"):
        target = f"{_PLACE}/{target}"
    return SecretUse(
        name=secret.name,
        id=secret.id,
        kind=kind,
        target=target,
        uid=_number(text, values.get("uid", "0"), 10),
        gid=_number(text, values.get("gid", "0"), 10),
        mode=_number(text, values.get("mode", "0444"), 8),
    )


def _number(text: str, value: str, base: int) -> int:
    try:
        return int(value, base)
    except ValueError:
        raise UsageError(f"error parsing secret {text}: {value} is not a number") from None


def keep(context: Context, config: ContainerConfig, userdata: str) -> None:
    """Copy the data of the container's secret files to its directory. Raises PypodError."""
    wanted = [one for one in config.secrets if one.kind == "mount"]
    if not wanted:
        return
    place = userdata + "/secrets"
    files.make_directory(place)
    for one in wanted:
        path = f"{place}/{one.id}"
        try:
            # The mode last: whoever may read it in the container is nobody here.
            files.replace(path, secrets.data(context, secrets.find(context, one.id)), mode=0o600)
            os.chown(path, _outside(one.uid, config.uid_map), _outside(one.gid, config.gid_map))
            os.chmod(path, one.mode)
        except OSError as error:
            raise PypodError(f"cannot give the container secret {one.name}: {reason(error)}") from None


def _outside(number: int, ranges: Sequence[Sequence[int]]) -> int:
    """An id of the container's as it is in our user namespace."""
    if not ranges:
        return number
    for inside, outside, count in ranges:
        if inside <= number < inside + count:
            return outside + number - inside
    raise UsageError(f"secret's owner {number} is not mapped in the container")


def mounts(container: Container) -> list[dict[str, Any]]:
    """The OCI mounts of the container's secret files."""
    place = container.userdata + "/secrets"
    return [
        {"destination": one.target, "type": "bind", "source": f"{place}/{one.id}", "options": ["bind", "rprivate"]}
        for one in container.config.secrets
        if one.kind == "mount"
    ]


def variables(context: Context, container: Container) -> list[str]:
    """The container's variables that are secrets, NAME=value. Raises NoSuchSecret, StorageError."""
    result = []
    for one in container.config.secrets:
        if one.kind == "env":
            content = secrets.data(context, secrets.find(context, one.name))
            if b"\0" in content:
                raise UsageError(f"secret {one.name} has a zero byte, which no variable can have")
            result.append(f"{one.target}={content.decode('utf-8', 'surrogateescape')}")
    return result
