"""``image trust``: policy.json shown and changed."""

from __future__ import annotations

import os
import re

from pypod.base import files, locks
from pypod.base.record import record
from pypod.errors import ConfigError, PolicyError, PypodError, UsageError, reason
from pypod.oci import reference as references
from pypod.registry import gpg, policy_file, registries_d

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from pypod.engine.context import Context
    from pypod.registry.policy_file import Requirement
    from pypod.registry.registries_d import Registries

_TYPES = {"insecureAcceptAnything": "accept", "reject": "reject", "signedBy": "signed"}
_PLAIN = {"accept": "insecureAcceptAnything", "reject": "reject"}
_WILD = re.compile(r"\*(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+\Z")
DEFAULT = "default"


@record
class Rule:
    """One requirement as podman shows it. ``transport`` is "all", "repository" (docker) or another one's name."""

    transport: str
    name: str
    scope: str
    type: str
    keys: str = ""  # whose signatures are demanded
    store: str = ""  # where signatures are read

    def document(self) -> dict[str, str]:
        """The keys of podman's JSON, without empty ones."""
        values = {
            "transport": self.transport,
            "name": self.name,
            "repo_name": self.scope,
            "sigstore": self.store,
            "type": self.type,
            "gpg_id": self.keys,
        }
        return {key: value for key, value in values.items() if value}

    def applies(self, name: str) -> bool:
        """Whether it is about ``name`` or something in there."""
        return self.scope == name or self.scope.startswith((f"{name}/", f"{name}:", f"{name}@"))


def text(context: Context, path: str = "") -> str:
    """The policy file as it is.

    Raises ConfigError.
    """
    place = policy_file.place(path, context.home)
    policy_file.read_document(place)
    return files.read(place, policy_file.MOST).decode()


def rules(context: Context, path: str = "", registries: str = "") -> list[Rule]:
    """Every requirement of the policy; ``registries``: the directory of containers-registries.d(5) to use.

    Raises ConfigError.
    """
    found = policy_file.read(path, context.home)
    places = registries_d.load(registries, context.home)
    result = list(_rules("all", "* (default)", DEFAULT, found.default, places))
    for transport, scopes in sorted(found.transports.items()):
        shown = "repository" if transport == "docker" else transport
        for scope, requirements in sorted(scopes.items()):
            result += _rules(shown, scope, scope, requirements, places)
    return result


def _rules(
    transport: str, name: str, scope: str, requirements: Sequence[Requirement], places: Registries
) -> Iterator[Rule]:
    store = places.above("" if scope == DEFAULT else scope).lookaside
    for requirement in requirements:
        yield Rule(
            transport=transport,
            name=name,
            scope=scope,
            type=_TYPES.get(requirement.kind, requirement.kind),
            keys=_users(requirement) if requirement.kind == "signedBy" else "",
            store=store,
        )


def _users(requirement: Requirement) -> str:
    """The mail addresses of a requirement's keys; a file that cannot be read is left out."""
    rings = [requirement.key_data] if requirement.key_data else []
    for path in requirement.key_paths:
        try:
            rings.append(files.read(path, policy_file.MOST))
        except OSError:
            continue
    try:
        with gpg.PrivateHome() as home:
            return ", ".join(dict.fromkeys(user for ring in rings for user in home.users(ring)))
    except PolicyError:
        return ""  # without gpg the list is as good as it can be


def change(context: Context, scope: str, kind: str, keys: Sequence[str], *, path: str = "") -> None:
    """Say what holds for ``scope``: "default", or a registry, a namespace, a repository or an image.

    ``kind`` is accept, reject, signedBy or sigstoreSigned, the latter two with files of public ``keys``. A user
    without a policy gets one that begins as the system's. Raises UsageError, ConfigError, PypodError.
    """
    _check_scope(scope)
    requirements = _requirements(kind, [os.path.abspath(key) for key in keys])
    place = path or policy_file.place("", context.home)
    target = policy_file.users(context.home) if not path and context.rootless else place
    directory = os.path.dirname(os.path.abspath(target))
    try:
        files.make_directory(directory, 0o755)
        with locks.DirectoryLock(directory):  # two changes at once are both kept
            document: dict[str, Any] = {}
            if os.path.exists(place):
                document = policy_file.read_document(place)
                policy_file.check(document, place)
            _put(document, scope, requirements)
            policy_file.check(document, place)
            files.replace(os.path.realpath(target), _written(document), mode=0o644, durable=True)
    except OSError as error:
        raise PypodError(f"cannot write {target}: {reason(error)}") from None


def _check_scope(scope: str) -> None:
    """Raises UsageError for what could never be the scope of an image."""
    if scope == DEFAULT or _WILD.match(scope):
        return
    host, slash, _ = scope.partition("/")
    try:
        # A host alone is one if a repository may follow it.
        whole = scope if slash else f"{scope}/ns/x"
        fine = references.parse(whole).domain == host and str(references.parse(whole)) == whole
    except references.BadReference:
        fine = False
    if not fine:
        raise UsageError(
            f"invalid image uri: {scope}", hint='a scope begins with a registry, like "docker.io/library/alpine"'
        )


def _requirements(kind: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    if kind in _PLAIN:
        if keys:
            raise UsageError(f"{len(keys)} public keys unexpectedly provided for trust type {kind}")
        return [{"type": _PLAIN[kind]}]
    if not keys:
        raise UsageError(f"at least one public key must be defined for type '{kind}'", hint="give --pubkeysfile FILE")
    for key in keys:
        try:
            ring = files.read(key, policy_file.MOST)
        except OSError as error:
            raise PypodError(f"cannot read {key}: {reason(error)}") from None
        if kind == "signedBy":
            with gpg.PrivateHome() as home:
                if not home.add_keys(ring):
                    raise PypodError(f"cannot use {key}: there is no public key in it")
    more = {"keyType": "GPGKeys"} if kind == "signedBy" else {}
    return [{"type": kind, **more, "keyPath": key} for key in keys]


def _put(document: dict[str, Any], scope: str, requirements: list[dict[str, Any]]) -> None:
    if scope == DEFAULT:
        document["default"] = requirements
    elif "default" not in document:
        raise ConfigError("default trust policy must be set", hint="pypod image trust set --type reject default")
    else:
        transports = document["transports"] = document.get("transports") or {}
        transports["docker"] = {**(transports.get("docker") or {}), scope: requirements}


def _written(document: dict[str, Any]) -> bytes:
    """In the order of podman's writer, so that two tools don't turn the file round."""
    import json

    ordered = {"default": document["default"]}
    if document.get("transports"):
        ordered["transports"] = {
            transport: dict(sorted(scopes.items())) for transport, scopes in sorted(document["transports"].items())
        }
    return json.dumps(ordered, indent=4, ensure_ascii=False).encode() + b"\n"
