"""Credentials in files: containers-auth.json(5), Docker's config.json, and the helpers that either may name."""

from __future__ import annotations

import base64
import binascii
import json
import os

from pypod.base import files
from pypod.base.locks import FileLock
from pypod.base.record import record
from pypod.errors import ConfigError, reason
from pypod.registry import helpers, places
from pypod.registry.access import Credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/")
_MOST = 16 << 20  # bytes of a file
_INSIDE = "containers-auth.json"  # the helper of registries.conf that stands for auth.json itself


@record
class File:
    """``old``: the form of .dockercfg, in which everything is "auths"."""

    path: str
    old: bool = False


def primary() -> str:
    """The file that login writes: $REGISTRY_AUTH_FILE, else that of the user's session."""
    named = os.environ.get("REGISTRY_AUTH_FILE")
    if named:
        return named
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/containers/{places.user_id()}"
    directory = f"{runtime}/containers" if os.environ.get("XDG_RUNTIME_DIR") else runtime
    return f"{directory}/auth.json"


def sources(authfile: str = "") -> list[File]:
    """The files that are read, in order."""
    if authfile or os.environ.get("REGISTRY_AUTH_FILE"):
        return [File(path=authfile or primary())]
    home = places.home()
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    docker = os.environ.get("DOCKER_CONFIG") or f"{home}/.docker"
    return [
        File(path=primary()),
        File(path=f"{config}/containers/auth.json"),
        File(path=f"{docker}/config.json"),
        File(path=f"{home}/.dockercfg", old=True),
    ]


def read(file: File) -> dict[str, Any]:
    """The document of a file, {} if there is none; it has only objects where there must be some.

    Raises ConfigError, which names the file and shows nothing of it.
    """
    try:
        data = files.read(file.path, _MOST)
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read credentials {file.path}: {reason(error)}") from None
    if not data.strip():
        return {}
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise ConfigError(f"cannot read credentials {file.path}: it is not JSON") from None
    if file.old and isinstance(document, dict):
        document = {"auths": document}
    if not isinstance(document, dict):
        raise ConfigError(f"cannot read credentials {file.path}: it is not a JSON object")
    for key in ("auths", "credHelpers"):
        if not isinstance(document.get(key) or {}, dict):
            raise ConfigError(f"cannot read credentials {file.path}: {key} is not a JSON object")
    return document


def host_of(key: str) -> str:
    """The registry of a key in "auths"; Docker wrote URLs."""
    bare = key.removeprefix("https://").removeprefix("http://")
    host = bare.partition("/")[0]
    return "docker.io" if host in _DOCKER_HUB or key in _DOCKER_HUB else host


def _keys(name: str) -> Iterator[str]:
    """``name`` (HOST[/PATH]) and what is above it, the most specific first."""
    while name:
        yield name
        name = name.rpartition("/")[0]


def find(name: str, authfile: str = "", configured: Sequence[str] = ()) -> Credentials | None:
    """The credentials for HOST or HOST/REPOSITORY; None for none.

    ``configured``: the helpers of registries.conf; one that fails is told if none of the others has any. Raises
    ConfigError.
    """
    failed: ConfigError | None = None
    for helper in configured or (_INSIDE,):
        try:
            if helper == _INSIDE:
                found = _in_files(name, authfile)
            else:
                found = helpers.get(helper, name.partition("/")[0])
        except ConfigError as error:
            failed = failed or error
            continue
        if found is not None:
            return found
    if failed is not None:
        raise failed
    return None


def _in_files(name: str, authfile: str) -> Credentials | None:
    for file in sources(authfile):
        found = _in_document(read(file), file, name, name.partition("/")[0])
        if found is not None:
            return found
    return None


def _in_document(document: dict[str, Any], file: File, name: str, host: str) -> Credentials | None:
    helper = _own_helper(document, host)
    if helper:
        return helpers.get(helper, _stored_as(host))
    auths = document.get("auths") or {}
    for key in _keys(name):
        if key in auths:
            found = _entry(auths[key], file.path, key)
            if found is not None:
                return found
    for key, value in auths.items():
        # Docker's keys: a URL stands for its host.
        if host_of(key) == host and (key in _DOCKER_HUB or "://" in key):
            found = _entry(value, file.path, key)
            if found is not None:
                return found
    # podman knows no credsStore: what it finds counts first.
    general = _general_helper(document)
    return helpers.get(general, _stored_as(host)) if general else None


def _own_helper(document: dict[str, Any], host: str) -> str:
    """The helper that a file names for this registry, "" for none."""
    known = document.get("credHelpers") or {}
    for key in (host, *(_DOCKER_HUB if host == "docker.io" else ())):
        if isinstance(known.get(key), str) and known[key]:
            return str(known[key])
    return ""


def _general_helper(document: dict[str, Any]) -> str:
    """The helper that a file names for all registries, "" for none."""
    general = document.get("credsStore")
    return general if isinstance(general, str) else ""


