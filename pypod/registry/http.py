"""One HTTP exchange: a request, a reply that is read piece by piece, and errors of ours.

Nothing is decoded, followed, remembered (cookies) or authenticated here. Proxies come from the environment
(http_proxy, https_proxy, no_proxy), and nothing else does: neither ~/.netrc nor REQUESTS_CA_BUNDLE is read.
"""

from __future__ import annotations

import http.client
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import urllib3
from requests.exceptions import RequestException
from requests.models import PreparedRequest
from requests.utils import get_environ_proxies

from pypod import __version__
from pypod.errors import ConnectionCut, RegistryError
from pypod.registry import wire
from pypod.registry.access import Tls
from pypod.registry.causes import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT = 30.0  # seconds
SILENCE = 60.0  # seconds without a byte
# Bytes that must go out within the socket's timeout: with the frame of a chunk, four full TLS records.
PIECE = (1 << 16) - 8
_CHUNKED_READ = 1 << 14

urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


class Reply:
    """A response whose body has not been read. It must be read to its end, discarded, or closed.

    ``length`` is the body's in bytes, -1 where the server does not say; ``framed``: its end can be told from a cut.
    """

    def __init__(self, raw: Any, url: str, host: str) -> None:
        self.status: int = raw.status
        self.headers: Mapping[str, str] = raw.headers
        self.url = url
        self._raw = raw
        self._host = host
        self._body: wire.TimedResponse = raw._fp
        self.length = -1 if self._body.length is None else int(self._body.length)
        self.framed = self.length >= 0 or bool(self._body.chunked)
        self._left = self.length
        self._timed = self._body.timed
        self._timed.in_body = True
        if self.length == 0:
            self._finish()

    def read(self, count: int) -> bytes:
        """At most ``count`` bytes, b"" at the end; fewer when the server is slow.

        Raises ConnectionCut, also when the body ends before its length.
        """
        if self._left == 0:
            return b""
        timed = self._timed
        if self._body.chunked:
            count = min(count, _CHUNKED_READ)  # http.client waits for all of it
        else:
            timed.fresh, timed.until = False, time.monotonic() + wire.PATIENCE
        timed.budget = count + wire.OVERHEAD
        try:
            data: bytes = self._body.read(count)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise explain(timed.error or error, self._host) from None
        if data:
            if self._left > 0:
                self._left -= len(data)
                if not self._left:
                    self._finish()
            return data
        if timed.error is not None:
            raise explain(timed.error, self._host) from None
        if self._left > 0:
            raise ConnectionCut(f"{self._host} closed the connection {self._left} bytes before the end")
        self._finish()
        return b""

    def read_all(self, limit: int) -> bytes:
        """The whole body. Raises RegistryError as soon as it is known to be longer than ``limit`` bytes."""
        parts, have = [], 0
        try:
            if self.length > limit:
                raise TooLong
            while data := self.read(min(limit + 1 - have, 1 << 18)):
                parts.append(data)
                have += len(data)
                if have > limit:
                    raise TooLong
        except BaseException:
            self.close()
            raise
        return b"".join(parts)

    def discard(self) -> None:
        """Read a short rest, so that the connection can serve again; close it where the rest is long."""
        try:
            self.read_all(PIECE)
        except RegistryError:
            pass

    def close(self) -> None:
        """Drop the connection."""
        self._raw.close()

    def _finish(self) -> None:
        self._left = 0
        self._body.close()
        self._raw.release_conn()


class TooLong(RegistryError):
    """A body is longer than it may be."""

    def __init__(self) -> None:
        super().__init__("the answer is too long")


class Transport:
    """Connections to all hosts that one registry leads to; thread-safe. Only ``own`` ones show our certificate."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._adapters: dict[bool, wire.Adapter] = {}
        self._lock = threading.Lock()

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Iterator[bytes] | None = None,
        *,
        length: int = -1,
        own: bool = False,
        silence: float = SILENCE,
        watch: wire.Watch | None = None,
    ) -> Reply:
        """Send one request. An iterator is sent chunked, or as ``length`` bytes.

        ``watch`` gets the socket on which the reply is awaited.

        Raises ConnectionCut where another try may help, RegistryError where not.
        """
        request = PreparedRequest()
        all_headers = {"User-Agent": f"pypod/{__version__}", "Accept-Encoding": "identity", **headers}
        try:
            parts = urlsplit(url)
        except ValueError:
            raise RegistryError(f"not a URL: {url[:200]!r}") from None
        host = parts.netloc.rpartition("@")[2]
        try:
            request.prepare(method=method, url=url, headers=all_headers)
            if isinstance(body, bytes):
                length = len(body)
                body = pieces(body) if body else None
            # requests has set it, to 0, for each request that has no body so far.
            if body is not None or length < 0 or method in ("GET", "HEAD"):
                request.headers.pop("Content-Length", None)
            if length >= 0:
                request.headers["Content-Length"] = str(length)
            elif body is not None:
                request.headers["Transfer-Encoding"] = "chunked"
            request.body = body  # type: ignore[assignment]
            timeout = min(CONNECT, silence), silence
            with wire.watched(watch):
                response = self._adapter(own).send(
                    request, stream=True, timeout=timeout, proxies=_proxies(url, parts.hostname)
                )
            return Reply(response.raw, url, host)
        except (RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise explain(error, host) from None
        except ValueError:  # what urllib3 and idna say of impossible URLs
            raise RegistryError(f"not a URL: {url[:200]!r}") from None

    def close(self) -> None:
        """Close the connections that nobody uses now."""
        with self._lock:
            for adapter in self._adapters.values():
                adapter.close()

    def _adapter(self, own: bool) -> wire.Adapter:
        own = own or not self._tls.certificate
        with self._lock:
            if own not in self._adapters:
                self._adapters[own] = wire.Adapter(wire.context(self._tls, own=own))
            return self._adapters[own]


def pieces(data: bytes) -> Iterator[bytes]:
    """``data`` in pieces that a slow line can send within the timeout."""
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


def _proxies(url: str, host: str | None) -> dict[str, str]:
    # As Go does, never a proxy for the loopback.
    if host is None or host == "localhost" or host == "::1" or host.startswith("127."):
        return {}
    return dict(get_environ_proxies(url))
