"""``push`` to a real registry and to every other transport, as root and rootless."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from support import box, made
from support.odd_server import Call, OddServer
from support.registry import Registry
from support.runner import Pypod, Result
from support.token_server import TokenServer

BASE = "localhost/bb:1"
OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
BLOBS = "blobs/uploads/"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry(tls=True, users={"u": "p"}) as running:
        yield running


@pytest.fixture
def place(registry: Registry, request: pytest.FixtureRequest) -> str:
    """A repository of the test's own."""
    registry.forget()
    name = "".join(char if char.isalnum() else "-" for char in request.node.name.lower()).strip("-")
    return f"{registry.host}/{name}"


@pytest.fixture(scope="module")
def _gone(store: Pypod, _nothing_left: None) -> Iterator[None]:
    yield
    store("rm", "-f", "-a", "-t", "0").ok()
    made.forget_images(store, BASE)


@pytest.fixture
def image(pypod: Pypod, _gone: None) -> Iterator[Pypod]:
    """The store with an image of three layers, ``three:1``, which stays; what else a test makes is removed."""
    if pypod("image", "exists", "three:1").code:
        for number, (base, name) in enumerate(((BASE, "two:1"), ("two:1", "three:1"))):
            pypod("run", "--name", "a", base, "sh", "-c", f"head -c 300000 /dev/urandom > /f{number}").ok()
            pypod("commit", "-q", "a", name).ok()
            pypod("rm", "a").ok()
    yield pypod
    pypod("rm", "-f", "-a", "-t", "0").ok()
    names = pypod("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").ok().lines
    for name, identity in (line.split() for line in names):
        if name not in (BASE, "localhost/two:1", "localhost/three:1"):
            pypod("rmi", "-f", identity if name == "<none>:<none>" else name).ok()


@pytest.fixture
def push(image: Pypod, registry: Registry) -> Callable[..., Result]:
    def call(*args: str | Path, creds: str = "u:p", **options: Any) -> Result:
        access = ["--cert-dir", registry.certs_dir, *(["--creds", creds] if creds else [])]
        return image("push", *access, *args, **options)

    return call


