"""The client of one registry (OCI distribution-spec 1.1; Docker's API v2 is the same protocol)."""

from __future__ import annotations

import threading
from urllib.parse import quote

from pypod.errors import NotThere, RegistryError, Unauthorized
from pypod.oci import digest as digests
from pypod.oci import reference as references
from pypod.registry import answers, manifests, pages
from pypod.registry.access import VERIFIED, Answer, Credentials, Tls
from pypod.registry.body import Body
from pypod.registry.session import Session
from pypod.registry.upload import Upload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

__all__ = ["Answer", "Body", "Client", "Credentials", "Tls"]

_HOSTS = {"docker.io": "registry-1.docker.io"}
_SEARCHES = {"docker.io": "index.docker.io"}

MOST_MANIFEST = 4 << 20  # bytes; distribution-spec: registries should accept at least this


class Client:
    """One registry host: thread-safe, with connections that are kept alive, and a context manager.

    ``host`` is "name[:port]"; "docker.io" means registry-1.docker.io. ``insecure``: https without verification,
    then plain http (containers-registries.conf(5)). ``retry_delay`` in seconds; -1: 1, 2, 4 … up to 60, and what
    Retry-After says. ``on_retry`` gets a line for the user before each wait, from any thread.

    Every method raises RegistryError, with NotThere, Unauthorized and ConnectionCut below it.
    """

    def __init__(
        self,
        host: str,
        *,
        insecure: bool = False,
        tls: Tls = VERIFIED,
        credentials: Credentials | None = None,
        retries: int = 3,
        retry_delay: float = -1,
        on_retry: Callable[[str], None] | None = None,
    ) -> None:
        self.host = host
        self._open: set[Body] = set()
        self._lock = threading.Lock()

        def session(at: str) -> Session:
            return Session(
                host,
                at,
                insecure=insecure,
                tls=tls,
                credentials=credentials,
                retries=retries,
                retry_delay=retry_delay,
                on_retry=on_retry,
            )

        self._session = session(_HOSTS.get(host, host))
        self._searching = session(_SEARCHES[host]) if host in _SEARCHES else self._session

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; bodies that are being read end with ConnectionCut, and so do waits."""
        self._session.close()
        self._searching.close()
        with self._lock:
            bodies = list(self._open)
        for body in bodies:
            body.close()

    def ping(self) -> None:
        """Ask for /v2/ with the credentials: what login checks."""
        self._session.request("GET", "/v2/", f"pinging container registry {self.host}").discard()

    def manifest(self, repository: str, reference: str, *, limit: int = MOST_MANIFEST) -> Answer:
        """The manifest or index of a tag or digest, at most ``limit`` bytes long."""
        return manifests.read(self._session, repository, reference, limit)

    def manifest_digest(self, repository: str, reference: str) -> str:
        """The digest of a tag, without its manifest if the server says it in a header."""
        return manifests.digest_of(self._session, repository, reference, MOST_MANIFEST)

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> str:
        """Upload a manifest under a tag or digest. Returns its digest."""
        what = f"writing manifest {reference} to {self.host}/{repository}"
        digest = digests.of(data)
        reply = self._session.request(
            "PUT",
            f"/v2/{repository}/manifests/{reference}",
            what,
            scope=_push(repository),
            headers={"Content-Type": media_type},
            body=data,
            good=(201, 200, 202, 204),
        )
        reply.discard()
        said = reply.headers.get("Docker-Content-Digest", digest)
        if digests.valid(said) and said != digest:
            raise RegistryError(f"{what}: the registry has stored {said}, not {digest}")
        return digest

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Delete the manifest, and with it its tags."""
        self._session.request(
            "DELETE",
            f"/v2/{repository}/manifests/{digest}",
            f"deleting manifest {digest} in {self.host}/{repository}",
            scope=(f"repository:{repository}:pull,push,delete",),
            good=(202, 200, 204),
        ).discard()

    def has_blob(self, repository: str, digest: str) -> int:
        """The blob's size in bytes, -1 if it is not there.

        Asked for with the rights of a push, of which it is a step.
        """
        what = f"looking for blob {digest} in {self.host}/{repository}"
        try:
            reply = self._session.request("HEAD", _blob(repository, digest), what, scope=_push(repository))
        except NotThere:
            return -1
        reply.discard()
        size = answers.number(reply.headers.get("Content-Length", ""))
        if size < 0:
            raise RegistryError(f"{what}: the registry does not say its size")
        return size

    def open_blob(
        self, repository: str, digest: str, *, offset: int = 0, size: int = -1, urls: Sequence[str] = ()
    ) -> Body:
        """The blob's bytes from ``offset`` on. Whoever reads them checks the digest.

        ``size``, from the descriptor, bounds the blob. ``urls`` (foreign layers) are tried first, and see no
        credentials. Nothing is sent before the first ``read``.
        """
        what = f"reading blob {digest} in {self.host}/{repository}"
        body = Body(
            self._session,
            _blob(repository, digest),
            what,
            scope=manifests.pull(repository),
            urls=urls,
            offset=offset,
            size=size,
            ended=self._ended,
        )
        with self._lock:
            self._open.add(body)
        return body

    def mount_blob(self, repository: str, digest: str, source: str) -> bool:
        """Have a blob of the repository ``source`` appear in ``repository``; False if the registry would not."""
        what = f"mounting blob {digest} from {source} in {self.host}/{repository}"
        path = f"/v2/{repository}/blobs/uploads/?mount={quote(digest)}&from={quote(source, safe='')}"
        scope = (*_push(repository), *manifests.pull(source))
        try:
            reply = self._session.request("POST", path, what, scope=scope, body=b"", good=(201, 202))
        except (NotThere, Unauthorized):
            return False  # of the source; what is wrong with the target, the upload will say
        reply.discard()
        if reply.status == 201:
            return True
        upload = self._upload(repository, lambda: iter(()), digest, -1)
        upload.begun(reply)
        upload.cancel()
        return False

    def upload_blob(
        self, repository: str, open_: Callable[[], Iterator[bytes]], *, digest: str = "", size: int = -1
    ) -> tuple[str, int]:
        """Upload what ``open_()`` yields; called again for another try. Returns digest and size in bytes.

        ``digest`` and ``size``, where known, are checked.
        """
        return self._upload(repository, open_, digest, size).run()

    def tags(self, repository: str) -> Iterator[str]:
        """All tags of a repository, page by page."""
        what = f"listing tags of {self.host}/{repository}"
        found = pages.names(self._session, f"/v2/{repository}/tags/list", "tags", what, manifests.pull(repository))
        for tag in found:
            # It becomes part of a name, and of a path.
            if not references.is_tag(tag):
                raise RegistryError(f"{what}: {answers.shown(tag)!r} is not a tag")
            yield tag

    def catalog(self) -> Iterator[str]:
        """All repositories, page by page."""
        what = f"listing repositories of {self.host}"
        return pages.names(self._session, "/v2/_catalog", "repositories", what, ("registry:catalog:*",))

    def search(self, term: str, limit: int) -> list[dict[str, Any]]:
        """What the registry's /v1/search finds. NotThere if it has no such thing."""
        return pages.search(self._searching, term, limit)

    def _upload(self, repository: str, open_: Callable[[], Iterator[bytes]], digest: str, size: int) -> Upload:
        return Upload(self._session, repository, open_, digest=digest, size=size, scope=_push(repository))

    def _ended(self, body: Body) -> None:
        with self._lock:
            self._open.discard(body)


def _blob(repository: str, digest: str) -> str:
    return f"/v2/{repository}/blobs/{digest}"


def _push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)
