"""What lies under requests: connections whose reads are bounded in time, and TLS contexts.

A server may be slow, but not for ever: ``Drip`` ends a response that is silent for a minute or brings less than 4 KiB
in two minutes of waiting, in its headers as in its body. Nor may it send headers, "100 Continue" or trailers without
end.
"""

from __future__ import annotations

import errno
import io
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from pypod.errors import RegistryError, reason
from pypod.registry.access import Tls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Watch = Callable[[Any], None]

WINDOW = 120.0  # seconds of waiting in which
LEAST = 4096  # bytes must come
OVERHEAD = 1 << 20  # bytes that headers, or what is between the chunks of one read, may have
PATIENCE = 0.25  # seconds after which a read returns what it has

_FAR = float("inf")
_thread = threading.local()


class Drip(TimeoutError):
    """The server sends, but too slowly, or nothing that matters."""


class TimedReader(io.RawIOBase):
    """A socket's bytes, under the rule above."""

    def __init__(self, sock: Any, raw: Any) -> None:
        self._raw = raw
        self._receive = sock.recv_into
        self.until = _FAR  # when a read that has something returns
        self.fresh = False  # it has something
        self.budget = OVERHEAD  # bytes that may still come before the next read
        self.in_body = False  # errors wait until what came before them has been read
        self.error: OSError | None = None
        self._waited = 0.0
        self._got = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.error is not None:
            return 0
        began = time.monotonic()
        if self.fresh and began > self.until:
            return None
        try:
            count: int = self._receive(buffer)
            self._waited += time.monotonic() - began
            self._got += count
            self.budget -= count
            if self.budget < 0:
                raise Drip(f"more than {OVERHEAD >> 20} MiB came that says nothing")
            if self._waited > WINDOW:
                if self._got < LEAST:
                    raise Drip(f"less than {LEAST >> 10} KiB came in {WINDOW:.0f} seconds")
                self._waited, self._got = 0.0, 0
        except OSError as error:
            if not self.in_body:
                raise
            self.error = error
            return 0
        self.fresh = True
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class TimedResponse(HTTPResponse):
    """http.client's response over a TimedReader."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.socket = sock
        self.timed = TimedReader(sock, self.fp.detach())
        self.fp = io.BufferedReader(self.timed)
        watch: Watch | None = getattr(_thread, "watch", None)
        if watch is not None:
            watch(sock)


@contextmanager
def watched(watch: Watch | None) -> Iterator[None]:
    """Tell ``watch`` of the sockets on which this thread awaits replies."""
    _thread.watch = watch
    try:
        yield
    finally:
        _thread.watch = None


def shutdown(sock: Any) -> None:
    """End a read from ``sock`` that waits in another thread."""
    try:
        # Not the TLS socket's own, which would take the session away under the reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except (OSError, TypeError, ValueError):
        pass


class _Connection(HTTPConnection):
    response_class = TimedResponse


class _TlsConnection(HTTPSConnection):
    response_class = TimedResponse

    def send(self, data: Any) -> None:
        try:
            super().send(data)
        except ssl.SSLError as error:
            # A server that refuses a body says why, and closes. For a plain socket urllib3 knows, and reads on.
            if self.sock is None or isinstance(error, ssl.SSLCertVerificationError):
                raise
            raise BrokenPipeError(errno.EPIPE, "Broken pipe") from error


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class Adapter(HTTPAdapter):
    """requests' adapter with our connections and one TLS context for all of them."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=16, pool_maxsize=16, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """The context knows."""

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, _ = super().build_connection_pool_key_attributes(request, True, None)
        return host, {}


def context(tls: Tls, *, own: bool) -> ssl.SSLContext:
    """The TLS context for the registry itself (``own``), or for other hosts: those never see our certificate.

    Raises RegistryError when a file cannot be read.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    if tls.verify:
        # As in Go, any certificate that is given is an anchor, be it a root or not.
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        made.load_default_certs()
        for path in tls.authorities:
            _load(path, lambda path=path: made.load_verify_locations(path))
    else:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if tls.certificate and own:
        # A password callback, as OpenSSL would ask on the terminal.
        _load(tls.certificate, lambda: made.load_cert_chain(tls.certificate, tls.key or None, lambda: ""))
    return made


def _load(path: str, load: Any) -> None:
    try:
        load()
    except ssl.SSLError as error:
        raise RegistryError(f"cannot read certificate {path}: {error.reason or 'not PEM'}") from None
    except OSError as error:
        raise RegistryError(f"cannot read certificate {path}: {reason(error)}") from None
