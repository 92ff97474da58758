"""``pypod pull`` from registries that lie, stall and break: the right image or one line, nothing left, nothing told.

A case is a function that prepares the registry; its words must be in the error, "" stands for a pull that succeeds.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support import faulty
from support.faulty import BASIC, LAYER, PASSWORD, SMALL, USER, Faulty, begin, endless, first, raw, reset, send
from support.odd_server import Call, Certificates, OddServer
from support.registry import make_certificates
from support.remote_images import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from support.runner import Pypod, until

ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
PLAIN_TAR = "application/vnd.oci.image.layer.v1.tar"


class World(NamedTuple):
    """The registry, and two other hosts (one with TLS) that it may point to; those have the same blobs."""

    server: Faulty
    foreign: OddServer
    plain: OddServer

    def on(self, what: str, fault: faulty.Fault) -> None:
        """Let the fault strike where ``what`` is asked for."""
        self.server.fault = lambda call: self.server.what(call) == what and fault(call)


class Case(NamedTuple):
    prepare: Callable[[World], object]
    words: tuple[str, ...]  # none for success
    more: tuple[str, ...]  # arguments
    by_digest: bool


CASES: dict[str, Case] = {}


def case(*words: str, more: tuple[str, ...] = (), by_digest: bool = False) -> Callable[[Any], Any]:
    def add(prepare: Callable[[World], object]) -> Callable[[World], object]:
        CASES[prepare.__name__] = Case(prepare, words, more, by_digest)
        return prepare

    return add


def several(prefix: str, *words: str, **cases: tuple[str, faulty.Fault]) -> None:
    """Cases that differ in what is hit by what."""
    for name, (what, fault) in cases.items():

        def prepare(world: World, what: str = what, fault: faulty.Fault = fault) -> None:
            world.on(what, fault)

        CASES[f"{prefix}_{name}"] = Case(prepare, words, (), False)


# What is not what its digest says.


@case("digest", by_digest=True)
def manifest_of_another_digest(world: World) -> None:
    world.on("manifest", lambda call: send(200, world.server.data(call) + b" ", {"Content-Type": OCI_MANIFEST})(call))


@case("digest")
def manifest_and_its_header_differ(world: World) -> None:
    headers = {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": "sha256:" + "0" * 64}
    world.on("manifest", lambda call: send(200, world.server.data(call), headers)(call))


@case("digest", by_digest=True)
def manifest_with_a_lying_header(world: World) -> None:
    headers = {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": world.server.digest}
    world.on("manifest", lambda call: send(200, world.server.data(call) + b" ", headers)(call))


@case("config")
def config_of_another_digest(world: World) -> None:
    world.on("config", lambda call: send(200, world.server.data(call).replace(b"linux", b"Linux"))(call))


@case("digest")
def layer_of_another_digest(world: World) -> None:
    """A good archive of the right size, with the right content."""
    blob = bytearray(world.server.blobs[world.server.layer])
    blob[4] ^= 1  # gzip's time
    world.on("layer", send(200, bytes(blob)))


@case("layer")
def layer_with_another_content(world: World) -> None:
    """The digest is right, the diffID is not."""
    world.server.publish([(gzip.compress(SMALL), OCI_LAYER_GZIP, LAYER)])


# Lengths.


@case("bytes")
def layer_too_short(world: World) -> None:
    world.on("layer", lambda call: send(200, world.server.data(call)[:-1])(call))


@case("bytes")
def layer_too_long(world: World) -> None:
    world.on("layer", lambda call: send(200, world.server.data(call) + b"x")(call))


def chunked(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


@case("longer")
def layer_too_long_in_chunks(world: World) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    world.on("layer", lambda call: raw(head, chunked(world.server.data(call) + b"xyz"), b"0\r\n\r\n")(call))


@case("bytes")
def config_too_long(world: World) -> None:
    world.on("config", lambda call: send(200, world.server.data(call) + b" ")(call))


several("endless", "longer|not an archive", layer=("layer", endless), config=("config", endless))
several("endless", "4 MiB", manifest=("manifest", endless))
several("huge", "4 MiB", manifest=("manifest", send(200, b" " * 100_000_000, {"Content-Type": OCI_MANIFEST})))


@case("config", "at most")
def config_said_to_be_huge(world: World) -> None:
    world.server.publish(change=lambda document: document["config"].update(size=1 << 40))


@case("bytes")
def layer_size_that_is_a_lie(world: World) -> None:
    world.server.publish(change=lambda document: document["layers"][0].update(size=1000))


@case("layer|blob", "closed the connection")
def chunks_that_are_none(world: World) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    world.on("layer", raw(head, b"hello\r\nyou\r\n"))


# Connections.


def cut_at(world: World, percent: int) -> faulty.Fault:
    """All the length is promised, but so much of the blob comes; never from behind there."""

    def fault(call: Call) -> bool:
        data, start = world.server.data(call), begin(call)
        stop = len(data) * percent // 100
        if start >= stop:
            return False
        call.send_response_only(206 if start else 200)
        call.send_header("Content-Length", str(len(data) - start))
        if start:
            call.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        call.end_headers()
        call.wfile.write(data[start:stop])
        call.cut()
        return True

    return fault


for _percent in (10, 50, 99):

    def _cut(world: World, percent: int = _percent) -> None:
        world.on("layer", first(1, cut_at(world, percent)))

    CASES[f"cut_at_{_percent}_percent"] = Case(_cut, (), (), False)


@case()
def cut_again_and_again_with_progress(world: World) -> None:
    def fault(call: Call) -> bool:
        percent = 20 + 20 * (begin(call) * 5 // len(world.server.data(call)))
        return percent < 100 and cut_at(world, percent)(call)

    world.on("layer", fault)


@case("layer|closed")
def cut_without_progress(world: World) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(world.server.blobs[world.server.small])
    world.on("small", raw(head, b"\x1f"))


several("reset_once_at", manifest=("manifest", first(1, reset)), layer=("layer", first(1, reset)))
several("reset_for_ever_at", "a:1", manifest=("manifest", reset), layer=("layer", reset))


@case()
def ranges_ignored(world: World) -> None:
    cut = first(1, cut_at(world, 50))
    world.on("layer", lambda call: cut(call) or send(200, world.server.data(call))(call))


@case("range")
def another_range(world: World) -> None:
    cut = first(1, cut_at(world, 50))
    wrong = {"Content-Range": "bytes 0-9/10"}
    world.on("layer", lambda call: cut(call) or send(206, world.server.data(call)[begin(call) :], wrong)(call))


@case("nothing from byte")
def range_refused(world: World) -> None:
    cut = first(1, cut_at(world, 50))
    world.on("layer", lambda call: cut(call) or send(416)(call))


# Redirects.


def to(url: str, code: int = 307) -> faulty.Fault:
    return lambda call: send(code, headers={"Location": url + call.path})(call)


@case()
def redirects_to_another_host(world: World) -> None:
    hit = to(world.foreign.url)
    world.server.fault = lambda call: world.server.what(call) in ("layer", "config") and hit(call)


@case("unauthorized|not found|authentication")
def redirect_to_a_collector(world: World) -> None:
    world.foreign.answer = send(401, b"{}", {"WWW-Authenticate": 'Basic realm="give me"'})
    world.on("layer", to(world.foreign.url))


@case("redirects")
def redirects_in_circles(world: World) -> None:
    world.on("layer", to(world.server.url))


@case("https to http")
def redirect_from_https_to_http(world: World) -> None:
    world.on("layer", to(world.plain.url))


@case("https to http")
def redirect_of_a_manifest_to_http(world: World) -> None:
    world.on("manifest", to(world.plain.url, 302))


several(
    "redirect",
    "redirects to nowhere",
    to_a_file=("layer", send(302, headers={"Location": "file:///etc/passwd"})),
    to_ftp=("layer", send(302, headers={"Location": "ftp://localhost/x"})),
    to_a_user=("layer", send(302, headers={"Location": "https://a:b@localhost/x"})),
    to_nothing=("manifest", send(307)),
)


# Statuses.

ERROR = json.dumps(
    {"errors": [{"code": "DENIED", "message": "\x1b]0;owned\x07\x1b[31mno\nError: all is well"}]}
).encode()
several("later", **{f"{code}_once": ("layer", first(1, send(code))) for code in (429, 500, 502, 503)})
several("later", **{f"{code}_once_of_the_manifest": ("manifest", first(1, send(code))) for code in (429, 500, 503)})
several("later", "too many requests", for_ever=("manifest", send(429, headers={"Retry-After": "0"})))
several("internal", "internal error", for_ever=("layer", send(500)), of_the_manifest=("manifest", send(500)))
several("bad", "bad gateway", gateway=("config", send(502)))
several("retry_after", seconds=("layer", first(1, send(429, headers={"Retry-After": "1"}))))
several("retry_after", garbage=("layer", first(1, send(429, headers={"Retry-After": "soon, \u00fc -1e999"}))))
several("error", "denied", with_terminal_escapes=("manifest", send(403, ERROR)))
several("error", "418", of_a_kind_unknown=("layer", send(418, b"\xff" * 100_000)))
several("missing", "not found|it is not here", layer=("layer", send(404)), manifest=("manifest", send(404)))


@case()
def retry_after_a_date(world: World) -> None:
    world.on("manifest", first(1, send(429, headers={"Retry-After": formatdate(time.time() + 1, usegmt=True)})))


@case("Content-Encoding")
def content_encoding(world: World) -> None:
    world.on(
        "layer",
        lambda call: send(200, gzip.compress(world.server.data(call), 1), {"Content-Encoding": "gzip"})(call),
    )


several(
    "headers", "a:1", without_end=("manifest", raw(b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"y" * 60_000 + b"\r\n"] * 40))
)
several("headers", "a:1", in_a_line=("layer", raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n")))
several("not", "a:1", http=("manifest", raw(b"SSH-2.0-OpenSSH_9.2\r\n")))


# Credentials.


@case("unauthorized")
def password_refused_in_the_middle(world: World) -> None:
    def fault(call: Call) -> bool:
        world.server.refuse(call)
        return True

    world.on("layer", fault)


@case()
def token_expires_in_the_middle(world: World) -> None:
    world.server.realm = f"{world.server.url}/token"

    def fault(call: Call) -> bool:
        world.server.tokens.append("nobody has this one")
        world.server.refuse(call)
        return True

    world.on("layer", first(1, fault))


@case("http")
def token_server_without_tls(world: World) -> None:
    world.server.realm = f"{world.plain.url}/token"


@case("a:1")
def token_server_that_redirects(world: World) -> None:
    world.foreign.answer = send(200, b'{"token": "x"}')
    world.server.realm = f"{world.server.url}/elsewhere"
    inner = world.server.answer
    hit = to(world.foreign.url)
    world.server.answer = lambda call: hit(call) if call.route == "/elsewhere" else inner(call)


@case("a:1")
def token_with_a_newline(world: World) -> None:
    world.server.realm = f"{world.server.url}/bad"
    inner = world.server.answer
    bad = send(200, b'{"token": "a\\r\\nX-Injected: 1"}')
    world.server.answer = lambda call: bad(call) if call.route == "/bad" else inner(call)


# Manifests and indexes.


def index(*items: tuple[str, str], size: int = 100) -> bytes:
    entries = [
        {"mediaType": kind, "digest": wanted, "size": size, "platform": {"os": "linux", "architecture": "amd64"}}
        for kind, wanted in items
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()


@case("broken|digest")
def index_that_points_to_itself(world: World) -> None:
    data = index((OCI_INDEX, "sha256:" + "1" * 64))
    world.server.tag(data, OCI_INDEX)
    world.on("manifest", send(200, data, {"Content-Type": OCI_INDEX}))


@case("broken|index")
def indexes_in_indexes(world: World) -> None:
    server = world.server
    for _ in range(100):
        server.tag(index((OCI_INDEX, server.digest), size=len(server.documents[server.digest][0])), OCI_INDEX)


@case("broken")
def index_entry_of_another_size(world: World) -> None:
    world.server.tag(index((OCI_MANIFEST, world.server.digest), size=7), OCI_INDEX)


@case("schema|media type|broken")
def manifest_of_schema_1(world: World) -> None:
    document = {"schemaVersion": 1, "name": "a", "tag": "1", "fsLayers": [], "history": []}
    world.server.tag(json.dumps(document).encode(), "application/vnd.docker.distribution.manifest.v1+prettyjws")


@case("text/html, not a manifest")
def manifest_that_is_a_page(world: World) -> None:
    world.server.tag(b"<html>Please log in to the guests' network</html>", "text/html")


@case("broken|type")
def manifest_said_to_be_an_index(world: World) -> None:
    world.server.tag(world.server.documents[world.server.digest][0], OCI_INDEX)


@case("broken")
def manifest_with_a_key_twice(world: World) -> None:
    world.server.publish(data=lambda text: text.replace(b'"layers"', b'"layers": [], "layers"'))


@case("broken")
def manifest_nested_deeply(world: World) -> None:
    world.server.publish(data=lambda _: b"[" * 100_000)


@case("broken")
def manifest_with_a_digest_that_is_a_path(world: World) -> None:
    bad = "sha256:../../../../etc/passwd"
    world.server.publish(change=lambda document: document["layers"][0].update(digest=bad))


@case("config")
def config_that_is_a_layer(world: World) -> None:
    server = world.server
    blob = server.blobs[server.layer]
    described = {"mediaType": OCI_CONFIG, "digest": server.layer, "size": len(blob)}
    server.publish(change=lambda document: document.update(config=described))


@case("layers")
def layers_fewer_than_the_config_says(world: World) -> None:
    world.server.publish(change=lambda document: document["layers"].pop())


# Layers that are not what their media type says.


def layers_of(name: str, words: tuple[str, ...], blob: bytes, kind: str, content: bytes, *more: str) -> None:
    def prepare(world: World) -> None:
        world.server.publish([(blob, kind, content), (gzip.compress(SMALL), OCI_LAYER_GZIP, SMALL)])

    CASES[f"layer_{name}"] = Case(prepare, words, more, False)


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("etc/x", b"x" * 3000)
    return out.getvalue()


_GZIP, _PAGE, _ZEROS = gzip.compress(LAYER, 1), b"<html>404</html>" * 100, bytes(32 << 20)
layers_of("page", ("layer",), _PAGE, OCI_LAYER_GZIP, _PAGE)
layers_of("page_as_tar", ("layer",), _PAGE, PLAIN_TAR, _PAGE)
layers_of("zip", ("layer",), _zip(), OCI_LAYER_GZIP, _zip())
layers_of("page_in_gzip", ("layer",), gzip.compress(_PAGE), OCI_LAYER_GZIP, _PAGE)
layers_of("gzip_cut", ("layer",), _GZIP[:-5000], OCI_LAYER_GZIP, LAYER)
layers_of("garbage_after_gzip", ("layer",), _GZIP + b"garbage" * 300, OCI_LAYER_GZIP, LAYER)
layers_of("damaged_gzip", ("layer",), _GZIP[:-8] + bytes(8), OCI_LAYER_GZIP, LAYER)
layers_of(
    "bomb",
    ("limit",),
    gzip.compress(faulty.tar({"zeros": _ZEROS}), 9),
    OCI_LAYER_GZIP,
    faulty.tar({"zeros": _ZEROS}),
    "--storage-opt=pypod.max_layer_size=8m",
)


# The runs.

_done: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def count(say: Callable[[str], None]) -> Iterator[None]:
    yield
    say(
        f"registry faults: {len(_done)} of {len(CASES)} cases as they should be, no wrong image, no leftover, "
        "no secret told"
    )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(*make_certificates(tmp_path_factory.mktemp("tls")))


@pytest.fixture
def world(certificates: Certificates) -> Iterator[World]:
    def blob(call: Call) -> None:
        data = server.blobs.get(call.route.rpartition("/")[2])
        call.send(200 if data is not None else 404, data or b"")

    with (
        Faulty(certificates) as server,
        OddServer(blob, certificates=certificates) as foreign,
        OddServer(blob) as plain,
    ):
        yield World(server, foreign, plain)


class Place(NamedTuple):
    """A store for many tests; ``flags`` for what talks to the registry."""

    pypod: Pypod
    flags: list[str]
    before: list[str]


@pytest.fixture
def place(fresh: Pypod, base: Path, certificates: Certificates) -> Iterator[Place]:
    assert fresh.graphroot is not None
    certs = fresh.graphroot.parent.parent / "certs"
    certs.mkdir(mode=0o755)
    (certs / "ca.crt").write_bytes(certificates.authority.read_bytes())
    (certs / "ca.crt").chmod(0o644)
    fresh("images", "-q").ok()
    flags = ["--cert-dir", str(certs), "--creds", f"{USER}:{PASSWORD}", "--retry", "2", "--retry-delay", "10ms"]
    yield Place(fresh, flags, listing(fresh))


def listing(pypod: Pypod) -> list[str]:
    """All of the store but locks, and what is kept of layers for the next try."""
    assert pypod.graphroot is not None
    top = str(pypod.graphroot)
    found = []
    for where, directories, files in os.walk(top):
        inside = where[len(top) :] + "/"
        if inside == "/overlay/":
            directories[:] = [name for name in directories if name != "staging"]
        found += [inside + name for name in files if not name.endswith((".lock", "synced", ".has-mount-program"))]
        if inside in ("/overlay/", "/overlay/l/", "/overlay-images/", "/overlay/tempdirs/"):
            found += [inside + name for name in directories]
    # What the first command makes in any store.
    made = (
        "/overlay/l",
        "/overlay/tempdirs",
        "/pypod/",
        "/overlay-layers/layers.json",
        "/overlay-images/images.json",
    )
    return sorted(name for name in found if name not in made[:2] and not name.startswith(made[2:]))


def kept(pypod: Pypod) -> list[str]:
    """The layers that are kept for the next try."""
    assert pypod.graphroot is not None
    try:
        return sorted(os.listdir(pypod.graphroot / "overlay/staging"))
    except FileNotFoundError:
        return []


def nothing_told(world: World) -> None:
    """No host but the registry has seen credentials or tokens."""
    secrets = [PASSWORD, BASIC, *world.server.tokens]
    for call in (*world.foreign.calls, *world.plain.calls):
        seen = f"{call.path}\n{call.headers}\n{call.body!r}"
        assert "authorization" not in seen.lower(), seen
        assert not any(secret in seen for secret in secrets), seen


def attempt(place: Place, world: World, found: Case) -> None:
    pypod, server = place.pypod, world.server
    found.prepare(world)
    name = f"{server.host}/a@{server.digest}" if found.by_digest else f"{server.host}/a:1"
    options = [word for word in found.more if word.startswith("--storage-opt")]
    done = pypod.with_options(*options)("pull", *place.flags, name)
    assert PASSWORD not in done.out + done.err and "\x1b" not in done.err and "\x07" not in done.err
    nothing_told(world)
    if not found.words:
        done.ok()
        assert done.lines == [server.id], done
        pypod("system", "check").ok()
        assert kept(pypod) == []
        return
    errors = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    assert done.code == 125 and len(errors) == 1 and "Traceback" not in done.err, done
    assert len(errors[0]) < 800, done
    for word in found.words:
        assert any(one.lower() in errors[0].lower() for one in word.split("|")), (word, done)
    assert done.out == "" and listing(pypod) == place.before
    # What is kept does no harm: from a registry that is well comes the right image.
    if kept(pypod):
        server.fault = None
        server.publish()
        assert pypod("pull", "-q", *place.flags, f"{server.host}/a:1").ok().lines == [server.id]
        pypod("system", "check").ok()


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
@pytest.mark.parametrize("name", CASES)
def test_fault(place: Place, world: World, name: str) -> None:
    attempt(place, world, CASES[name])
    _done.append(name)


@pytest.mark.parametrize("mode", ["root"], indirect=True)
@pytest.mark.parametrize(
    "name",
    ["layer_of_another_digest", "cut_at_50_percent", "reset_for_ever_at_layer", "layer_gzip_cut", "layer_bomb"],
)
def test_fault_as_root(place: Place, world: World, name: str) -> None:
    attempt(place, world, CASES[name])


# What takes other commands than one pull.


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
@pytest.mark.parametrize("kind", ["silent", "patient"])
def test_a_wait_is_interrupted(place: Place, world: World, kind: str) -> None:
    """Of a server that is silent, or wants to be left alone for years: a minute at most, and less with ^C."""
    asked: list[str] = []

    def fault(call: Call) -> bool:
        asked.append(call.path)
        if kind == "patient":
            return send(429, headers={"Retry-After": "99999999999"})(call)
        call.rfile.read(1)  # until the client goes
        return True

    world.on("layer", fault)
    process = place.pypod.popen("pull", *place.flags, f"{world.server.host}/a:1")
    until(lambda: asked, 20, "the layer to be asked for")
    if kind == "patient":
        assert process.stderr is not None
        while b"trying again" not in (line := process.stderr.readline()):
            assert line, "it has given up"
        assert b"in 60s (1/2)" in line
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode in (130, -signal.SIGINT) and b"Traceback" not in err, (process.returncode, err)
    assert listing(place.pypod) == place.before
    nothing_told(world)


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
@pytest.mark.parametrize("kind", ["itself", "on", "elsewhere"])
def test_tags_without_end(place: Place, world: World, kind: str) -> None:
    number = [0]

    def fault(call: Call) -> bool:
        number[0] += 1
        where = {
            "itself": call.path,
            "on": f"/v2/a/tags/list?last={number[0]}",
            "elsewhere": f"{world.foreign.url}/v2/a/tags/list?last=x",
        }[kind]
        body = json.dumps({"name": "a", "tags": [f"t{number[0]}"]}).encode()
        return send(200, body, {"Link": f'<{where}>; rel="next"'})(call)

    world.on("list", fault)
    place.pypod("pull", "-a", *place.flags, f"{world.server.host}/a").fails(125, "tags")
    assert listing(place.pypod) == place.before
    nothing_told(world)


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
def test_an_upload_to_another_host(place: Place, world: World) -> None:
    """Neither the password nor the image goes there with credentials."""
    pypod, server = place.pypod, world.server
    world.foreign.answer = send(401, b"{}", {"WWW-Authenticate": 'Basic realm="give me"'})
    pypod("pull", "-q", *place.flags, f"{server.host}/a:1").ok()
    started = send(202, headers={"Location": f"{world.foreign.url}/v2/b/blobs/uploads/1"})

    def fault(call: Call) -> bool:
        if call.command == "POST":
            return started(call)
        return "/v2/b/blobs/" in call.path and send(404)(call)

    server.fault = fault
    pypod("push", *place.flags, f"{server.host}/a:1", f"{server.host}/b:1").fails(125)
    nothing_told(world)
    pypod("system", "check").ok()
