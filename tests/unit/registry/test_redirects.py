"""Where requests are led, and what goes along."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from pypod.errors import RegistryError
from pypod.registry.client import Client, Credentials, Tls
from support.odd_server import Call, Certificates, OddServer

Serve = Callable[..., OddServer]
Connect = Callable[..., Client]

PASSWORD = Credentials(username="who", password="s3cret")
pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
BASIC = "Basic " + base64.b64encode(b"who:s3cret").decode()
DIGEST = "sha256:" + "0" * 64
DATA = b"0123456789" * 1000


def leading_to(location: Callable[[Call], str], status: int = 307) -> Callable[[Call], None]:
    """A registry with basic authentication whose blobs are elsewhere."""

    def answer(call: Call) -> None:
        if call.authorization != BASIC:
            call.send(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
        else:
            call.send(status, b"see there", {"Location": location(call)})

    return answer


def read(client: Client, **more: object) -> bytes:
    body = client.open_blob("a", DIGEST, size=len(DATA), **more)  # type: ignore[arg-type]
    return b"".join(iter(lambda: body.read(4096), b""))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_other_host_sees_no_credentials(status: int, serve: Serve, connect: Connect) -> None:
    other = serve(lambda call: call.send(200, DATA), tls=True)
    server = serve(leading_to(lambda call: f"{other.url}/blob?signed=a%2Fb%3D&x", status), tls=True)
    assert read(connect(server, credentials=PASSWORD)) == DATA
    (seen,) = other.calls
    assert not seen.authorization and seen.path == "/blob?signed=a%2Fb%3D&x"
    assert "s3cret" not in str(seen.headers)


def test_same_host_sees_them(serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        if call.route == "/blob":
            call.send(200 if call.authorization == BASIC else 401, DATA)
        else:
            leading_to(lambda call: "../../../blob")(call)

    assert read(connect(serve(answer, tls=True), credentials=PASSWORD)) == DATA


def test_another_401_on_another_host_is_not_answered(serve: Serve, connect: Connect) -> None:
    other = serve(lambda call: call.send(401, b"", {"WWW-Authenticate": 'Basic realm="give"'}), tls=True)
    server = serve(leading_to(lambda call: f"{other.url}/blob"), tls=True)
    with pytest.raises(RegistryError):
        read(connect(server, credentials=PASSWORD))
    assert other.calls and not any(call.authorization for call in other.calls)


def test_not_from_https_to_http(serve: Serve, connect: Connect) -> None:
    plain = serve(lambda call: call.send(200, DATA))
    server = serve(leading_to(lambda call: f"{plain.url}/blob"), tls=True)
    with pytest.raises(RegistryError, match="redirects from https to http"):
        read(connect(server, credentials=PASSWORD))
    assert not plain.calls
    assert read(connect(server, credentials=PASSWORD, insecure=True)) == DATA
    assert not plain.calls[0].authorization


@pytest.mark.parametrize("location", ["", "file:///etc/passwd", "//who@localhost/x", "https://[", "data:x"])
def test_locations_that_lead_nowhere(location: str, serve: Serve, connect: Connect) -> None:
    server = serve(leading_to(lambda call: location), tls=True)
    with pytest.raises(RegistryError, match="redirects to nowhere"):
        read(connect(server, credentials=PASSWORD))


def test_endless_redirects(serve: Serve, connect: Connect) -> None:
    server = serve(lambda call: call.send(302, b"", {"Location": call.path + "x"}), tls=True)
    with pytest.raises(RegistryError, match="more than 10 redirects"):
        connect(server).manifest("a", "1")
    assert len(server.calls) == 11


def test_signature_that_has_run_out_is_asked_for_again(serve: Serve, connect: Connect) -> None:
    half = len(DATA) // 2

    def store(call: Call) -> None:
        if call.query["n"] == ["1"]:
            call.send_response_only(200)
            call.send_header("Content-Length", str(len(DATA)))
            call.end_headers()
            call.wfile.write(DATA[:half])
            call.cut()
        elif call.query["n"] == ["2"]:
            call.send(403, b"<Error>Request has expired</Error>")
        else:
            start = int(call.headers["Range"].removeprefix("bytes=").rstrip("-"))
            call.send(206, DATA[start:], {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"})

    other = serve(store, tls=True)
    asked: list[Call] = []

    def location(call: Call) -> str:
        asked.append(call)
        return f"{other.url}/blob?n={len(asked)}"

    server = serve(leading_to(location), tls=True)
    assert read(connect(server, credentials=PASSWORD, retries=2)) == DATA
    assert len(other.calls) == 3 and not any(call.authorization for call in other.calls)


def test_upload_to_another_host_goes_without_credentials(serve: Serve, connect: Connect) -> None:
    other = serve(lambda call: call.send(201 if call.command == "PUT" else 202), tls=True)

    def answer(call: Call) -> None:
        if call.authorization != BASIC:
            call.send(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
        else:
            call.send(202, b"", {"Location": f"{other.url}/up?state=a%3D"})

    server = serve(answer, tls=True)
    digest, size = connect(server, credentials=PASSWORD).upload_blob("a", lambda: iter([DATA]))
    assert size == len(DATA) and [call.command for call in other.calls] == ["PATCH", "PUT"]
    assert not any(call.authorization for call in other.calls)
    assert other.calls[1].query == {"state": ["a="], "digest": [digest]}


def test_manifest_is_not_uploaded_to_another_host(serve: Serve, connect: Connect) -> None:
    other = serve(lambda call: call.send(201), tls=True)
    server = serve(lambda call: call.send(307, b"", {"Location": f"{other.url}/x"}), tls=True)
    with pytest.raises(RegistryError, match="307"):
        connect(server).put_manifest("a", "1", b"{}", "application/vnd.oci.image.manifest.v1+json")
    assert not other.calls


def test_foreign_layers_come_from_their_urls_without_credentials(serve: Serve, connect: Connect) -> None:
    gone = serve(lambda call: call.send(404), tls=True)
    other = serve(lambda call: call.send(200, DATA), tls=True)
    server = serve(leading_to(lambda call: "/never"), tls=True)
    urls = ["ftp://x/y", f"{gone.url}/layer", f"{other.url}/layer"]
    assert read(connect(server, credentials=PASSWORD), urls=urls) == DATA
    assert not server.calls and not other.calls[0].authorization and not gone.calls[0].authorization
    # An URL on the registry itself is no exception.
    own = serve(lambda call: call.send(200, DATA), tls=True)
    assert read(connect(own, credentials=PASSWORD), urls=[f"{own.url}/layer"]) == DATA
    assert own.asked() == ["GET /layer"] and not own.calls[0].authorization


def test_client_certificate_is_shown_to_the_registry_alone(
    serve: Serve, connect: Connect, certificates: Certificates
) -> None:
    tls = Tls(
        authorities=(str(certificates.authority),),
        certificate=str(certificates.certificate),
        key=str(certificates.key),
    )
    strict = serve(lambda call: call.send(200, DATA), tls=True, client_authority=True)
    assert read(connect(strict, tls=tls)) == DATA
    with pytest.raises(RegistryError, match="does not accept our TLS certificate"):
        read(connect(strict, retries=0))
    server = serve(lambda call: call.send(302, b"", {"Location": f"{strict.url}/blob"}), tls=True)
    with pytest.raises(RegistryError, match="does not accept our TLS certificate"):
        read(connect(server, tls=tls, retries=0))


def test_token_server_on_the_registry_itself_sees_the_certificate(
    serve: Serve, connect: Connect, certificates: Certificates
) -> None:
    def answer(call: Call) -> None:
        if call.route == "/token":
            call.send(200, b'{"token": "t"}')
        elif call.authorization == "Bearer t":
            call.send(200)
        else:
            call.send(401, b"", {"WWW-Authenticate": 'Bearer realm="/token"'})

    tls = Tls(
        authorities=(str(certificates.authority),),
        certificate=str(certificates.certificate),
        key=str(certificates.key),
    )
    server = serve(answer, tls=True, client_authority=True)
    connect(server, tls=tls).ping()
    connect(server, tls=tls, credentials=Credentials(identity_token="x")).ping()
