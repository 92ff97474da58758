"""What is signed: the same JSON in simple signing (containers-signature(5)) and in sigstore's image signatures."""

from __future__ import annotations

from pypod.base.record import record
from pypod.errors import PolicyError
from pypod.oci import digest as digests
from pypod.registry import strict

SIMPLE = "atomic container signature"
SIGSTORE = "cosign container image signature"


@record
class Claim:
    """What a verified signature says; ``key``: the fingerprint of the primary key, "" for sigstore's."""

    digest: str
    reference: str
    key: str = ""


def write(digest: str, reference: str, creator: str, timestamp: int) -> bytes:
    """The text of a simple signature; ``timestamp`` in seconds since 1970."""
    import json

    document = {
        "critical": {
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": digest},
            "type": SIMPLE,
        },
        "optional": {"creator": creator, "timestamp": timestamp},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def read(text: bytes, kind: str, key: str = "") -> Claim:
    """The claim of a text that has been verified.

    Raises PolicyError.
    """
    try:
        document = strict.exactly(strict.loads(text), ("critical", "optional"), "the signature")
        critical = strict.exactly(document["critical"], ("type", "image", "identity"), "critical")
        found = strict.a_string(critical["type"], "critical.type")
        if found != kind:
            raise strict.BadDocument(f"Unrecognized signature type {strict.shown(found)}")
        image = strict.exactly(critical["image"], ("docker-manifest-digest",), "critical.image")
        identity = strict.exactly(critical["identity"], ("docker-reference",), "critical.identity")
        digest = strict.a_string(image["docker-manifest-digest"], "docker-manifest-digest")
        reference = strict.a_string(identity["docker-reference"], "docker-reference")
        if not digests.valid(digest):
            raise strict.BadDocument(f"docker-manifest-digest {strict.shown(digest)} is not a digest")
        if not reference.isprintable() or len(reference) > 1024:
            raise strict.BadDocument(f"docker-reference {strict.shown(reference)} is not a reference")
        if document["optional"] is not None or kind != SIGSTORE:  # cosign's, where there is nothing to say
            _check_optional(strict.an_object(document["optional"], "optional"))
    except (strict.BadDocument, OverflowError) as error:
        raise PolicyError(f"Invalid signature: {error}") from None
    return Claim(digest=digest, reference=reference, key=key)


def _check_optional(optional: dict[str, object]) -> None:
    if "creator" in optional:
        strict.a_string(optional["creator"], "optional.creator")
    if "timestamp" in optional:
        time = optional["timestamp"]
        if isinstance(time, bool) or not isinstance(time, (int, float)) or time != int(time):
            raise strict.BadDocument("Field optional.timestamp is not an integer")
