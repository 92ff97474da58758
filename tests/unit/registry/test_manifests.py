"""Manifests and lists from registries that lie, err, or answer in their own ways."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import pytest

from pypod.errors import NotThere, RegistryError, Unauthorized
from pypod.registry.client import Client
from support.odd_server import Call, OddServer

Serve = Callable[..., OddServer]
Connect = Callable[..., Client]

OCI = "application/vnd.oci.image.manifest.v1+json"
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI}).encode()
DIGEST = "sha256:" + hashlib.sha256(MANIFEST).hexdigest()
OTHER = "sha256:" + "1" * 64


def sends(data: bytes = MANIFEST, media_type: str = OCI, status: int = 200, **headers: str) -> Callable[[Call], None]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda call: call.send(status, data, {"Content-Type": media_type, **named})


def test_manifest(serve: Serve, connect: Connect) -> None:
    server = serve(sends(media_type=f"{OCI}; charset=utf-8", Docker_Content_Digest=DIGEST), tls=True)
    client = connect(server)
    for reference in ("latest", DIGEST):
        answer = client.manifest("a/b", reference)
        assert (answer.data, answer.media_type, answer.digest) == (MANIFEST, OCI, DIGEST)
    assert server.asked() == ["GET /v2/a/b/manifests/latest", f"GET /v2/a/b/manifests/{DIGEST}"]
    accepted = server.calls[0].headers["Accept"]
    for kind in (OCI, "oci.image.index.v1", "distribution.manifest.v2", "distribution.manifest.list.v2"):
        assert kind in accepted
    assert server.calls[0].headers["User-Agent"].startswith("pypod/")


@pytest.mark.parametrize("media_type", ["", "application/json", "text/plain; charset=utf-8"])
def test_vague_media_type_is_looked_up_in_the_manifest(media_type: str, serve: Serve, connect: Connect) -> None:
    assert connect(serve(sends(media_type=media_type), tls=True)).manifest("a", "1").media_type == OCI


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", b'{"schemaVersion": 1}'),
        ("application/json", b'{"schemaVersion": 1, "fsLayers": []}'),
    ],
)
def test_schema_1(media_type: str, data: bytes, serve: Serve, connect: Connect) -> None:
    with pytest.raises(RegistryError, match="schema 1, which is not supported"):
        connect(serve(sends(data, media_type), tls=True)).manifest("a", "1")


def test_page_of_a_portal(serve: Serve, connect: Connect) -> None:
    with pytest.raises(RegistryError, match="sends text/html, not a manifest"):
        connect(serve(sends(b"<html>", "text/html"), tls=True)).manifest("a", "1")


def test_wrong_digests(serve: Serve, connect: Connect) -> None:
    with pytest.raises(RegistryError, match=f"sends another, with digest {DIGEST}"):
        connect(serve(sends(), tls=True)).manifest("a", OTHER)
    with pytest.raises(RegistryError, match=f"the registry says {OTHER}"):
        connect(serve(sends(Docker_Content_Digest=OTHER), tls=True)).manifest("a", "1")
    with pytest.raises(RegistryError, match="only sha256 digests"):
        connect(serve(sends(), tls=True)).manifest("a", "md5:" + "0" * 32)


def test_manifest_of_100_mb_is_cut_off_early(serve: Serve, connect: Connect) -> None:
    sent = [0]

    def chunked(call: Call) -> None:
        call.send_response_only(200)
        call.send_header("Transfer-Encoding", "chunked")
        call.end_headers()
        for _ in range(100):
            call.wfile.write(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n")
            sent[0] += 1 << 20

    with pytest.raises(RegistryError, match="it is longer than 4 MiB"):
        connect(serve(chunked, tls=True)).manifest("a", "1")
    assert sent[0] < 20 << 20

    def announced(call: Call) -> None:
        call.send_response_only(200)
        call.send_header("Content-Length", str(100 << 20))
        call.end_headers()
        call.cut()

    server = serve(announced, tls=True)
    with pytest.raises(RegistryError, match="it is longer than 10 bytes"):
        connect(server).manifest("a", "1", limit=10)
    assert len(server.calls) == 1


def test_cut_manifest_is_asked_for_again(serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        call.send_response_only(200)
        call.send_header("Content-Length", str(len(MANIFEST)))
        call.end_headers()
        call.wfile.write(MANIFEST if len(server.calls) > 1 else MANIFEST[:5])
        call.cut()

    server = serve(answer, tls=True)
    assert connect(server).manifest("a", "1").data == MANIFEST


@pytest.mark.parametrize(
    ("status", "document", "kind", "line"),
    [
        (404, {"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}, NotThere, "manifest unknown"),
        (404, {"code": "NAME_UNKNOWN", "message": "repository name not known"}, NotThere, "name unknown: repository"),
        (401, {"code": "UNAUTHORIZED", "message": "authentication required"}, Unauthorized, "unauthorized: authent"),
        (403, {"code": "DENIED", "message": "not \x1b[31myours\n"}, Unauthorized, r"denied: not \\x1b\[31myours$"),
        (400, {"code": "X" * 500, "message": "y" * 5000}, RegistryError, "…"),
        (418, {"code": 7, "message": None, "detail": []}, RegistryError, "the registry answers 418"),
    ],
)
def test_error_documents(
    status: int, document: dict[str, object], kind: type[Exception], line: str, serve: Serve, connect: Connect
) -> None:
    server = serve(sends(json.dumps({"errors": [document]}).encode(), status=status), tls=True)
    with pytest.raises(
        kind, match=f"reading manifest 1 in {server.host}/a: {line}" if line != "…" else line
    ) as caught:
        connect(server).manifest("a", "1")
    assert str(caught.value).startswith(f"reading manifest 1 in {server.host}/a: ")
    assert len(str(caught.value)) < 500 and str(caught.value).isprintable()
    assert len(server.calls) == (2 if status == 401 else 1)  # /v2/ may say how to authenticate


@pytest.mark.parametrize("data", [b"", b"<html>", b"[]", b'{"errors": 5}', b'{"errors": [5]}', b"x" * 1_000_000])
def test_errors_without_a_document(data: bytes, serve: Serve, connect: Connect) -> None:
    with pytest.raises(NotThere, match="reading manifest 1 in .*: not found"):
        connect(serve(sends(data, status=404), tls=True)).manifest("a", "1")


def test_digest_by_head(serve: Serve, connect: Connect) -> None:
    server = serve(sends(Docker_Content_Digest=DIGEST), tls=True)
    assert connect(server).manifest_digest("a", "1") == DIGEST
    assert server.asked() == ["HEAD /v2/a/manifests/1"]
    with pytest.raises(RegistryError, match="has another"):
        connect(server).manifest_digest("a", OTHER)
    bare = serve(sends(), tls=True)
    assert connect(bare).manifest_digest("a", "1") == DIGEST
    assert bare.asked() == ["HEAD /v2/a/manifests/1", "GET /v2/a/manifests/1"]
    headless = serve(lambda call: call.send(405) if call.command == "HEAD" else sends()(call), tls=True)
    assert connect(headless).manifest_digest("a", "1") == DIGEST
    with pytest.raises(NotThere, match="manifest unknown"):
        connect(serve(lambda call: call.send(404), tls=True)).manifest_digest("a", "1")


def test_put_and_delete(serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: call.send(201 if call.command == "PUT" else 202), tls=True)
    client = connect(server)
    assert client.put_manifest("a", "1", MANIFEST, OCI) == DIGEST
    client.delete_manifest("a", DIGEST)
    assert server.calls[0].body == MANIFEST and server.calls[0].headers["Content-Type"] == OCI
    with pytest.raises(RegistryError, match=f"the registry has stored {OTHER}"):
        connect(serve(sends(b"", status=201, Docker_Content_Digest=OTHER), tls=True)).put_manifest("a", "1", b"", OCI)
    with pytest.raises(RegistryError, match="deleting manifest .*: unsupported: the operation is unsupported"):
        connect(serve(sends(b"", status=405), tls=True)).delete_manifest("a", DIGEST)


def test_size_of_a_blob(serve: Serve, connect: Connect) -> None:
    assert connect(serve(sends(b"x" * 77), tls=True)).has_blob("a", DIGEST) == 77
    assert connect(serve(sends(status=404), tls=True)).has_blob("a", DIGEST) == -1


@pytest.mark.parametrize("absolute", [False, True])
def test_pages(absolute: bool, serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        last = call.query.get("last", ["0"])[0]
        more = int(last) + 2
        base = server.url if absolute else ""
        link = {"Link": f'<{base}/v2/a/tags/list?last={more}&n=2>; rel="next"'} if more < 6 else {}
        call.send(200, json.dumps({"name": "a", "tags": [last, f"{last}b"]}).encode(), link)

    server = serve(answer, tls=True)
    assert list(connect(server).tags("a")) == ["0", "0b", "2", "2b", "4", "4b"]


def test_bad_pages(serve: Serve, connect: Connect) -> None:
    def linked(link: str) -> OddServer:
        return serve(lambda call: call.send(200, b'{"tags": ["x"]}', {"Link": link}), tls=True)

    with pytest.raises(RegistryError, match="goes in circles"):
        list(connect(linked("<?a>; rel=next")).tags("a"))
    with pytest.raises(RegistryError, match="on another host"):
        list(connect(linked("<https://evil.invalid/>; rel=next")).tags("a"))
    assert list(connect(linked("</x>; rel=prev")).tags("a")) == ["x"]
    for page in (b"[]", b"x", b'{"tags": 5}', b'{"tags": [5]}', b'{"tags": ["../x"]}', b'{"tags": ["x\\n"]}'):
        with pytest.raises(RegistryError, match="listing tags of"):
            list(connect(serve(sends(page), tls=True)).tags("a"))
    assert list(connect(serve(sends(b'{"tags": null}'), tls=True)).tags("a")) == []
    assert list(connect(serve(sends(b'{"repositories": ["a/b"]}'), tls=True)).catalog()) == ["a/b"]


def test_search(serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        page = int(call.query["page"][0])
        found = [{"name": f"{page}-{i}"} for i in range(100 if page < 3 else 20)]
        call.send(200, json.dumps({"results": found}).encode())

    server = serve(answer, tls=True)
    client = connect(server)
    assert len(client.search("a b&c", 500)) == 220
    assert server.calls[0].query == {"q": ["a b&c"], "n": ["100"], "page": ["1"]}
    assert [item["name"] for item in client.search("x", 2)] == ["1-0", "1-1"]
    with pytest.raises(NotThere, match="has no search"):
        connect(serve(sends(status=404), tls=True)).search("x", 5)
