"""Further tries, waits, insecure registries, and what is said when nothing helps."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from email.utils import formatdate

import pytest

from pypod.errors import ConnectionCut, RegistryError
from pypod.registry import answers, tries
from pypod.registry.client import Client, Credentials, Tls
from support.odd_server import Call, OddServer
from support.registry import free_port

Serve = Callable[..., OddServer]
Connect = Callable[..., Client]

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")


class Stop:
    """An event that remembers how long it was waited for."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return False


def waits(count: int, delay: float, error: RegistryError) -> list[float]:
    stop = Stop()
    some = tries.Tries(count, delay, stop)  # type: ignore[arg-type]
    with pytest.raises(type(error)):
        for _ in range(20):
            some.again(error)
    return stop.waits


def later(after: float) -> answers.Later:
    error = answers.Later("busy")
    error.after = after
    return error


def test_waits() -> None:
    assert waits(8, -1, ConnectionCut("x")) == [1, 2, 4, 8, 16, 32, 60, 60]
    assert waits(2, 0.5, ConnectionCut("x")) == [0.5, 0.5]
    assert waits(0, -1, ConnectionCut("x")) == []
    assert waits(3, -1, RegistryError("x")) == []
    assert waits(2, -1, later(7)) == [7, 7]
    assert waits(1, -1, later(-1)) == [1]


def test_retry_after() -> None:
    assert answers.retry_after({}) == -1
    assert answers.retry_after({"Retry-After": "7"}) == 7
    assert answers.retry_after({"Retry-After": "100000"}) == 60
    assert 20 < answers.retry_after({"Retry-After": formatdate(time.time() + 30, usegmt=True)}) <= 30
    assert answers.retry_after({"Retry-After": formatdate(time.time() - 30)}) == 0
    for rubbish in ("soon", "-1", "1e9", "\u00b2", "9" * 5000):
        assert answers.retry_after({"Retry-After": rubbish}) == -1


@pytest.mark.parametrize("where", ["main", "worker"])
def test_interrupt_ends_a_wait(where: str, serve: Serve, connect: Connect) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def on_retry(line: str) -> None:
        if where == "main":
            threading.Thread(target=signal.pthread_kill, args=(main, signal.SIGINT)).start()
        else:
            threading.Thread(target=client.close).start()

    server = serve(lambda call: call.send(503), tls=True)
    client = connect(server, retry_delay=600, on_retry=on_retry)
    with pytest.raises(KeyboardInterrupt if where == "main" else ConnectionCut):
        client.ping()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_status_that_asks_for_patience(status: int, serve: Serve, connect: Connect) -> None:
    said: list[str] = []
    server = serve(lambda call: call.send(200 if len(server.calls) > 2 else status), tls=True)
    connect(server, retries=2, on_retry=said.append).ping()
    assert len(server.calls) == 3 and len(said) == 2
    assert said[0].startswith(f"pinging container registry {server.host}: ")
    assert said[0].endswith("; trying again in 0s (1/2)")
    failing = serve(lambda call: call.send(status), tls=True)
    with pytest.raises(ConnectionCut):
        connect(failing, retries=2).ping()
    assert len(failing.calls) == 3


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_status_that_is_final(status: int, serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: call.send(status), tls=True)
    with pytest.raises(RegistryError):
        connect(server, retries=2).ping()
    assert len(server.calls) == 1


def test_kept_connection_that_the_server_has_closed(serve: Serve, connect: Connect) -> None:
    said: list[str] = []

    def answer(call: Call) -> None:
        if len(server.calls) == 2:
            call.cut()
        else:
            call.send(200)

    server = serve(answer, tls=True)
    client = connect(server, on_retry=said.append)
    client.ping()
    client.ping()
    assert len(server.calls) == 3 and not said


@pytest.mark.parametrize(
    "rubbish", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 99_999]
)
def test_no_http(rubbish: bytes, serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        call.wfile.write(rubbish)
        call.cut()

    server = serve(answer, tls=True)
    with pytest.raises(ConnectionCut, match=f"pinging container registry {server.host}: {server.host} "):
        connect(server).ping()


def test_nobody_listens() -> None:
    host = f"localhost:{free_port()}"
    for insecure in (False, True):
        with Client(host, insecure=insecure, retries=0) as client:
            with pytest.raises(ConnectionCut, match=f"cannot reach {host}: Connection refused"):
                client.ping()


@pytest.mark.parametrize(
    "host", ["localhost:99999", "local host", "-", "a..b", "x" * 300, "[::1", "localhost:0", "u@h", "a/b", "a?b", ""]
)
@pytest.mark.parametrize("insecure", [False, True])
def test_hosts_that_cannot_be(host: str, insecure: bool) -> None:
    with pytest.raises(RegistryError), Client(host, insecure=insecure, retries=0) as client:
        client.ping()


def test_socks_without_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://u:secret@localhost:1")
    with Client("registry.invalid", retries=0) as client, pytest.raises(RegistryError) as caught:
        client.ping()
    assert "secret" not in str(caught.value)


def test_unknown_authority_and_wrong_name(serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: call.send(200), tls=True)
    with pytest.raises(RegistryError, match=f"cannot trust the certificate of {server.host}: ") as caught:
        connect(server, tls=Tls()).ping()
    assert "--tls-verify=false" in caught.value.hint and f"certs.d/{server.host}" in caught.value.hint
    connect(server, tls=Tls(verify=False)).ping()
    port = server.host.rpartition(":")[2]
    with Client(f"127.0.0.2:{port}", tls=Tls(verify=False), retries=0) as client, pytest.raises(ConnectionCut):
        client.ping()  # it listens on 127.0.0.1 alone


@pytest.mark.parametrize("field", ["authorities", "certificate"])
@pytest.mark.parametrize("content", [None, "no PEM"])
def test_unreadable_certificates(field: str, content: str | None, tmp_path: object, serve: Serve) -> None:
    path = f"{tmp_path}/file.crt"
    if content is not None:
        with open(path, "w") as file:
            file.write(content)
    tls = Tls(authorities=(path,)) if field == "authorities" else Tls(certificate=path)
    with (
        Client("localhost:1", tls=tls) as client,
        pytest.raises(RegistryError, match=f"cannot read certificate {path}"),
    ):
        client.ping()


def test_plain_http_is_for_the_insecure(serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: call.send(200))
    with pytest.raises(RegistryError, match="does not speak TLS") as caught:
        connect(server, insecure=False).ping()
    assert "--tls-verify=false" in caught.value.hint and not server.calls
    client = connect(server, insecure=True)
    client.ping()
    client.ping()
    assert server.asked() == ["GET /v2/"] * 3  # the first to find out, without credentials


def test_insecure_prefers_tls_and_sends_no_credentials_to_find_out(serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        call.send(200 if call.authorization else 401, b"", {"WWW-Authenticate": "Basic realm=x"})

    server = serve(answer, tls=True)
    connect(server, insecure=True, credentials=Credentials(username="u", password="p")).ping()
    assert [bool(call.authorization) for call in server.calls] == [False, False, True]


def test_dockers_registry_is_elsewhere() -> None:
    with Client("docker.io") as client:
        assert client.host == "docker.io"
        assert client._session.base() == "https://registry-1.docker.io"
        assert client._searching.base() == "https://index.docker.io"
