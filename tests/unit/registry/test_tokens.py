"""Who is told what: every way to authenticate, renewal, and secrets that stay where they belong."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from pypod.errors import RegistryError, Unauthorized
from pypod.registry.client import Client, Credentials
from pypod.registry.tokens import _beyond, _life
from support.odd_server import Call, OddServer

Serve = Callable[..., OddServer]
Connect = Callable[..., Client]

BASIC = "Basic " + base64.b64encode(b"who:s3cret").decode()
PASSWORD = Credentials(username="who", password="s3cret")
MANIFEST = b'{"schemaVersion":2}'


class Bearer:
    """A registry that wants bearer tokens, and by default its own token server at /token."""

    def __init__(self, *, realm: str = "/token", uses: int = 1 << 30) -> None:
        self.realm = realm
        self.uses = uses  # of each token
        self.tokens: dict[str, int] = {}
        self.asked: list[Call] = []
        self.wants = ""  # a scope besides
        self.expires = 300
        self.lock = threading.Lock()

    def __call__(self, call: Call) -> None:
        if call.route == "/token":
            self.give(call)
        elif self.admitted(call):
            self.serve(call)
        else:
            scope = f',scope="{self.wants}",error="insufficient_scope"' if self.wants else ""
            call.send(401, b"{}", {"WWW-Authenticate": f'Bearer realm="{self.realm}",service="it"{scope}'})

    def admitted(self, call: Call) -> bool:
        with self.lock:
            token = call.authorization.removeprefix("Bearer ")
            if self.tokens.get(token, 0) <= 0 or (self.wants and self.wants not in token):
                return False
            self.tokens[token] -= 1
            return True

    def give(self, call: Call) -> None:
        with self.lock:
            self.asked.append(call)
            form = parse_qs(call.body.decode())
            token = f"token-{len(self.asked)}:" + ",".join(call.query.get("scope", form.get("scope", [])))
            self.tokens[token] = self.uses
        call.send(200, json.dumps({"token": token, "expires_in": self.expires}).encode())

    def serve(self, call: Call) -> None:
        call.send(200, MANIFEST, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})


def test_anonymous(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Bearer(), tls=True)
    answer = connect(server).manifest("a/b", "1")
    assert answer.data == MANIFEST
    (asked,) = registry.asked
    assert asked.command == "GET" and not asked.authorization
    assert asked.query == {"service": ["it"], "scope": ["repository:a/b:pull"]}


def test_username_and_password(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Bearer(), tls=True)
    connect(server, credentials=PASSWORD).ping()
    (asked,) = registry.asked
    assert asked.authorization == BASIC and asked.query["account"] == ["who"]
    assert all(call.authorization != BASIC for call in server.calls if call.route != "/token")


def test_password_by_oauth2_where_get_is_not_allowed(serve: Serve, connect: Connect) -> None:
    class OnlyPost(Bearer):
        def give(self, call: Call) -> None:
            if call.command == "GET":
                call.send(405)
            else:
                super().give(call)

    server = serve(registry := OnlyPost(), tls=True)
    connect(server, credentials=PASSWORD).manifest("a", "1")
    form = parse_qs(registry.asked[0].body.decode())
    assert form["grant_type"] == ["password"] and form["username"] == ["who"] and form["password"] == ["s3cret"]


def test_identity_token(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Bearer(), tls=True)
    connect(server, credentials=Credentials(identity_token="idt")).manifest("a", "1")
    (asked,) = registry.asked
    assert asked.command == "POST" and not asked.authorization
    form = parse_qs(asked.body.decode())
    assert form["grant_type"] == ["refresh_token"] and form["refresh_token"] == ["idt"]
    assert form["scope"] == ["repository:a:pull"] and form["service"] == ["it"]


def test_registry_token_is_shown_at_once(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Bearer(), tls=True)
    registry.tokens["ready"] = 9
    connect(server, credentials=Credentials(registry_token="ready")).manifest("a", "1")
    assert len(server.calls) == 1
    with pytest.raises(Unauthorized):
        connect(server, credentials=Credentials(registry_token="other")).ping()


def test_basic(serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        if call.authorization == BASIC:
            call.send(200)
        else:
            call.send(401, b"", {"WWW-Authenticate": 'Negotiate\nBasic realm="x, y"'})

    server = serve(answer, tls=True)
    client = connect(server, credentials=PASSWORD)
    client.ping()
    client.ping()
    assert [call.authorization for call in server.calls] == ["", BASIC, BASIC]
    with pytest.raises(Unauthorized, match="unauthorized: authentication required"):
        connect(server).ping()
    with pytest.raises(Unauthorized) as caught:
        connect(server, credentials=Credentials(username="who", password="wrong")).ping()
    assert "wrong" not in str(caught.value) and caught.value.hint == f"pypod login {server.host}"


def test_challenge_that_stands_only_at_the_root(serve: Serve, connect: Connect) -> None:
    def answer(call: Call) -> None:
        if call.authorization == BASIC:
            call.send(200, MANIFEST)
        else:
            call.send(401, b"", {"WWW-Authenticate": "Basic realm=x"} if call.route == "/v2/" else {})

    server = serve(answer, tls=True)
    connect(server, credentials=PASSWORD).manifest("a", "1")
    assert server.asked() == ["GET /v2/a/manifests/1", "GET /v2/", "GET /v2/a/manifests/1"]


def test_tokens_are_kept_for_each_scope(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Bearer(), tls=True)
    client = connect(server)
    for _ in range(3):
        client.manifest("a", "1")
    client.manifest("b", "1")
    client.has_blob("a", "sha256:" + "0" * 64)
    assert [call.query["scope"][0] for call in registry.asked] == [
        "repository:a:pull",
        "repository:b:pull",
        "repository:a:pull,push",
    ]
    assert server.asked().count("GET /v2/a/manifests/1") == 4  # the first of them without a token


def test_token_that_ends_in_the_middle(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Bearer(uses=2), tls=True)
    client = connect(server)
    for _ in range(6):
        client.manifest("a", "1")
    assert len(registry.asked) == 3


def test_token_that_says_when_it_ends(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    from pypod.registry import tokens

    now = [1000.0]
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now[0])
    server = serve(registry := Bearer(), tls=True)
    client = connect(server)
    client.manifest("a", "1")
    now[0] += 289
    client.manifest("a", "1")
    assert len(registry.asked) == 1
    now[0] += 2  # ten seconds before its end
    client.manifest("a", "1")
    assert len(registry.asked) == 2
    assert server.asked().count("GET /v2/a/manifests/1") == 4  # renewed before it was refused


def test_life_of_tokens() -> None:
    assert _life({}) == 50
    assert _life({"expires_in": 300}) == 290
    assert _life({"expires_in": 4}) == 3
    assert _life({"expires_in": 10**400}) == 30 * 86400 - 10
    assert _life({"expires_in": 60, "issued_at": "9" * 999 + "-01-01T00:00:00Z"}) == 50
    assert _life({"expires_in": "x", "issued_at": "y"}) == 50
    assert _life({"expires_in": 300, "issued_at": "2001-01-01T00:00:00Z"}) == 290  # a clock that is wrong


def test_scopes_are_compared_by_their_actions() -> None:
    assert _beyond(["repository:a:push,pull", "repository:b:c:pull"], ["repository:a:pull,push"]) == (
        "repository:b:c:pull",
    )
    assert _beyond(["repository:a:delete"], ["repository:a:pull,push"]) == ("repository:a:delete",)
    assert _beyond(["repository:a:pull"], ["repository:a:push", "repository:a:pull"]) == ()


def test_wider_scope_is_asked_for_once(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Bearer(), tls=True)
    registry.wants = "repository:more:pull"
    client = connect(server)
    client.manifest("a", "1")
    client.manifest("a", "1")
    assert [call.query["scope"] for call in registry.asked] == [["repository:a:pull", "repository:more:pull"]]


def test_token_that_is_never_enough(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Bearer(uses=0), tls=True)
    with pytest.raises(Unauthorized, match="reading manifest 1 in .*: unauthorized"):
        connect(server).manifest("a", "1")
    assert len(registry.asked) <= 3


def test_many_threads_share_a_token(serve: Serve, connect: Connect) -> None:
    server = serve(registry := Bearer(), tls=True)
    client = connect(server)
    threads = [threading.Thread(target=client.manifest, args=("a", "1")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry.asked) == 1


def test_stream_is_sent_again_after_renewal(serve: Serve, connect: Connect) -> None:
    got: list[bytes] = []
    posts: list[Call] = []

    class Uploads(Bearer):
        def serve(self, call: Call) -> None:
            if call.command == "POST":
                posts.append(call)
                if len(posts) == 1:
                    self.tokens.clear()  # it ends between the POST and the PATCH
                call.send(202, b"", {"Location": "/v2/a/blobs/uploads/1?x=y"})
            elif call.command == "PATCH":
                got.append(call.body)
                self.tokens.clear()
                call.send(202, b"", {"Location": "/v2/a/blobs/uploads/2"})
            elif call.command == "PUT":
                call.send(201)
            else:
                call.send(404)

    server = serve(registry := Uploads(), tls=True)

    def data() -> Iterator[bytes]:
        yield from (b"x" * 100_000, b"y" * 50_000)

    digest, size = connect(server).upload_blob("a", data)
    assert size == 150_000 and got == [b"".join(data())]
    assert len(registry.asked) == 3


def test_realm_on_another_host_sees_the_password_and_the_registry_only_the_token(
    serve: Serve, connect: Connect
) -> None:
    tokens = serve(registry := Bearer(), tls=True)
    registry.realm = f"{tokens.url}/token"
    server = serve(registry, tls=True)
    connect(server, credentials=PASSWORD).manifest("a", "1")
    assert [call.authorization for call in tokens.calls] == [BASIC]
    assert not any(call.authorization.startswith("Basic") for call in server.calls)


@pytest.mark.parametrize("bad", ["http", "user", "file"])
def test_realms_that_are_not_asked(bad: str, serve: Serve, connect: Connect) -> None:
    plain = serve(Bearer())
    realm = {
        "http": f"{plain.url}/token",
        "user": f"https://who@{plain.host}/token",
        "file": "file:///etc/passwd",
    }[bad]
    server = serve(Bearer(realm=realm), tls=True)
    with pytest.raises(RegistryError, match="token server that must not be asked"):
        connect(server, credentials=PASSWORD).ping()
    assert not plain.calls


def test_redirecting_token_server(serve: Serve, connect: Connect) -> None:
    other = serve(registry := Bearer(), tls=True)

    class Redirecting(Bearer):
        def give(self, call: Call) -> None:
            call.send(307, b"", {"Location": f"{other.url}/token?{call.path.partition('?')[2]}"})

    redirecting = Redirecting()
    redirecting.tokens = registry.tokens
    server = serve(redirecting, tls=True)
    connect(server, credentials=PASSWORD).manifest("a", "1")
    assert [call.authorization for call in other.calls] == [""]
    with pytest.raises(RegistryError, match="redirects a request with credentials"):
        connect(server, credentials=Credentials(identity_token="idt")).manifest("a", "1")
    assert len(other.calls) == 1


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "a\\nb"}', b'{"token": ""}'])
def test_no_token_in_the_answer(answer: bytes, serve: Serve, connect: Connect) -> None:
    class Silly(Bearer):
        def give(self, call: Call) -> None:
            call.send(200, answer)

    with pytest.raises(RegistryError, match="token"):
        connect(serve(Silly(), tls=True)).ping()


def test_refused_password_is_said_once_without_it(serve: Serve, connect: Connect) -> None:
    class Strict(Bearer):
        def give(self, call: Call) -> None:
            call.send(401, b'{"details": "incorrect username or password"}')

    server = serve(Strict(), tls=True)
    with pytest.raises(Unauthorized) as caught:
        connect(server, credentials=PASSWORD).ping()
    assert "incorrect username or password" in str(caught.value) and "s3cret" not in str(caught.value)
    assert len(server.calls) == 2


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials(username="who", password="s3cret", identity_token="idt", registry_token="rt"))
    assert "s3cret" not in shown and "idt" not in shown and "rt" not in shown


def test_netrc_and_ca_bundle_of_the_environment_are_not_read(
    serve: Serve, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login who password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    server = serve(lambda call: call.send(200, b"", {"Set-Cookie": "a=b"}), tls=True)
    client = connect(server)
    client.ping()
    client.ping()
    assert all(not call.authorization and "Cookie" not in call.headers for call in server.calls)


def test_proxy_of_the_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve(lambda call: call.send(502))
    monkeypatch.setenv("https_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "direct.invalid")
    with Client("registry.invalid", retries=0) as client, pytest.raises(RegistryError, match="through a proxy"):
        client.ping()
    assert proxy.asked() == ["CONNECT registry.invalid:443"]
    with Client("direct.invalid", retries=0) as client, pytest.raises(RegistryError, match="cannot find"):
        client.ping()
    assert len(proxy.calls) == 1
