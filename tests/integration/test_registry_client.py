"""The registry client with a real registry: TLS, passwords, and tokens that end at bad moments."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator

import pytest

from pypod.errors import ConnectionCut, NotThere, RegistryError, Unauthorized
from pypod.registry import upload
from pypod.registry.client import Body, Client, Credentials, Tls
from support.registry import Registry
from support.token_server import TokenServer

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ENDED = -120  # seconds of life: the registry's leeway is 60
USER = Credentials(username="u", password="p")


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def everything(body: Body) -> bytes:
    return b"".join(iter(lambda: body.read(1 << 18), b""))


def pieces(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 100_000):
        yield data[at : at + 100_000]


def push_image(client: Client, repository: str, tag: str, layer: bytes) -> str:
    """A manifest with an empty config and one layer. Returns its digest."""
    config = b"{}"
    for blob in (config, layer):
        client.upload_blob(repository, lambda blob=blob: iter([blob]), digest=digest(blob), size=len(blob))
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(config),
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest(layer),
                "size": len(layer),
            }
        ],
    }
    return client.put_manifest(repository, tag, json.dumps(document).encode(), MANIFEST)


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """With TLS and the user u, whose password is p."""
    with Registry(tls=True, users={"u": "p"}) as started:
        yield started


@pytest.fixture(scope="module")
def token_server() -> Iterator[TokenServer]:
    with TokenServer(users={"u": "p"}) as started:
        yield started


@pytest.fixture(scope="module")
def bearer(token_server: TokenServer) -> Iterator[Registry]:
    """A registry that believes the token server."""
    with Registry(tls=True, token=token_server.config) as started:
        token_server.trust(started.certs_dir)
        yield started


@pytest.fixture
def tokens(token_server: TokenServer) -> TokenServer:
    """The token server, with nothing given or asked so far."""
    token_server.given.clear()
    token_server.calls.clear()
    token_server.life.clear()
    return token_server


def client_of(registry: Registry, credentials: Credentials | None = USER, retries: int = 1) -> Client:
    authorities = tuple(str(path) for path in registry.certs_dir.glob("*.crt"))
    tls = Tls(authorities=authorities)
    return Client(registry.host, tls=tls, credentials=credentials, retries=retries, retry_delay=0.05)


def test_password(registry: Registry) -> None:
    with client_of(registry) as client:
        client.ping()
    for wrong in (None, Credentials(username="u", password="x"), Credentials(username="x", password="p")):
        with client_of(registry, wrong) as client:
            with pytest.raises(Unauthorized, match="unauthorized: authentication required"):
                client.ping()


def test_authority_is_needed(registry: Registry) -> None:
    with Client(registry.host, credentials=USER) as client:
        with pytest.raises(RegistryError, match="cannot trust the certificate"):
            client.ping()
    with Client(registry.host, credentials=USER, insecure=True) as client:
        client.ping()


def test_image_up_and_down(registry: Registry) -> None:
    layer = noise(3_000_000)
    with client_of(registry) as client:
        made = push_image(client, "team/app", "1", layer)
        assert client.manifest_digest("team/app", "1") == made
        answer = client.manifest("team/app", made)
        assert (answer.digest, answer.media_type) == (made, MANIFEST)
        assert client.has_blob("team/app", digest(layer)) == len(layer)
        assert client.has_blob("team/app", "sha256:" + "0" * 64) == -1
        assert everything(client.open_blob("team/app", digest(layer), size=len(layer))) == layer
        assert everything(client.open_blob("team/app", digest(layer), offset=1_234_567)) == layer[1_234_567:]
        assert list(client.tags("team/app")) == ["1"]
        assert "team/app" in list(client.catalog())
        assert client.mount_blob("team/other", digest(layer), "team/app")
        assert client.has_blob("team/other", digest(layer)) == len(layer)
        assert not client.mount_blob("team/other", "sha256:" + "0" * 64, "team/app")
        client.delete_manifest("team/app", made)
        with pytest.raises(NotThere, match=f"reading manifest 1 in {registry.host}/team/app: manifest unknown"):
            client.manifest("team/app", "1")
        with pytest.raises(NotThere, match="the registry has no search"):
            client.search("app", 5)
        with pytest.raises(NotThere, match="repository name not known"):
            list(client.tags("nobody/nothing"))
    assert not list(registry.data.rglob("_uploads/*/data"))


def test_hundreds_of_repositories(registry: Registry) -> None:
    data = b"{}"
    with client_of(registry) as client:
        client.upload_blob("many/r0", lambda: iter([data]), digest=digest(data), size=2)
        for number in range(1, 102):
            client.mount_blob(f"many/r{number}", digest(data), "many/r0")
        found = [name for name in client.catalog() if name.startswith("many/")]
    assert len(found) == len(set(found)) == 102


def test_upload_in_chunks(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "CHUNK", 300_000)
    data = noise(1_000_000, seed=2)
    with client_of(registry) as client:
        job = client._upload("chunks", lambda: pieces(data), "", -1)
        job._chunk = 300_000  # as if the registry had refused a stream
        registry.forget()
        assert job.run() == (digest(data), len(data))
        assert registry.count("PATCH") == 4
        assert everything(client.open_blob("chunks", digest(data))) == data


def test_upload_survives_the_registry(registry: Registry) -> None:
    data = noise(2_000_000, seed=3)
    opened: list[int] = []

    def source() -> Iterator[bytes]:
        opened.append(1)
        for number, piece in enumerate(pieces(data)):
            if number == 10 and len(opened) == 1:
                registry.restart()
            yield piece

    with client_of(registry, retries=2) as client:
        assert client.upload_blob("survives", source) == (digest(data), len(data))
        assert len(opened) == 2
        assert everything(client.open_blob("survives", digest(data))) == data


def test_download_survives_the_registry(registry: Registry) -> None:
    data = noise(8_000_000, seed=4)
    with client_of(registry, retries=2) as client:
        client.upload_blob("down", lambda: pieces(data))
        registry.forget()
        body = client.open_blob("down", digest(data), size=len(data))
        got = body.read(1 << 18)
        registry.restart()
        assert got + everything(body) == data
        sizes = [item.size for item in registry.requests if "blobs/sha256" in item.path]
    assert sum(sizes) < 1.5 * len(data)  # of the second try it sent the rest only


def test_registry_that_stays_away() -> None:
    with Registry(tls=True) as registry:
        data = noise(8_000_000, seed=5)
        with client_of(registry, None, retries=1) as client:
            client.upload_blob("gone", lambda: pieces(data))
            body = client.open_blob("gone", digest(data), size=len(data))
            body.read(1 << 18)
            registry.kill()
            with pytest.raises(ConnectionCut, match="reading blob sha256:.*: cannot reach localhost:.* refused"):
                everything(body)


def test_anonymous_token(bearer: Registry, tokens: TokenServer) -> None:
    with client_of(bearer) as client:
        made = push_image(client, "open/app", "1", b"layer")
    with client_of(bearer, None) as client:
        assert client.manifest("open/app", "1").digest == made
        with pytest.raises(Unauthorized, match=r"writing manifest 2 to .*/open/app: (unauthorized|denied): "):
            client.put_manifest("open/app", "2", b"{}", MANIFEST)
        assert list(client.tags("open/app")) == ["1"]
    assert not any(call.authorization for call in tokens.calls[-4:])


def test_tokens_of_users(bearer: Registry, tokens: TokenServer) -> None:
    with client_of(bearer) as client:
        push_image(client, "mine/app", "1", b"layer")
        assert tokens.given == [["repository:mine/app:pull,push"]]  # one for the whole push
        assert client.mount_blob("yours/app", digest(b"layer"), "mine/app")
        assert list(client.catalog())
    with client_of(bearer, Credentials(username="u", password="secret!")) as client:
        with pytest.raises(Unauthorized, match="incorrect username or password") as caught:
            client.ping()
        assert "secret!" not in str(caught.value)
    tokens.identity_tokens["idt"] = "u"
    with client_of(bearer, Credentials(identity_token="idt")) as client:
        push_image(client, "mine/app", "2", b"layer")
        client.ping()
    with client_of(bearer, Credentials(identity_token="other")) as client, pytest.raises(Unauthorized):
        client.ping()


def test_token_that_has_ended(bearer: Registry, tokens: TokenServer) -> None:
    tokens.life[:] = [ENDED]
    with client_of(bearer) as client:
        push_image(client, "ended/app", "1", b"layer")
    assert len(tokens.given) == 2


def test_token_that_ends_in_an_upload(bearer: Registry, tokens: TokenServer) -> None:
    data = noise(2_000_000, seed=6)
    with client_of(bearer) as client:

        def source() -> Iterator[bytes]:
            if not opened:  # after the POST, before the PATCH
                client._session._tokens._cache.clear()
                tokens.life[:] = [ENDED]
            opened.append(1)
            return pieces(data)

        opened: list[int] = []
        assert client.upload_blob("ends/app", source) == (digest(data), len(data))
        assert len(opened) == 2 and len(tokens.given) == 3
        assert everything(client.open_blob("ends/app", digest(data))) == data
    assert not list(bearer.data.rglob("ends/app/_uploads/*/data"))


def test_token_that_ends_in_a_download(bearer: Registry, tokens: TokenServer) -> None:
    data = noise(8_000_000, seed=7)
    with client_of(bearer, retries=2) as client:
        client.upload_blob("ends/down", lambda: pieces(data))
        body = client.open_blob("ends/down", digest(data), size=len(data))
        got = body.read(1 << 18)
        bearer.restart()
        client._session._tokens._cache.clear()
        tokens.life[:] = [ENDED]
        assert got + everything(body) == data


def test_no_token_for_that(bearer: Registry, tokens: TokenServer) -> None:
    with client_of(bearer, None) as client:
        with pytest.raises(Unauthorized, match="writing blob .*: (unauthorized|denied): "):
            client.upload_blob("no/app", lambda: iter([b"x"]))
        assert not client.mount_blob("no/app", digest(b"layer"), "mine/app")
