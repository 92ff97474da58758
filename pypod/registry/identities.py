"""Which image a signature must be for: "signedIdentity" in containers-policy.json(5)."""

from __future__ import annotations

import re

from pypod.base.record import record
from pypod.oci import reference
from pypod.oci.reference import Reference
from pypod.registry import strict

# A host, or a host and part of a path; neither tag nor digest.
_PREFIX = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[A-Fa-f0-9:]+\])"
    r"(?::[0-9]+)?(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z"
)
_OWN = ("matchExact", "matchRepoDigestOrExact", "matchRepository")


@record
class Identity:
    """``kind`` is the JSON "type"; ``given``: what an exact kind names; ``prefix`` and ``signed``: to remap."""

    kind: str = "matchRepoDigestOrExact"
    given: Reference | None = None
    prefix: str = ""
    signed: str = ""

    def accepts(self, image: Reference | None, claimed: str) -> bool:
        """Whether a signature that says ``claimed`` is one for ``image``: None if that has no registry's name."""
        try:
            signature = reference.parse(claimed)
        except reference.BadReference:
            return False
        if self.kind == "exactReference":
            return _complete(signature) and str(signature) == str(self.given)
        if self.kind == "exactRepository":
            return self.given is not None and signature.name == self.given.name
        if image is None:
            return False
        if self.kind == "matchRepository":
            return signature.name == image.name
        if self.kind == "remapIdentity":
            remapped = self._remapped(image)
            if remapped is None:
                return False
            image = remapped
        if not _complete(signature) or not _complete(image):
            return False
        if self.kind != "matchExact" and not image.tag:
            return signature.name == image.name
        return str(signature) == str(image)

    def _remapped(self, image: Reference) -> Reference | None:
        if image.name != self.prefix and not image.name.startswith(self.prefix + "/"):
            return image
        text = self.signed + str(image)[len(self.prefix) :]
        try:
            changed = reference.parse(text)
        except reference.BadReference:
            return None
        return changed if str(changed) == text else None


def _complete(value: Reference) -> bool:
    return bool(value.tag or value.digest)


def parse(value: object) -> Identity:
    """The identity of a policy's JSON object; None is the default. Raises strict.BadDocument."""
    if value is None:
        return Identity()
    document = strict.an_object(value, "signedIdentity")
    kind = strict.a_string(document.get("type"), "the type of signedIdentity")
    if kind in _OWN:
        strict.exactly(document, ("type",), "signedIdentity")
        return Identity(kind=kind)
    if kind == "exactReference":
        strict.exactly(document, ("type", "dockerReference"), "signedIdentity")
        given = _reference(document["dockerReference"], "dockerReference")
        if not _complete(given):
            raise strict.BadDocument(f"dockerReference {given} contains neither a tag nor digest")
        return Identity(kind=kind, given=given)
    if kind == "exactRepository":
        strict.exactly(document, ("type", "dockerRepository"), "signedIdentity")
        return Identity(kind=kind, given=_reference(document["dockerRepository"], "dockerRepository"))
    if kind == "remapIdentity":
        strict.exactly(document, ("type", "prefix", "signedPrefix"), "signedIdentity")
        prefix = strict.a_string(document["prefix"], "prefix")
        signed = strict.a_string(document["signedPrefix"], "signedPrefix")
        for text in (prefix, signed):
            if not _PREFIX.match(text):
                raise strict.BadDocument(f"prefix {strict.shown(text)} is not valid")
        return Identity(kind=kind, prefix=prefix, signed=signed)
    raise strict.BadDocument(f"Unknown policy reference match type {strict.shown(kind)}")


def _reference(value: object, what: str) -> Reference:
    text = strict.a_string(value, what)
    try:
        return reference.parse(text)
    except reference.BadReference as error:
        raise strict.BadDocument(f"Invalid format of {what} {strict.shown(text)}: {error.message}") from None
