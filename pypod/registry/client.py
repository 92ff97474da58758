"""The client of one registry (OCI distribution-spec 1.1; Docker's API v2 is the same protocol)."""

from __future__ import annotations

from pypod.registry.access import VERIFIED, Answer, Credentials, Tls
from pypod.registry.body import Body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Any

__all__ = ["Answer", "Body", "Client", "Credentials", "Tls"]

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

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        raise NotImplementedError

    def ping(self) -> None:
        """Ask for /v2/ with the credentials: what login checks."""
        raise NotImplementedError

    def manifest(self, repository: str, reference: str, *, limit: int = MOST_MANIFEST) -> Answer:
        """The manifest or index of a tag or digest, at most ``limit`` bytes long."""
        raise NotImplementedError

    def manifest_digest(self, repository: str, reference: str) -> str:
        """The digest of a tag, without its manifest if the server says it in a header."""
        raise NotImplementedError

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> str:
        """Upload a manifest under a tag or digest. Returns its digest."""
        raise NotImplementedError

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Delete the manifest, and with it its tags."""
        raise NotImplementedError

    def has_blob(self, repository: str, digest: str) -> int:
        """The blob's size in bytes, -1 if it is not there."""
        raise NotImplementedError

    def open_blob(
        self, repository: str, digest: str, *, offset: int = 0, size: int = -1, urls: Sequence[str] = ()
    ) -> Body:
        """The blob's bytes from ``offset`` on. Whoever reads them checks the digest.

        ``size``, from the descriptor, bounds the blob. ``urls`` (foreign layers) are tried first, and see no
        credentials.
        """
        raise NotImplementedError

    def mount_blob(self, repository: str, digest: str, source: str) -> bool:
        """Have a blob of the repository ``source`` appear in ``repository``; False if the registry would not."""
        raise NotImplementedError

    def upload_blob(
        self, repository: str, open_: Callable[[], Iterator[bytes]], *, digest: str = "", size: int = -1
    ) -> tuple[str, int]:
        """Upload what ``open_()`` yields; called again for another try. Returns digest and size in bytes.

        ``digest`` and ``size``, where known, are checked.
        """
        raise NotImplementedError

    def tags(self, repository: str) -> Iterator[str]:
        """All tags of a repository, page by page."""
        raise NotImplementedError

    def catalog(self) -> Iterator[str]:
        """All repositories, page by page."""
        raise NotImplementedError

    def search(self, term: str, limit: int) -> list[dict[str, Any]]:
        """What the registry's /v1/search finds. NotThere if it has no such thing."""
        raise NotImplementedError