def skopeo(*args: str | Path) -> str:
    done = subprocess.run(
        [box.need("skopeo"), "--insecure-policy", *map(str, args)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def remote(registry: Registry, name: str) -> tuple[str, dict[str, Any]]:
    """Digest and manifest of an image in the registry, as skopeo sees them."""
    raw = skopeo("inspect", "--raw", "--cert-dir", registry.certs_dir, "--creds", "u:p", f"docker://{name}")
    return "sha256:" + hashlib.sha256(raw.encode()).hexdigest(), json.loads(raw)


def fetched(registry: Registry, name: str, into: Path) -> Path:
    """An image of the registry in a directory: skopeo has checked every digest."""
    skopeo(
        "copy", "-q", "--src-cert-dir", registry.certs_dir, "--src-creds", "u:p", f"docker://{name}", f"dir:{into}"
    )
    return into


def archive(name: str, content: bytes) -> bytes:
    """A layer with one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def made_layout(path: Path, layers: list[bytes]) -> tuple[str, dict[str, Any]]:
    """An OCI layout as another program writes it, with annotations and blanks: its digest and its manifest."""
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "size": len(data), "digest": f"sha256:{digest}"}

    diff_ids = ["sha256:" + hashlib.sha256(item).hexdigest() for item in layers]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    manifest = {
        "annotations": {"org.example": "kept"},
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": put(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [
            put(gzip.compress(item, 1, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip") for item in layers
        ],
    }
    own = put(json.dumps(manifest, indent=3).encode(), OCI)
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [own]}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return own["digest"], manifest


def image_id(pypod: Pypod, name: str) -> str:
    [found] = pypod("image", "inspect", name).ok().json
    return f"sha256:{found['Id']}"


def test_what_is_there_is_not_sent_again(
    push: Callable[..., Result], image: Pypod, registry: Registry, place: str, shared_dir: Path
) -> None:
    file = shared_dir / "digest"
    done = push("--digestfile", file, "three:1", f"{place}:1").ok()
    assert done.out == ""
    lines = done.err.splitlines()
    layers = made.layers(image, "three:1")
    assert lines[0] == "Getting image source signatures"
    assert sorted(lines[1:-2]) == sorted(f"Copying blob {layer}" for layer in layers)
    assert lines[-2:] == [f"Copying config {image_id(image, 'three:1')}", "Writing manifest to image destination"]
    digest, manifest = remote(registry, f"{place}:1")
    assert file.read_text() == digest and file.stat().st_mode & 0o777 == 0o644
    assert manifest["mediaType"] == OCI and manifest["config"]["digest"] == image_id(image, "three:1")
    assert {item["mediaType"] for item in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    got = fetched(registry, f"{place}:1", shared_dir / "got")
    for layer, item in zip(layers, manifest["layers"], strict=True):
        blob = (got / item["digest"][7:]).read_bytes()
        assert "sha256:" + hashlib.sha256(gzip.decompress(blob)).hexdigest() == layer
    # Once more, in silence: not a byte of a blob.
    registry.forget()
    assert push("-q", "--digestfile", file, "three:1", f"docker://{place}:2").ok().err == ""
    assert file.read_text() == digest
    assert (registry.count("POST"), registry.count("PATCH"), registry.count("PUT", "manifests")) == (0, 0, 1)
    # Into another repository: the layers are mounted, only the config is sent.
    registry.forget()
    push("three:1", f"{place}/other:1").ok()
    assert registry.count("POST", "mount=") == 3 and registry.count("PATCH") == 0
    assert registry.count("PUT", BLOBS) == 1
    assert remote(registry, f"{place}/other:1")[0] == digest
    # The cache may go: the layers are compressed again, to the same blobs.
    assert image.graphroot
    for path in (image.graphroot / "pypod/blobs").iterdir():
        path.write_bytes(b"[{")
    push("-q", "--digestfile", file, "three:1", f"{place}/third:1").ok()
    assert file.read_text() == digest


def test_an_image_from_the_registry_goes_back_to_the_byte(
    push: Callable[..., Result], image: Pypod, registry: Registry, place: str, shared_dir: Path
) -> None:
    layout = shared_dir / "layout"
    digest, manifest = made_layout(layout, [archive("a", b"1" * 5000), archive("b", os.urandom(5000))])
    access = ("--dest-cert-dir", registry.certs_dir, "--dest-creds", "u:p")
    skopeo("copy", "-q", *access, f"oci:{layout}", f"docker://{place}/theirs:1")
    assert remote(registry, f"{place}/theirs:1")[0] == digest
    [line] = image("load", "-i", layout).ok().lines
    name = line.rpartition(": ")[2]
    image("tag", name, f"{place}/theirs:1").ok()
    registry.forget()
    file = shared_dir / "digest"
    push("--digestfile", file, f"{place}/theirs:1").ok()
    assert file.read_text() == digest and registry.count("POST") == 0
    push("--digestfile", file, f"{place}/theirs:1", f"{place}/ours:1").ok()
    assert remote(registry, f"{place}/ours:1") == (digest, manifest)
    mounted = registry.count("POST", "mount=")
    assert file.read_text() == digest and mounted and registry.count("PATCH") == 0


def test_layers_of_a_pulled_base_are_mounted(
    push: Callable[..., Result], image: Pypod, registry: Registry, place: str
) -> None:
    push("three:1", f"{place}/base:1").ok()
    made.forget_images(image, BASE)
    assert image.graphroot
    for path in (image.graphroot / "pypod/blobs").iterdir():
        path.unlink()
    image("pull", "-q", "--cert-dir", registry.certs_dir, "--creds", "u:p", f"{place}/base:1").ok()
    image("run", "--name", "a", f"{place}/base:1", "touch", "/more").ok()
    image("commit", "-q", "a", "more:1").ok()
    registry.forget()
    push("more:1", f"{place}/more:1").ok()
    # The base's lowest layer was in the store before, so nobody knows which blob it is.
    assert registry.count("POST", "mount=") == 2 and registry.count("PATCH") == 2


def test_zstd(push: Callable[..., Result], image: Pypod, registry: Registry, place: str, shared_dir: Path) -> None:
    push("three:1", f"{place}:gzip").ok()
    push("--compression-format", "zstd", "three:1", f"{place}:zstd").ok()
    _, manifest = remote(registry, f"{place}:zstd")
    assert {item["mediaType"] for item in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    assert not any("annotations" in item for item in manifest["layers"])
    form = "zstd:chunked"
    push("--compression-format", form, "--compression-level", "4", "three:1", f"{place}:1").ok()
    _, manifest = remote(registry, f"{place}:1")
    assert {item["mediaType"] for item in manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    assert all("annotations" in item for item in manifest["layers"])
    got = fetched(registry, f"{place}:1", shared_dir / "got")
    [line] = image("load", "-q", "-i", got).ok().lines
    assert line.endswith(image_id(image, "three:1"))
    registry.forget()
    push("--force-compression", "--compression-format", form, "three:1", f"{place}:2").ok()
    assert registry.count("POST") == 0
    # Whoever does not ask for a compression takes what is there.
    push("three:1", f"{place}:3").ok()
    assert registry.count("POST") == 0
    push("--compression-format", "gzip", "three:1", f"{place}:4").ok()
    assert {item["mediaType"][-4:] for item in remote(registry, f"{place}:4")[1]["layers"]} == {"gzip"}
    push("-f", "v2s2", "--compression-format", form, "three:1", f"{place}:5").fails(
        125, "layers need an OCI manifest"
    )


def test_kinds_of_manifests(
    push: Callable[..., Result], image: Pypod, registry: Registry, place: str, shared_dir: Path
) -> None:
    push("-f", "v2s2", "three:1", f"{place}:1").ok()
    _, manifest = remote(registry, f"{place}:1")
    assert manifest["mediaType"] == DOCKER
    assert manifest["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    assert {item["mediaType"] for item in manifest["layers"]} == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}
    fetched(registry, f"{place}:1", shared_dir / "got")
    image("run", "--name", "a", BASE, "true").ok()
    image("commit", "-q", "-f", "docker", "a", "docker:1").ok()
    push("docker:1", f"{place}:2").ok()
    assert remote(registry, f"{place}:2")[1]["mediaType"] == DOCKER
    push("--format", "oci", "docker:1", f"{place}:3").ok()
    _, manifest = remote(registry, f"{place}:3")
    assert manifest["mediaType"] == OCI
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert manifest["config"]["digest"] == image_id(image, "docker:1")
    push("--compression-format", "zstd", "docker:1", f"{place}:4").ok()
    assert remote(registry, f"{place}:4")[1]["mediaType"] == OCI


def test_foreign_layers_are_not_sent(
    push: Callable[..., Result], image: Pypod, registry: Registry, place: str, shared_dir: Path
) -> None:
    layout = shared_dir / "layout"
    image("save", "-q", "--format", "oci-dir", "-o", layout, "three:1").ok()
    index = json.loads((layout / "index.json").read_text())
    path = layout / "blobs/sha256" / index["manifests"][0]["digest"][7:]
    manifest = json.loads(path.read_text())
    foreign = manifest["layers"][1]
    foreign["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    foreign["urls"] = ["https://example.org/layer"]
    text = json.dumps(manifest).encode()
    digest = hashlib.sha256(text).hexdigest()
    (path.parent / digest).write_bytes(text)
    index["manifests"] = [{"mediaType": OCI, "digest": f"sha256:{digest}", "size": len(text)}]
    (layout / "index.json").write_text(json.dumps(index))
    made.forget_images(image, BASE)
    [line] = image("load", "-q", "-i", layout).ok().lines
    name = line.rpartition(": ")[2]
    push(name, f"{place}:1").ok()
    _, pushed = remote(registry, f"{place}:1")
    assert pushed["layers"][1] == foreign
    assert not [item for item in registry.requests if foreign["digest"] in item.path]


def test_other_transports(image: Pypod, shared_dir: Path) -> None:
    identity = image_id(image, "three:1")
    layers = made.layers(image, "three:1")
    digest_file = shared_dir / "digest"
    for target, more, kind in (
        ("oci:{}:name/x:2", [], OCI),
        ("oci-archive:{}:name/x:2", [], OCI),
        ("oci:{}", ["--compression-format", "zstd:chunked"], OCI),
        ("dir:{}", [], OCI),
        ("dir:{}", ["--compress", "-f", "v2s2"], DOCKER),
        ("docker-archive:{}:name/x:2", [], DOCKER),
        ("docker-archive:{}", [], DOCKER),
    ):
        path = shared_dir / "".join(char for char in target + "".join(more) if char.isalnum())
        done = image("push", "--digestfile", digest_file, *more, "three:1", target.format(path)).ok()
        assert done.out == "" and done.err.startswith("Getting image source signatures\nCopying blob ")
        # Of a docker-archive with several names one must be chosen.
        there = target.format(path) if target != "docker-archive:{}" else f"docker-archive:{path}:localhost/three:1"
        raw = skopeo("inspect", "--raw", there)
        assert json.loads(raw)["mediaType"] == kind
        assert json.loads(raw)["config"]["digest"] == identity
        if not target.startswith("docker-archive"):
            assert digest_file.read_text() == "sha256:" + hashlib.sha256(raw.encode()).hexdigest()
        assert json.loads(skopeo("inspect", "--config", there))["rootfs"]["diff_ids"] == layers
    with tarfile.open(shared_dir / "dockerarchivenamex2") as tar:
        member = tar.extractfile("manifest.json")
        assert member
        assert json.load(member)[0]["RepoTags"] == ["docker.io/name/x:2", "localhost/three:1"]


def test_other_stores(image: Pypod, shared_dir: Path) -> None:
    image("push", "-q", "three:1", "containers-storage:other:1").ok()
    assert image_id(image, "docker.io/library/other:1") == image_id(image, "three:1")
    place = f"[overlay@{shared_dir}/g+{shared_dir}/r]"
    for _ in range(2):
        image("push", "-q", "three:1", f"containers-storage:{place}localhost/other:1").ok()
    there = Pypod(image.program, image.user, graphroot=shared_dir / "g", runroot=shared_dir / "r", mode=image.mode)
    assert made.layers(there, "other:1") == made.layers(image, "three:1")
    assert made.documents(there, "other:1") == made.documents(image, "three:1")
    there("system", "check").ok()
    there("rmi", "-a", "-f").ok()
    subprocess.run(["rm", "-rf", shared_dir / "g"], check=True)


def test_what_push_refuses(push: Callable[..., Result], image: Pypod, place: str, shared_dir: Path) -> None:
    identity = image_id(image, "three:1")[7:]
    for words, said in (
        ([], "accepts between 1 and 2 arg(s)"),
        (["nosuch", f"{place}:1"], "nosuch: image not known"),
        (["three:1"], "localhost/three:1: the name has no registry"),
        ([identity], "an ID says no destination"),
        (["three:1", "docker-daemon:x"], 'transport "docker-daemon" is not supported'),
        (["three:1", "oci:"], "nothing follows the transport"),
        (["three:1", "docker://Bad"], "repository name must be lowercase"),
        (["three:1", f"{place}@sha256:{'1' * 64}"], "the manifest has the digest sha256:"),
        (["-f", "v2s1", "three:1", f"{place}:1"], "schema 1"),
        (["-f", "bogus", "three:1", f"{place}:1"], 'unknown format "bogus"'),
        (["-f", "v2s2", "three:1", f"oci:{shared_dir}/x"], "an OCI layout holds OCI manifests"),
        (["-f", "oci", "three:1", f"docker-archive:{shared_dir}/x"], "schema 2"),
        (["--compression-format", "lz4", "three:1", f"{place}:1"], 'compression format "lz4"'),
        (["--compression-level", "11", "three:1", f"{place}:1"], "is not between 1 and 9"),
        (["--compress", "three:1", f"{place}:1"], "--compress can be set only when pushing to dir:"),
        (["--encrypt-layer", "0", "three:1", f"{place}:1"], "--encrypt-layer is not supported"),
        (["--sign-by-sigstore", "x", "three:1", f"{place}:1"], "--sign-by-sigstore is not supported"),
        (["--sign-by", "x", "three:1", f"dir:{shared_dir}/x"], "--sign-by is for registries"),
        (["--digestfile", "/no/such/file", "three:1", f"{place}:1"], "/no/such/file"),
        (["--authfile", "/no/such/file", "three:1", f"{place}:1"], "/no/such/file"),
        (["--retry-delay", "x", "three:1", f"{place}:1"], "--retry-delay"),
        (["three:1", "containers-storage:[overlay@x]y"], "[DRIVER@DIR+DIR]"),
    ):
        push(*words).fails(125, said)
    push("three:1", f"{place}:1", creds="u:wrong").fails(125, "unauthorized")
    push("three:1", f"{place}:1", creds="").fails(125, "unauthorized")
    image("push", "--creds", "u:p", "three:1", f"{place}:1").fails(125, "certificate")
    assert os.listdir(shared_dir) == []


def test_a_registry_that_may_not_be_written(image: Pypod) -> None:
    with Registry(read_only=True) as registry:
        done = image("push", "--tls-verify=false", "three:1", f"{registry.host}/x:1")
        done.fails(125, f"{registry.host}/x", "unsupported")


def test_tokens(image: Pypod) -> None:
    def allows(user: str, name: str, actions: Sequence[str]) -> Sequence[str]:
        return actions if user == "u" else ["pull"]

    with TokenServer(users={"u": "p", "reader": "p"}, allows=allows) as tokens:
        with Registry(tls=True, token=tokens.config) as registry:
            tokens.trust(registry.certs_dir)
            push = ("push", "-q", "--cert-dir", registry.certs_dir, "--creds")
            tokens.life[:] = [-120, 300, -120]  # some have ended when they come
            image(*push, "u:p", "three:1", f"{registry.host}/tokens:1").ok()
            tokens.life[:] = [300, -120, 300]
            image(*push, "u:p", "three:1", f"{registry.host}/tokens/other:1").ok()
            assert registry.count("POST", "mount=")
            done = image(*push, "reader:p", "three:1", f"{registry.host}/tokens:2")
            done.fails(125, f"{registry.host}/tokens", "unauthorized")


def test_a_registry_that_refuses_a_kind(image: Pypod, plain: Registry) -> None:
    def answer(call: Call) -> None:
        if call.command == "PUT" and call.headers["Content-Type"] == OCI:
            call.send(400, b'{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}')
            return
        connection = http.client.HTTPConnection("127.0.0.1", plain.port)
        headers = {key: value for key, value in call.headers.items() if key != "Transfer-Encoding"}
        connection.request(call.command, call.path, call.body, headers)
        reply = connection.getresponse()
        call.send(reply.status, reply.read(), dict(reply.getheaders()))
        connection.close()

    with OddServer(answer) as front:
        flags = ("push", "-q", "--tls-verify=false")
        image(*flags, "three:1", f"{front.host}/docker:1").ok()
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{plain.host}/docker:1")
        assert json.loads(raw)["mediaType"] == DOCKER
        image(*flags, "-f", "oci", "three:1", f"{front.host}/docker:2").fails(125, "manifest invalid")
        zstd = ("--compression-format", "zstd")
        image(*flags, *zstd, "three:1", f"{front.host}/docker:3").fails(125, "manifest invalid")


class Wire:
    """Passes connections on to a registry. ``cut``: after how many bytes to it each of the next ones is cut, or an
    answer that it gets instead of one. ``slow``: bytes per second to it.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.faults: list[int | bytes] = []
        self.slow = 0
        self.passed = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"localhost:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._socket.accept()
                threading.Thread(target=self._pass, args=(near,), daemon=True).start()

    def _pass(self, near: socket.socket) -> None:
        fault = self.faults.pop(0) if self.faults else -1
        with contextlib.suppress(OSError), near, socket.create_connection(("127.0.0.1", self._port)) as far:
            if isinstance(fault, bytes):
                near.recv(1 << 16)
                near.sendall(fault)
                return
            threading.Thread(target=self._back, args=(far, near), daemon=True).start()
            sent = 0
            while data := near.recv(1 << 14):
                far.sendall(data)
                sent += len(data)
                self.passed += len(data)
                if 0 <= fault < sent:
                    return
                if self.slow:
                    time.sleep(len(data) / self.slow)

    @staticmethod
    def _back(far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                near.sendall(data)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def plain() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def wire(plain: Registry) -> Iterator[Wire]:
    running = Wire(plain.port)
    yield running
    running.close()


@pytest.fixture
def large(image: Pypod) -> str:
    """An image with a layer of some megabytes that do not shrink."""
    image("import", "-q", "-", "localhost/large:1", input=archive("large", os.urandom(12 << 20))).ok()
    return "localhost/large:1"


def test_connections_that_break(image: Pypod, plain: Registry, wire: Wire, large: str) -> None:
    flags = ("--tls-verify=false", "--retry-delay", "10ms")
    busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    for number, faults in enumerate(([3 << 20], [3 << 20, 200, 1 << 20], [busy], [busy, busy, 5 << 20])):
        wire.faults = list(faults)
        image("push", *flags, large, f"{wire.host}/cut{number}:1").ok()
        digest = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{plain.host}/cut{number}:1"))["Digest"]
        assert digest.startswith("sha256:")
        assert image.graphroot
        for path in (image.graphroot / "pypod/blobs").iterdir():
            path.unlink()
    wire.faults = [1 << 20] * 50
    done = image("push", *flags, "--retry", "2", large, f"{wire.host}/never:1")
    assert done.code == 125 and done.err.count("Error: ") == 1 and "Traceback" not in done.err
    assert not (plain.data / "docker/registry/v2/repositories/never/_manifests/tags").exists()
    wire.faults = []
    plain.kill()
    image("push", *flags, "--retry", "0", large, f"{wire.host}/dead:1").fails(125, wire.host)


def test_interrupted_it_leaves_nothing(image: Pypod, plain: Registry, wire: Wire, large: str) -> None:
    wire.slow = 3 << 20
    for sent in (signal.SIGINT, signal.SIGTERM):
        before = wire.passed
        process = image.popen("push", "--tls-verify=false", large, f"{wire.host}/stopped:1")
        while wire.passed < before + (1 << 20):
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, sent)
        out, err = process.communicate(timeout=30)
        assert process.returncode != 0 and out == b"" and b"Traceback" not in err
        if sent == signal.SIGINT:
            # docker-registry 2.8 refuses: an upload of which it has more than it has told cannot be named any more.
            assert plain.count("DELETE", BLOBS) == 1
    assert not (plain.data / "docker/registry/v2/repositories/stopped/_manifests").exists()


def test_a_damaged_layer(image: Pypod, plain: Registry, large: str) -> None:
    assert image.graphroot
    [layer] = made.layers(image, large)
    with open(image.graphroot / "overlay" / layer[7:] / "diff/large", "r+b") as file:
        file.seek(10 << 20)
        file.write(b"damaged")
    image("push", "--tls-verify=false", large, f"{plain.host}/damaged:1").fails(125, "large", "rebuild")
    assert plain.count("PUT") == 0 and plain.count("DELETE", BLOBS) == 1
