"""policy.json as it is written: where it is, and a strict parse (containers-policy.json(5))."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.base.record import record
from pypod.errors import ConfigError, reason
from pypod.registry import identities, strict
from pypod.registry.identities import Identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SYSTEM = "/etc/containers/policy.json"
MOST = 4 << 20  # bytes of the file, and of a keyring
_HINT = (
    'policy.json says which images may be used; to accept all: {"default": [{"type": "insecureAcceptAnything"}]} '
    "(Debian: apt install golang-github-containers-common)"
)
_KEY_TYPES = ("GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs")
_PATHS = ("dir", "oci", "oci-archive")
_NO_SCOPES = ("docker-archive", "tarball")


@record
class Requirement:
    """One requirement. ``key_data``: keys that stand in the policy itself, ``key_paths``: files that hold some."""

    kind: str
    key_type: str = ""
    key_paths: tuple[str, ...] = ()
    key_data: bytes = b""
    identity: Identity = Identity()


@record
class Rules:
    """A policy file: requirements for each scope of each transport, and for the rest."""

    path: str
    default: tuple[Requirement, ...]
    transports: dict[str, dict[str, tuple[Requirement, ...]]]


def users(home: str = "") -> str:
    """The path of the user's own policy, whether it is there or not."""
    return f"{home or os.path.expanduser('~')}/.config/containers/policy.json"


def place(path: str = "", home: str = "") -> str:
    """The policy that holds: ``path`` if it is given, the user's if there is one, else the system's."""
    if path:
        return path
    own = users(home)
    return own if os.path.lexists(own) else SYSTEM


def read(path: str = "", home: str = "") -> Rules:
    """The policy at its ``place``.

    Raises ConfigError.
    """
    found = place(path, home)
    return check(read_document(found), found)


def check(document: dict[str, Any], path: str) -> Rules:
    """``parse``, with the name of the file in the error.

    Raises ConfigError.
    """
    try:
        return parse(document, path)
    except strict.BadDocument as error:
        raise _invalid(path, error) from None


def read_document(path: str) -> dict[str, Any]:
    """The JSON object in a policy file; what is in it is not judged yet.

    Raises ConfigError.
    """
    try:
        data = files.read(path, MOST + 1)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise ConfigError(
            f"cannot read signature policy {path}: {reason(error)}", hint=_HINT if missing else ""
        ) from None
    try:
        if len(data) > MOST:
            raise strict.BadDocument(f"larger than {MOST} bytes")
        return strict.loads(data)
    except strict.BadDocument as error:
        raise _invalid(path, error) from None


def _invalid(path: str, error: strict.BadDocument) -> ConfigError:
    return ConfigError(f'invalid policy in "{path}": {error}')


def parse(document: dict[str, Any], path: str) -> Rules:
    """What a policy's JSON object says.

    Raises strict.BadDocument.
    """
    strict.only(document, ("default", "transports"))
    if "default" not in document:
        raise strict.BadDocument("Default policy is missing")
    transports: dict[str, dict[str, tuple[Requirement, ...]]] = {}
    given = document.get("transports")
    for transport, scopes in strict.an_object({} if given is None else given, "transports").items():
        known = transports.setdefault(transport, {})
        for scope, requirements in strict.an_object(scopes, f"transport {strict.shown(transport)}").items():
            if scope:
                _check_scope(transport, scope)
            known[scope] = _requirements(requirements)
    return Rules(path=path, default=_requirements(document["default"]), transports=transports)


def _check_scope(transport: str, scope: str) -> None:
    if transport in _NO_SCOPES:
        raise strict.BadDocument(f'{transport}: does not support any scopes except the default "" one')
    if transport not in _PATHS:
        return
    if not scope.startswith("/"):
        raise strict.BadDocument(f"Invalid scope {strict.shown(scope)}: must be an absolute path")
    if scope == "/":
        raise strict.BadDocument('Invalid scope "/": Use the generic default scope ""')
    if os.path.normpath(scope) != scope:
        raise strict.BadDocument(f"Invalid scope {strict.shown(scope)}: Uses non-canonical path format")


def _requirements(value: object) -> tuple[Requirement, ...]:
    if not isinstance(value, list):
        raise strict.BadDocument("a list of policy requirements is not a list")
    if not value:
        raise strict.BadDocument("List of verification policy requirements must not be empty")
    return tuple(map(_requirement, value))


def _requirement(value: object) -> Requirement:
    document = strict.an_object(value, "a policy requirement")
    kind = strict.a_string(document.get("type"), "the type of a policy requirement")
    if kind in ("insecureAcceptAnything", "reject"):
        strict.exactly(document, ("type",), kind)
        return Requirement(kind=kind)
    if kind == "signedBy":
        strict.only(document, ("type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"))
        key_type = document.get("keyType")
        if key_type not in _KEY_TYPES:
            raise strict.BadDocument(f"invalid keyType {strict.shown(key_type)}")
        paths, data = _keys(document, ("keyPath", "keyPaths", "keyData"))
        identity = identities.parse(document.get("signedIdentity"))
        return Requirement(kind=kind, key_type=key_type, key_paths=paths, key_data=data, identity=identity)
    if kind == "sigstoreSigned":
        strict.only(document, ("type", "keyPath", "keyData", "signedIdentity"))
        paths, data = _keys(document, ("keyPath", "keyData"))
        identity = identities.parse(document.get("signedIdentity"))
        return Requirement(kind=kind, key_paths=paths, key_data=data, identity=identity)
    if kind == "signedBaseLayer":
        strict.exactly(document, ("type", "baseLayerIdentity"), kind)
        identities.parse(document["baseLayerIdentity"])
        return Requirement(kind=kind)
    raise strict.BadDocument(f"Unknown policy requirement type {strict.shown(kind)}")


def _keys(document: dict[str, Any], names: tuple[str, ...]) -> tuple[tuple[str, ...], bytes]:
    """The files and the data that hold a requirement's keys: exactly one of ``names`` says so."""
    import base64

    if sum(name in document for name in names) != 1:
        listed = ", ".join(names[:-1]) + " and " + names[-1]
        raise strict.BadDocument(f"exactly one of {listed} must be specified")
    if "keyData" in document:
        try:
            data = base64.b64decode(strict.a_string(document["keyData"], "keyData"), validate=True)
        except ValueError:
            raise strict.BadDocument("keyData is not base64") from None
        if not data:
            raise strict.BadDocument("keyData is empty")
        return (), data
    given = document["keyPaths"] if "keyPaths" in document else [document["keyPath"]]
    if not isinstance(given, list) or not given:
        raise strict.BadDocument("keyPaths is not a list of files")
    paths = tuple(strict.a_string(item, "a path of a key") for item in given)
    if not all(paths):
        raise strict.BadDocument("the path of a key is empty")
    return paths, b""
