"""Secrets: small data that containers are given and images never hold (podman-secret(1)).

They lie in podman's place and format, so both tools have the same ones: ``<graphroot>/secrets/secrets.json`` tells
what they are, ``filedriver/secretsdata.json`` (base64) what is in them. Only the owner may read either.
"""

from __future__ import annotations

import base64
import os

from pypod.base import fastjson, files, times
from pypod.base.record import record
from pypod.errors import InUse, NotFound, StorageError, UsageError, reason
from storage.locks import RecordLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.engine.context import Context

MOST = 512000  # bytes, exclusive


@record
class Secret:
    """What is known of a secret, but not its data."""

    id: str
    name: str
    created: str  # RFC 3339
    updated: str
    labels: dict[str, str] = {}
    driver: str = "file"
    options: dict[str, str] = {}  # of the driver


class NoSuchSecret(NotFound):
    ref = "no-such-secret"


def _directory(context: Context) -> str:
    return context.graphroot + "/secrets"


def _data_path(context: Context) -> str:
    return _directory(context) + "/filedriver/secretsdata.json"


def _load(path: str) -> dict[str, Any]:
    try:
        found = files.read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, fastjson.BadJson) as error:
        cause = reason(error) if isinstance(error, OSError) else str(error)
        raise StorageError(f"cannot read secrets {path}: {cause}") from None
    if not isinstance(found, dict):
        raise StorageError(f"cannot read secrets {path}: not a JSON object")
    return found


def _secret(raw: Mapping[str, Any]) -> Secret:
    created = times.trimmed(str(raw.get("createdAt") or ""))
    return Secret(
        id=str(raw.get("id") or ""),
        name=str(raw.get("name") or ""),
        created=created,
        updated=times.trimmed(str(raw.get("updatedAt") or created)),
        labels=dict(raw.get("labels") or {}),
        driver=str(raw.get("driver") or "file"),
        options=dict(raw.get("driverOptions") or {}),
    )


def every(context: Context) -> list[Secret]:
    """All secrets by name. Raises StorageError."""
    raw = _load(_directory(context) + "/secrets.json").get("secrets") or {}
    return sorted((_secret(one) for one in raw.values()), key=lambda one: one.name)


def find(context: Context, reference: str) -> Secret:
    """The secret of this name, or whose ID begins so. Raises NoSuchSecret, UsageError if several do, StorageError."""
    known = every(context)
    for one in known:
        if reference in (one.name, one.id):
            return one
    begins = [one for one in known if reference and one.id.startswith(reference)]
    if len(begins) > 1:
        raise UsageError(f"more than one result secret with prefix {reference}")
    if not begins:
        raise NoSuchSecret(f'no secret with name or id "{reference}": no such secret')
    return begins[0]


def data(context: Context, secret: Secret) -> bytes:
    """What is in a secret. Raises StorageError, NoSuchSecret if it is known and yet its data is gone."""
    if secret.driver != "file":
        raise UsageError(f"secret {secret.name} is kept by driver {secret.driver}, which is not supported")
    text = _load(_data_path(context)).get(secret.id)
    if not isinstance(text, str):
        raise NoSuchSecret(f"the data of secret {secret.name} is gone", hint=f"pypod secret rm {secret.name}")
    return base64.b64decode(text)


def check_name(name: str) -> str:
    """The name of a new secret. Raises UsageError."""
    allowed = all(char.isascii() and (char.isalnum() or char in "-_.") for char in name)
    if not allowed or not 0 < len(name) < 254 or not name[0].isalnum() or not name[-1].isalnum():
        raise UsageError(
            "only [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]:"
            f" {name}: invalid secret name"
        )
    return name


def create(
    context: Context,
    name: str,
    content: bytes,
    *,
    labels: Mapping[str, str],
    replace: bool = False,
    ignore: bool = False,
) -> Secret:
    """Keep a new secret. ``replace`` gives one of this name other data, ``ignore`` leaves that one as it is.

    Raises UsageError, InUse if the name is taken, StorageError.
    """
    check_name(name)
    if not 0 < len(content) < MOST:
        raise UsageError(f"secret data must be larger than 0 and less than {MOST} bytes")
    directory = _directory(context)
    home = os.path.dirname(_data_path(context))
    with RecordLock(directory + "/secrets.lock") as lock, RecordLock(home + "/secretsdata.lock") as data_lock:
        document = _load(directory + "/secrets.json")
        known: dict[str, Any] = document.setdefault("secrets", {})
        old = next((one for one in known.values() if one.get("name") == name), None)
        if old is not None and ignore:
            return _secret(old)
        if old is not None and not replace:
            raise InUse(f"{name}: secret name in use")
        now = times.rfc3339(times.now())
        identity = _new_id(known)
        raw = {
            "name": name,
            "id": identity,
            "labels": dict(labels),
            "createdAt": now,
            "updatedAt": now,
            "driver": "file",
            "driverOptions": {"path": home},
        }
        contents = _load(_data_path(context))
        contents[identity] = base64.b64encode(content).decode()
        # First the data: a crash in between leaves some that nobody knows of, not a secret without any.
        _write(_data_path(context), contents, data_lock)
        if old is not None:
            known.pop(str(old.get("id")), None)
        known[identity] = raw
        _write(directory + "/secrets.json", _indexed(known), lock)
        if old is not None:
            contents.pop(str(old.get("id")), None)
            _write(_data_path(context), contents, data_lock)
        return _secret(raw)


def remove(context: Context, reference: str) -> Secret:
    """Forget a secret; containers that have a copy keep it. Raises NoSuchSecret, UsageError, StorageError."""
    directory = _directory(context)
    home = os.path.dirname(_data_path(context))
    find(context, reference)  # nothing is made for one that does not exist
    with RecordLock(directory + "/secrets.lock") as lock, RecordLock(home + "/secretsdata.lock") as data_lock:
        secret = find(context, reference)
        known = _load(directory + "/secrets.json").get("secrets") or {}
        known.pop(secret.id, None)
        _write(directory + "/secrets.json", _indexed(known), lock)
        contents = _load(_data_path(context))
        if contents.pop(secret.id, None) is not None:
            _write(_data_path(context), contents, data_lock)
    return secret


def _new_id(known: Mapping[str, Any]) -> str:
    while True:
        identity = os.urandom(13).hex()[:25]
        # podman takes no ID that could be a prefix of another.
        if not any(one.startswith(identity[:12]) for one in known):
            return identity


def _indexed(known: dict[str, Any]) -> dict[str, Any]:
    return {
        "secrets": known,
        "nameToID": {str(one["name"]): identity for identity, one in known.items()},
        "idToName": {identity: str(one["name"]) for identity, one in known.items()},
    }


def _write(path: str, document: dict[str, Any], lock: RecordLock) -> None:
    try:
        lock.touch()
        files.replace_json(path, document, durable=True)
    except OSError as error:
        raise StorageError(f"cannot write secrets {path}: {reason(error)}") from None
