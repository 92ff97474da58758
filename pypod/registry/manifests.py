"""Manifests as a registry sends them: bounded, with the right digest, of a kind that is known."""

from __future__ import annotations

from pypod.base import fastjson
from pypod.errors import NotThere, RegistryError, Unauthorized
from pypod.oci import digest as digests
from pypod.registry import answers
from pypod.registry.access import Answer
from pypod.registry.http import TooLong

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.registry.http import Reply
    from pypod.registry.session import Session

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
_VAGUE = frozenset(("", "application/json", "text/plain", "application/octet-stream", "binary/octet-stream"))
_DIGEST = "Docker-Content-Digest"


def read(session: Session, repository: str, reference: str, limit: int) -> Answer:
    """The manifest of a tag or digest, at most ``limit`` bytes."""
    what = f"reading manifest {reference} in {session.name}/{repository}"
    if ":" in reference and not digests.valid(reference):
        raise RegistryError(f"{what}: only sha256 digests are known")
    tries = session.tries()
    while True:
        try:
            reply = _ask(session, "GET", repository, reference, what)
            if reply.status != 200:
                raise session.failure(reply, what)
            answers.plain(reply, what)
            try:
                data = reply.read_all(limit)
            except TooLong:
                raise RegistryError(f"{what}: it is longer than {answers.size(limit)}") from None
            break
        except RegistryError as error:
            tries.again(error)
    digest = digests.of(data)
    said = reply.headers.get(_DIGEST, "").strip()
    if ":" in reference and digest != reference:
        raise RegistryError(f"{what}: the registry sends another, with digest {digest}")
    if digests.valid(said) and said != digest:
        raise RegistryError(f"{what}: its digest is {digest}, the registry says {said}")
    return Answer(data=data, media_type=_media_type(reply, data, what), digest=digest)


def digest_of(session: Session, repository: str, reference: str, limit: int) -> str:
    """The digest of a tag, by HEAD where the registry can do that."""
    what = f"reading manifest {reference} in {session.name}/{repository}"
    try:
        reply = session.request(
            "HEAD",
            f"/v2/{repository}/manifests/{reference}",
            what,
            scope=pull(repository),
            headers={"Accept": ACCEPT},
        )
    except Unauthorized:
        raise
    except NotThere as error:
        raise NotThere(f"{what}: manifest unknown", hint=error.hint) from None
    except RegistryError:
        return read(session, repository, reference, limit).digest
    reply.discard()
    said = reply.headers.get(_DIGEST, "").strip()
    if not digests.valid(said):
        return read(session, repository, reference, limit).digest
    if ":" in reference and said != reference:
        raise RegistryError(f"{what}: the registry has another, with digest {said}")
    return said


def pull(repository: str) -> tuple[str, ...]:
    """The scope of reading."""
    return (f"repository:{repository}:pull",)


def _ask(session: Session, method: str, repository: str, reference: str, what: str) -> Reply:
    return session.exchange(
        method, f"/v2/{repository}/manifests/{reference}", what, scope=pull(repository), headers={"Accept": ACCEPT}
    )


def _media_type(reply: Reply, data: bytes, what: str) -> str:
    media_type = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type in _VAGUE or media_type.startswith(_SCHEMA_1):
        try:
            document = fastjson.loads(data)
        except fastjson.BadJson:
            document = None
        if isinstance(document, dict):
            if document.get("schemaVersion") == 1:
                raise RegistryError(
                    f"{what}: it is of Docker's schema 1, which is not supported",
                    hint="push the image again with a newer tool",
                )
            inner = document.get("mediaType", "")
            return inner if isinstance(inner, str) else ""
        return "" if media_type in _VAGUE else media_type
    if media_type.startswith("text/"):
        raise RegistryError(f"{what}: the registry sends {answers.shown(media_type, 60)}, not a manifest")
    return media_type
