"""Blobs from servers that cut, lie, drip, or never end."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from pypod.errors import ConnectionCut, NotThere, RegistryError
from pypod.registry import wire
from pypod.registry.client import Body, Client
from support.odd_server import Call, OddServer

Serve = Callable[..., OddServer]
Connect = Callable[..., Client]

DIGEST = "sha256:" + "0" * 64
DATA = bytes(range(256)) * 400


def everything(body: Body, count: int = 1 << 15) -> bytes:
    return b"".join(iter(lambda: body.read(count), b""))


def start_of(call: Call) -> int:
    return int(call.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))


def part(call: Call, until: int = len(DATA)) -> None:
    """A correct answer, of which only what is before ``until`` comes."""
    start = start_of(call)
    call.send_response_only(206 if "Range" in call.headers else 200)
    call.send_header("Content-Length", str(len(DATA) - start))
    if "Range" in call.headers:
        call.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
    call.end_headers()
    call.wfile.write(DATA[start:until])
    if until < len(DATA):
        call.cut()


@pytest.mark.parametrize("tls", [False, True])
def test_goes_on_after_cuts(tls: bool, serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: part(call, start_of(call) + 10_000), tls=tls)
    body = connect(server).open_blob("a", DIGEST, size=len(DATA))
    assert everything(body) == DATA
    assert [start_of(call) for call in server.calls if call.route != "/v2/"] == list(range(0, len(DATA), 10_000))


def test_from_an_offset(serve: Serve, connect: Connect) -> None:
    server = serve(part, tls=True)
    client = connect(server)
    assert everything(client.open_blob("a", DIGEST, offset=1000, size=len(DATA))) == DATA[1000:]
    assert everything(client.open_blob("a", DIGEST, offset=1000)) == DATA[1000:]
    assert everything(client.open_blob("a", DIGEST, offset=len(DATA), size=len(DATA))) == b""
    assert len(server.calls) == 2
    with pytest.raises(RegistryError, match="is not in it"):
        client.open_blob("a", DIGEST, offset=len(DATA) + 1, size=len(DATA))


def test_one_connection_serves_all(serve: Serve, connect: Connect) -> None:
    server = serve(part, tls=True)
    client = connect(server)
    for _ in range(3):
        assert everything(client.open_blob("a", DIGEST, size=len(DATA))) == DATA
        assert everything(client.open_blob("a", DIGEST)) == DATA
    assert len({call.client_address for call in server.calls}) == 1


def test_server_that_knows_no_ranges(serve: Serve, connect: Connect) -> None:
    cuts = [30_000, 60_000, len(DATA)]

    def answer(call: Call) -> None:
        until = cuts.pop(0)
        call.send_response_only(200)
        call.send_header("Content-Length", str(len(DATA)))
        call.end_headers()
        call.wfile.write(DATA[:until])
        call.cut()

    server = serve(answer, tls=True)
    assert everything(connect(server).open_blob("a", DIGEST, size=len(DATA))) == DATA


def test_gives_up_without_progress(serve: Serve, connect: Connect) -> None:
    said: list[str] = []
    server = serve(lambda call: part(call, 20_000), tls=True)
    body = connect(server, retries=2, on_retry=said.append).open_blob("a", DIGEST, size=len(DATA))
    got = b""
    with pytest.raises(ConnectionCut, match="reading blob .* bytes before the end"):
        while data := body.read(1 << 15):
            got += data
    assert got == DATA[:20_000]
    assert len(server.calls) == 3 and len(said) == 2 and "trying again in 0s (2/2)" in said[1]


def test_dribs_are_no_progress(serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: part(call, start_of(call) + 100), tls=True)
    with pytest.raises(ConnectionCut):
        everything(connect(server, retries=3).open_blob("a", DIGEST, size=len(DATA)))
    assert len(server.calls) == 4


@pytest.mark.parametrize(
    "content_range", ["", "bytes 0-9/*", "bytes 2000-102399/102400", "bytes 1000-102399/5", "bytes x", "1000-"]
)
def test_another_range_than_asked(content_range: str, serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: call.send(206, DATA[1000:], {"Content-Range": content_range}), tls=True)
    with pytest.raises(RegistryError, match="sends another range"):
        everything(connect(server).open_blob("a", DIGEST, offset=1000, size=len(DATA)))
    assert len(server.calls) == 1


def test_range_not_satisfiable(serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: call.send(416, b"", {"Content-Range": f"bytes */{len(DATA)}"}), tls=True)
    client = connect(server)
    assert everything(client.open_blob("a", DIGEST, offset=len(DATA))) == b""
    with pytest.raises(RegistryError, match="nothing from byte 7 on"):
        everything(client.open_blob("a", DIGEST, offset=7))


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1, 0])
def test_length_that_is_not_the_descriptors(size: int, serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: call.send(200, DATA), tls=True)
    body = connect(server).open_blob("a", DIGEST, size=size)
    if size == 0:
        assert everything(body) == b"" and not server.calls
        return
    with pytest.raises(RegistryError, match=f"it has {len(DATA)} bytes, not {size}"):
        everything(body)
    assert len(server.calls) == 1


def chunks(call: Call, data: bytes, *, ended: bool = True) -> None:
    call.send_response_only(200)
    call.send_header("Transfer-Encoding", "chunked")
    call.end_headers()
    for at in range(0, len(data), 7000):
        piece = data[at : at + 7000]
        call.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    if ended:
        call.wfile.write(b"0\r\n\r\n")
    else:
        call.cut()


def test_chunked(serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: chunks(call, DATA), tls=True)
    client = connect(server)
    assert everything(client.open_blob("a", DIGEST, size=len(DATA))) == DATA
    assert everything(client.open_blob("a", DIGEST)) == DATA
    assert everything(client.open_blob("a", DIGEST, offset=5000)) == DATA[5000:]
    assert len({call.client_address for call in server.calls}) == 1
    with pytest.raises(RegistryError, match="it is longer than 5000 bytes"):
        everything(client.open_blob("a", DIGEST, size=5000))
    with pytest.raises(RegistryError, match=f"it has {len(DATA)} bytes, not 999999"):
        everything(client.open_blob("a", DIGEST, size=999_999))


def test_chunked_and_cut(serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        if "Range" in call.headers:
            part(call)
        else:
            chunks(call, DATA[:50_000], ended=False)

    server = serve(answer, tls=True)
    assert everything(connect(server).open_blob("a", DIGEST)) == DATA


def test_endless_body(serve: Serve, connect: Connect) -> None:
    sent = [0]

    def answer(call: Call) -> None:
        call.send_response_only(200)
        call.send_header("Connection", "close")
        call.end_headers()
        while True:
            call.wfile.write(DATA)
            sent[0] += len(DATA)

    server = serve(answer, tls=True)
    with pytest.raises(RegistryError, match=f"longer than {len(DATA)} bytes"):
        everything(connect(server).open_blob("a", DIGEST, size=len(DATA)))
    assert sent[0] < 32 << 20


def test_body_that_ends_with_the_connection(serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        if "Range" in call.headers:
            part(call)
            return
        call.send_response_only(200)
        call.send_header("Connection", "close")
        call.end_headers()
        call.wfile.write(DATA[:60_000])
        call.close_connection = True

    server = serve(answer, tls=True)
    assert everything(connect(server).open_blob("a", DIGEST, size=len(DATA))) == DATA
    assert len(server.calls) == 2


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br, gzip"])
def test_content_encoding_is_refused(encoding: str, serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: call.send(200, DATA, {"Content-Encoding": encoding}), tls=True)
    with pytest.raises(RegistryError, match="Content-Encoding"):
        everything(connect(server).open_blob("a", DIGEST, size=len(DATA)))
    assert server.calls[0].headers["Accept-Encoding"] == "identity"


def test_not_there(serve: Serve, connect: Connect) -> None:
    server = serve(
        lambda call: call.send(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}'), tls=True
    )
    with pytest.raises(NotThere, match=r"reading blob .* in .*/a: blob unknown$"):
        connect(server).open_blob("a", DIGEST).read(1)
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0" * 999),
    ],
)
def test_endless_nothing(start: bytes, endless: bytes, serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        call.wfile.write(start)
        while True:
            call.wfile.write(endless * 1000)

    server = serve(answer, tls=True)
    with pytest.raises(RegistryError, match="that says nothing|does not speak HTTP"):
        everything(connect(server, retries=0).open_blob("a", DIGEST))


def test_range_in_parts(serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        start = start_of(call)
        piece = DATA[start : start + 40_000]
        call.send(206, piece, {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{len(DATA)}"})

    server = serve(answer, tls=True)
    assert everything(connect(server).open_blob("a", DIGEST, size=len(DATA), offset=1)) == DATA[1:]
    assert len(server.calls) == 3


@pytest.mark.parametrize("where", ["headers", "body"])
def test_dripping(where: str, serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "WINDOW", 0.1)
    stop = threading.Event()

    def answer(call: Call) -> None:
        if where == "body":
            call.send_response_only(200)
            call.send_header("Content-Length", str(len(DATA)))
            call.end_headers()
        else:
            call.wfile.write(b"HTTP/1.1 200 ")
        while not stop.wait(0.01):
            call.wfile.write(b"x")

    server = serve(answer, tls=True)
    try:
        with pytest.raises(ConnectionCut, match="less than 4 KiB came"):
            everything(connect(server, retries=0).open_blob("a", DIGEST, size=len(DATA)))
    finally:
        stop.set()


def test_slow_bytes_are_handed_on(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 0.0)
    go = threading.Event()

    def answer(call: Call) -> None:
        call.send_response_only(200)
        call.send_header("Content-Length", str(len(DATA)))
        call.end_headers()
        call.wfile.write(DATA[:20_000])
        go.wait(30)
        call.wfile.write(DATA[20_000:])

    body = connect(serve(answer, tls=True)).open_blob("a", DIGEST, size=len(DATA))
    first = body.read(len(DATA))  # although more was asked for
    assert first and DATA[:20_000].startswith(first)
    go.set()
    assert first + everything(body) == DATA


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("where", ["headers", "body", "wait"])
@pytest.mark.parametrize("closer", ["body", "client"])
def test_close_ends_a_read_in_another_thread(
    tls: bool, where: str, closer: str, serve: Serve, connect: Connect
) -> None:
    hangs, release = threading.Event(), threading.Event()

    def answer(call: Call) -> None:
        if call.route == "/v2/":
            call.send(200)
            return
        if where == "wait":
            call.send(503)
            return
        if where == "body":
            call.send_response_only(200)
            call.send_header("Content-Length", str(len(DATA)))
            call.end_headers()
            call.wfile.write(DATA[:50])
        hangs.set()
        release.wait(30)

    client = connect(serve(answer, tls=tls), retry_delay=30, on_retry=lambda line: hangs.set())
    body = client.open_blob("a", DIGEST, size=len(DATA))
    ends: list[BaseException] = []

    def read() -> None:
        try:
            everything(body)
        except BaseException as error:
            ends.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert hangs.wait(30)
    (body if closer == "body" else client).close()
    thread.join(20)
    assert not thread.is_alive()
    release.set()
    assert len(ends) == 1 and isinstance(ends[0], ConnectionCut), ends


def test_many_threads(serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: part(call, start_of(call) + 40_000), tls=True)
    client = connect(server)
    results: list[bool] = []

    def read() -> None:
        results.append(everything(client.open_blob("a", DIGEST, size=len(DATA))) == DATA)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8
    assert not client._open