def _helper(document: dict[str, Any], host: str) -> str:
    return _own_helper(document, host) or _general_helper(document)


def _stored_as(host: str) -> str:
    return "https://index.docker.io/v1/" if host == "docker.io" else host


def _entry(value: Any, path: str, key: str) -> Credentials | None:
    if not isinstance(value, dict):
        raise ConfigError(f"cannot read credentials {path}: the entry of {key!r} is not a JSON object")
    texts = {}
    for name in ("auth", "identitytoken", "registrytoken", "username", "password"):
        text = value.get(name) or ""
        if not isinstance(text, str):
            raise ConfigError(f"cannot read credentials {path}: {name} of {key!r} is not a string")
        texts[name] = text
    username, password = texts["username"], texts["password"]
    if texts["auth"]:
        try:
            plain = base64.b64decode(texts["auth"], validate=True).decode()
        except (binascii.Error, ValueError):
            raise ConfigError(f"cannot read credentials {path}: auth of {key!r} is not base64 text") from None
        username, colon, password = plain.partition(":")
        password = password.rstrip("\0")
        if not colon:
            raise ConfigError(f"cannot read credentials {path}: auth of {key!r} is not USER:PASSWORD")
    if not (username or texts["identitytoken"] or texts["registrytoken"]):
        return None
    return Credentials(
        username=username,
        password=password,
        identity_token=texts["identitytoken"],
        registry_token=texts["registrytoken"],
    )


def entries(authfile: str = "") -> dict[str, str]:
    """All keys (HOST or HOST/REPOSITORY) with the user's name that some file has. Raises ConfigError."""
    result: dict[str, str] = {}
    for file in sources(authfile):
        document = read(file)
        for key, value in (document.get("auths") or {}).items():
            found = _entry(value, file.path, key)
            if found is not None:
                result.setdefault(host_of(key) if "://" in key else key, found.username)
    return result


# Written.


def store(name: str, credentials: Credentials, path: str) -> str:
    """Keep credentials of HOST or HOST/REPOSITORY in the file ``path``, or with the helper that it names; where.

    Raises ConfigError.
    """
    host = name.partition("/")[0]
    helper = _helper(read(File(path=path)), host)
    if helper:
        helpers.store(helper, _stored_as(host), credentials)
        _forget(name, path)  # older ones would count first
        return f"docker-credential-{helper}"
    text = f"{credentials.username}:{credentials.password}".encode()
    entry = {"auth": base64.b64encode(text).decode()}
    if credentials.identity_token:
        entry["identitytoken"] = credentials.identity_token

    def change(document: dict[str, Any]) -> bool:
        document["auths"] = {**(document.get("auths") or {}), name: entry}
        return True

    _change(path, change)
    return path


def erase(name: str, path: str) -> bool:
    """Forget the credentials of HOST or HOST/REPOSITORY; False if ``path`` has none. Raises ConfigError."""
    host = name.partition("/")[0]
    document = read(File(path=path))
    helper = _helper(document, host)
    gone = bool(helper) and helpers.erase(helper, _stored_as(host))
    return _forget(name, path) or gone


def _forget(name: str, path: str) -> bool:
    """Take a key out of "auths"; whether it was there."""

    def change(document: dict[str, Any]) -> bool:
        auths = document.get("auths") or {}
        doomed = [key for key in auths if key == name or ("://" in key and host_of(key) == name)]
        document["auths"] = {key: value for key, value in auths.items() if key not in doomed}
        return bool(doomed)

    return bool(read(File(path=path)).get("auths")) and _change(path, change)


def erase_all(path: str) -> list[str]:
    """Forget all credentials in ``path`` and with its helpers; whose. Raises ConfigError."""
    document = read(File(path=path))
    hosts = [str(host) for host in document.get("credHelpers") or {}]
    for host in hosts:
        helpers.erase(_helper(document, host), _stored_as(host))
    gone = [*hosts, *(document.get("auths") or {})]

    def change(document: dict[str, Any]) -> bool:
        document["auths"] = {}
        document.pop("credHelpers", None)
        return True

    if gone:
        _change(path, change)
    return gone


def _change(path: str, change: Callable[[dict[str, Any]], bool]) -> bool:
    """Read, change and replace a file, one process after the other; what is not ours in it stays."""
    directory = os.path.dirname(os.path.abspath(path))
    try:
        files.make_directory(directory)
        with FileLock(f"{path}.lock"):
            document = read(File(path=path))
            changed = change(document)
            if changed:
                # A link leads to where the user keeps it.
                target = os.path.realpath(path)
                files.replace(target, json.dumps(document, indent="\t").encode() + b"\n", mode=0o600, durable=True)
    except OSError as error:
        raise ConfigError(f"cannot write credentials {path}: {reason(error)}") from None
    return changed
