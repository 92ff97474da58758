"""Uploads to registries that cut, forget, or want it in another way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest

from pypod.errors import ConnectionCut, RegistryError, StorageError, Unauthorized
from pypod.registry import upload
from pypod.registry.client import Client
from support.odd_server import Call, OddServer

Serve = Callable[..., OddServer]
Connect = Callable[..., Client]

DATA = bytes(range(256)) * 1000
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


def parts() -> Iterator[bytes]:
    for at in range(0, len(DATA), 60_000):
        yield DATA[at : at + 60_000]


class Uploads:
    """A registry that takes uploads; subclasses disturb them."""

    streams = True
    least = 0  # OCI-Chunk-Min-Length

    def __init__(self) -> None:
        self.count = 0
        self.open: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}

    def __call__(self, call: Call) -> None:
        getattr(self, call.command)(call)

    def where(self, name: str) -> dict[str, str]:
        have = len(self.open.get(name, b""))
        return {"Location": f"/v2/a/blobs/uploads/{name}?have={have}", "Range": f"0-{max(have - 1, 0)}"}

    def POST(self, call: Call) -> None:
        self.count += 1
        name = str(self.count)
        self.open[name] = b""
        least = {"OCI-Chunk-Min-Length": str(self.least)} if self.least else {}
        call.send(202, b"", self.where(name) | least)

    def PATCH(self, call: Call) -> None:
        name = call.route.rpartition("/")[2]
        if name not in self.open:
            return call.send(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}')
        assert call.query["have"] == [str(len(self.open[name]))]  # the Location of the last answer
        span = call.headers.get("Content-Range")
        if span is None and not self.streams:
            return call.send(411)
        if span is not None and int(span.partition("-")[0]) != len(self.open[name]):
            return call.send(416, b"", self.where(name))
        self.open[name] += call.body
        return call.send(202, b"", self.where(name))

    def GET(self, call: Call) -> None:
        name = call.route.rpartition("/")[2]
        call.send(204 if name in self.open else 404, b"", self.where(name))

    def PUT(self, call: Call) -> None:
        data = self.open.pop(call.route.rpartition("/")[2]) + call.body
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if call.query["digest"] != [digest]:
            return call.send(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}')
        self.blobs[digest] = data
        return call.send(201, b"", {"Docker-Content-Digest": digest})

    def DELETE(self, call: Call) -> None:
        call.send(204 if self.open.pop(call.route.rpartition("/")[2], None) is not None else 404)


def methods(server: OddServer) -> str:
    return " ".join(call.command for call in server.calls)


def test_small_and_known_goes_at_once(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Uploads(), tls=True)
    assert connect(server).upload_blob("a", parts, digest=DIGEST, size=len(DATA)) == (DIGEST, len(DATA))
    assert registry.blobs[DIGEST] == DATA and methods(server) == "POST PUT"


def test_streamed(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Uploads(), tls=True)
    assert connect(server).upload_blob("a", parts) == (DIGEST, len(DATA))
    assert registry.blobs[DIGEST] == DATA and methods(server) == "POST PATCH PUT"
    assert server.calls[1].headers["Transfer-Encoding"] == "chunked"


def test_empty_blob(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Uploads(), tls=True)
    assert connect(server).upload_blob("a", lambda: iter(()))[1] == 0
    assert list(registry.blobs.values()) == [b""]


def test_in_chunks_where_streams_are_refused(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "CHUNK", 100_000)
    server = serve(registry := Uploads(), tls=True)
    registry.streams = False
    assert connect(server).upload_blob("a", parts) == (DIGEST, len(DATA))
    assert registry.blobs[DIGEST] == DATA and not registry.open
    spans = [call.headers["Content-Range"] for call in server.calls if "Content-Range" in call.headers]
    assert spans == ["0-99999", "100000-199999", "200000-255999"]


def test_chunks_as_long_as_wanted(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "CHUNK", 10)
    server = serve(registry := Uploads(), tls=True)
    registry.least = 150_000
    assert connect(server).upload_blob("a", parts) == (DIGEST, len(DATA))
    assert methods(server) == "POST PATCH PATCH PUT" and len(server.calls[1].body) == 150_000
    registry.least = 1 << 40
    with pytest.raises(RegistryError, match="wants chunks of 1099511627776 bytes"):
        connect(server).upload_blob("a", parts)


def test_chunk_of_which_only_a_part_arrived(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "CHUNK", 100_000)

    class Forgetful(Uploads):
        least = 1

        def PATCH(self, call: Call) -> None:
            if not any(self.open.values()):
                self.open["1"] = call.body[:70_000]
                call.send(416, b"", self.where("1"))
            else:
                super().PATCH(call)

    server = serve(registry := Forgetful(), tls=True)
    assert connect(server).upload_blob("a", parts) == (DIGEST, len(DATA))
    assert registry.blobs[DIGEST] == DATA and methods(server).startswith("POST PATCH GET PATCH PATCH")


def test_stream_goes_on_after_a_cut(serve: Serve, connect: Connect) -> None:
    class Cutting(Uploads):
        cuts = 2

        def PATCH(self, call: Call) -> None:
            if self.cuts:
                self.cuts -= 1
                self.open["1"] += call.body[:70_000]
                call.cut()
            else:
                super().PATCH(call)

    server = serve(registry := Cutting(), tls=True)
    assert connect(server, retries=2).upload_blob("a", parts) == (DIGEST, len(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert methods(server) == "POST PATCH GET PATCH GET PATCH PUT"
    assert len(server.calls[5].body) == len(DATA) - 140_000


def test_source_that_differs_each_time(serve: Serve, connect: Connect) -> None:
    class Cutting(Uploads):
        def PATCH(self, call: Call) -> None:
            if not any(self.open.values()):
                self.open["1"] += call.body[:70_000]
                call.cut()
            else:
                super().PATCH(call)

    class Once(Cutting):
        def PATCH(self, call: Call) -> None:
            (super() if self.count == 1 else super(Cutting, self)).PATCH(call)

    runs: list[bytes] = []

    def differing() -> Iterator[bytes]:
        runs.append(bytes([len(runs)]) * len(DATA))
        yield runs[-1]

    server = serve(registry := Once(), tls=True)
    digest, size = connect(server, retries=2).upload_blob("a", differing)
    assert size == len(DATA) and list(registry.blobs) == [digest]
    assert registry.blobs[digest] == runs[2] and len(runs) == 3 and not registry.open


@pytest.mark.parametrize("status", [404, 500, 503])
def test_begins_anew_where_the_upload_is_lost(status: int, serve: Serve, connect: Connect) -> None:
    class Losing(Uploads):
        def PATCH(self, call: Call) -> None:
            if self.count == 1:
                self.open.clear()
                call.send(status)
            else:
                super().PATCH(call)

    server = serve(registry := Losing(), tls=True)
    assert connect(server).upload_blob("a", parts) == (DIGEST, len(DATA))
    assert registry.blobs[DIGEST] == DATA and not registry.open


@pytest.mark.parametrize("tls", [False, True])
def test_refusal_before_the_body_has_been_read(tls: bool, serve: Serve, connect: Connect) -> None:
    def early(call: Call) -> bool:
        if call.command != "PATCH":
            return False
        call.send(403, b'{"errors":[{"code":"DENIED","message":"quota exceeded"}]}')
        return True

    def much() -> Iterator[bytes]:
        for _ in range(50):
            yield bytes(1 << 20)

    server = serve(registry := Uploads(), tls=tls, early=early)
    with pytest.raises(Unauthorized, match="denied: quota exceeded"):
        connect(server).upload_blob("a", much)
    assert registry.count == 1 and not registry.open


def test_gives_up_and_cancels(serve: Serve, connect: Connect) -> None:
    class Full(Uploads):
        def PATCH(self, call: Call) -> None:
            call.send(507, b'{"errors":[{"code":"UNKNOWN","message":"no space left"}]}')

    server = serve(registry := Full(), tls=True)
    with pytest.raises(RegistryError, match="writing blob .* unknown: no space left"):
        connect(server).upload_blob("a", parts)
    assert not registry.open and methods(server).endswith("DELETE")

    class Cutting(Uploads):
        def PATCH(self, call: Call) -> None:
            call.cut()

    server = serve(registry := Cutting(), tls=True)
    with pytest.raises(ConnectionCut):
        connect(server, retries=2).upload_blob("a", parts)
    assert not registry.open


def test_source_that_breaks(serve: Serve, connect: Connect) -> None:
    for cause in (StorageError("the layer is gone"), OSError(5, "Input/output error"), KeyboardInterrupt()):

        def broken(cause: BaseException = cause) -> Iterator[bytes]:
            yield DATA
            raise cause

        server = serve(registry := Uploads(), tls=True)
        with pytest.raises(type(cause)) as caught:
            connect(server).upload_blob("a", broken)
        assert caught.value is cause
        assert not registry.blobs and not registry.open


@pytest.mark.parametrize(
    "known", [{"digest": "sha256:" + "0" * 64, "size": len(DATA)}, {"digest": DIGEST, "size": 5}]
)
def test_source_that_is_not_what_it_should_be(known: dict[str, object], serve: Serve, connect: Connect) -> None:
    server = serve(registry := Uploads(), tls=True)
    with pytest.raises(RegistryError, match="its digest is|it has 256000 bytes"):
        connect(server).upload_blob("a", parts, **known)  # type: ignore[arg-type]
    assert not registry.blobs and not registry.open


def test_registry_that_stores_something_else(serve: Serve, connect: Connect) -> None:
    class Lying(Uploads):
        def PUT(self, call: Call) -> None:
            call.send(201, b"", {"Docker-Content-Digest": "sha256:" + "1" * 64})

    with pytest.raises(RegistryError, match="the registry has stored sha256:1111"):
        connect(serve(Lying(), tls=True)).upload_blob("a", parts)


def test_mount(serve: Serve, connect: Connect) -> None:
    class Mounting(Uploads):
        def POST(self, call: Call) -> None:
            if call.query.get("from") == ["b/c"]:
                assert call.query["mount"] == [DIGEST]
                call.send(201)
            elif call.query.get("from") == ["denied"]:
                call.send(403)
            else:
                super().POST(call)

    server = serve(registry := Mounting(), tls=True)
    client = connect(server)
    assert client.mount_blob("a", DIGEST, "b/c")
    assert not client.mount_blob("a", DIGEST, "denied")
    assert not client.mount_blob("a", DIGEST, "other")
    assert not registry.open and methods(server) == "POST POST POST DELETE"
