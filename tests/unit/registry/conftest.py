"""Odd registries on loopback, and clients that do not wait long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pypod.registry.client import Client, Tls
from support.odd_server import Call, Certificates, OddServer
from support.registry import make_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority of the tests, and a certificate for localhost."""
    directory: Path = tmp_path_factory.mktemp("certificates")
    return Certificates(*make_certificates(directory))


@pytest.fixture(autouse=True)
def few_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's 140 authorities cost each client 50 ms, and none of them is needed here."""
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    monkeypatch.setenv("SSL_CERT_DIR", "/dev/null")


@pytest.fixture
def serve(certificates: Certificates) -> Iterator[Callable[..., OddServer]]:
    """Starts a server that answers as the function says: by plain HTTP, or by TLS with ``tls=True``."""
    with ExitStack() as stack:

        def start(answer: Callable[[Call], object], *, tls: bool = False, **more: Any) -> OddServer:
            return stack.enter_context(OddServer(answer, certificates=certificates if tls else None, **more))

        yield start


@pytest.fixture
def connect(certificates: Certificates) -> Iterator[Callable[..., Client]]:
    """A client of a server that ``serve`` started; it tries once more, without a wait."""
    with ExitStack() as stack:

        def client(server: OddServer, **more: Any) -> Client:
            more.setdefault("insecure", server.url.startswith("http:"))
            more.setdefault("tls", Tls(authorities=(str(certificates.authority),)))
            more.setdefault("retries", 1)
            more.setdefault("retry_delay", 0)
            return stack.enter_context(Client(server.host, **more))

        yield client
