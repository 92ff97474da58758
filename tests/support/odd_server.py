"""Small real HTTP servers on loopback that answer as a test wants: wrongly, slowly, or not at all.

    with OddServer(answer) as server: ...

``answer(call)`` is called in a thread of its own for each request, with the request read; it answers by ``call.send``
or writes what it likes to ``call.wfile``.
"""

from __future__ import annotations

import copy
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Certificates(NamedTuple):
    """PEM files: what registry.make_certificates makes."""

    authority: Path
    certificate: Path
    key: Path


class Call(BaseHTTPRequestHandler):
    """One request: ``command``, ``path``, ``headers``, ``body``; and the means to answer it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    body: bytes

    def send(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """A well-formed answer, with a Content-Length unless ``headers`` has one."""
        self.send_response_only(status)
        all_headers = {"Content-Length": str(len(body)), **(headers or {})}
        for name, value in all_headers.items():
            for one in value.split("\n"):  # several headers of one name
                self.send_header(name, one)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self) -> None:
        """Drop the connection, with what has been written."""
        self.wfile.flush()
        self.close_connection = True

    @property
    def route(self) -> str:
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)

    @property
    def authorization(self) -> str:
        return str(self.headers.get("Authorization", ""))

    def _any(self) -> None:
        try:
            early = self.server.odd.early
            if early is not None and early(self):
                self.close_connection = True
                return
            self.body = self._read_body()
            call = copy.copy(self)  # as the next request of this connection overwrites it
            self.server.odd.calls.append(call)
            self.server.odd.answer(call)
            self.close_connection = self.close_connection or call.close_connection
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = _any

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    odd: OddServer

    def finish_request(self, request: Any, client_address: Any) -> None:
        if isinstance(request, ssl.SSLSocket):
            try:
                request.do_handshake()
            except ssl.SSLError:
                # Until the client has read why: a reset would take that away.
                while socket.socket.recv(request, 4096):
                    pass
                return
        super().finish_request(request, client_address)

    def handle_error(self, *_: Any) -> None:
        pass


class OddServer:
    """``host`` is "localhost:PORT", ``url`` has the scheme, ``calls`` is what was asked so far.

    ``early`` sees each request before its body is read; if it answers (and returns True), the connection is closed.
    """

    def __init__(
        self,
        answer: Callable[[Call], object],
        *,
        certificates: Certificates | None = None,
        client_authority: bool = False,
        early: Callable[[Call], bool] | None = None,
    ) -> None:
        self.answer = answer
        self.early = early
        self.calls: list[Call] = []
        self._server = _Server(("127.0.0.1", 0), Call)
        self._server.odd = self
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.certificate, certificates.key)
            if client_authority:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(certificates.authority)
            # The handshake belongs into the connection's thread.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.host = f"localhost:{self._server.server_address[1]}"
        self.url = f"{'https' if certificates else 'http'}://{self.host}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def asked(self) -> list[str]:
        """ "METHOD path" of each call."""
        return [f"{call.command} {call.path}" for call in self.calls]

    def __enter__(self) -> OddServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
