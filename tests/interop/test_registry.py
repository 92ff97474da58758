"""pypod and skopeo with one registry; a pull whose registry dies half-way, and podman beside what is kept of it."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.test_storage import Tools
from support import box
from support.registry import Registry
from support.remote_images import OCI_MANIFEST, Remote, digest, tar
from support.runner import Pypod

SIZE = 40 << 20  # bytes of the layer that is cut


class Relay:
    """Passes connections on to a port and counts what comes back.

    After ``limit`` bytes ``over`` is called, which says whether to go on.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.received = 0
        self.limit = 1 << 60
        self.over: Callable[[], bool] = lambda: True
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"localhost:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            for source, sink, back in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass, args=(source, sink, back), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, back: bool) -> None:
        try:
            while data := source.recv(1 << 16):
                if back:
                    with self._lock:
                        self.received += len(data)
                        strike = self.received > self.limit
                        if strike:
                            self.limit = 1 << 60
                    if strike and not self.over():
                        break
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def tools(fresh: Pypod) -> Iterator[Tools]:
    made = Tools(fresh)
    yield made
    if fresh.rootless:
        made.podman("system", "migrate")  # ends its pause process


@pytest.fixture
def relay(registry: Registry) -> Iterator[Relay]:
    made = Relay(registry.port)
    yield made
    made.close()


def half_random() -> bytes:
    """What gzip makes two thirds of: a file that does not compress, and many that do."""
    chance = random.Random(5)
    files = {"big": chance.randbytes(SIZE // 2)}
    for number in range(2000):
        files[f"d/{number}"] = b"%d " % number * 2000
    return tar(files)


def skopeo(*words: str | Path) -> None:
    done = subprocess.run(
        [box.need("skopeo"), *map(str, words)], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=["one stream", "with flush points"])
def name(request: pytest.FixtureRequest, registry: Registry, tmp_path: Path) -> str:
    """A repository whose image has one large layer, compressed as Docker does or as podman and skopeo do."""
    Remote(registry.port).image("a", "1", [half_random()])
    if request.param == "one stream":
        return "a"
    skopeo("copy", "--src-tls-verify=false", "--dest-decompress", f"docker://{registry.host}/a:1", f"dir:{tmp_path}")
    skopeo("copy", "--dest-tls-verify=false", f"dir:{tmp_path}", f"docker://{registry.host}/b:1")
    return "b"


def layer_size(registry: Registry, name: str) -> int:
    """The bytes of the image's layer, compressed."""
    wanted = urllib.request.Request(f"http://{registry.host}/v2/{name}/manifests/1", headers={"Accept": OCI_MANIFEST})
    with urllib.request.urlopen(wanted, timeout=10) as answer:
        size: int = json.load(answer)["layers"][0]["size"]
    return size


def cut_in_half(pypod: Pypod, registry: Registry, relay: Relay, name: str) -> int:
    """A pull whose registry is killed half-way; the bytes that a whole one takes, about."""
    whole = layer_size(registry, name)
    relay.received, relay.limit, relay.over = 0, whole // 2, lambda: bool(registry.kill())
    done = pypod(
        "pull", "-q", "--tls-verify=false", "--retry", "1", "--retry-delay", "10ms", f"{relay.host}/{name}:1"
    )
    done.fails(125, f"{relay.host}/{name}:1")
    registry.restart()
    relay.received = 0
    return whole


def test_the_second_try_goes_on(
    fresh: Pypod, registry: Registry, relay: Relay, name: str, say: Callable[[str], None]
) -> None:
    whole = cut_in_half(fresh, registry, relay, name)
    id = fresh("pull", "-q", "--tls-verify=false", f"{relay.host}/{name}:1").ok().out.strip()
    share = relay.received / whole
    say(f"a pull cut off half-way ({fresh.mode}, {name}): {share:.0%} of the bytes in the second try")
    assert share <= 0.6
    assert fresh("image", "inspect", "-f", "{{.RootFS.Layers}}", id).ok().out.strip() == f"[{digest(half_random())}]"
    fresh("system", "check").ok()
    assert fresh.graphroot is not None and not (fresh.graphroot / "overlay/staging").exists()


@pytest.mark.parametrize("name", ["with flush points"], indirect=True)
def test_podman_works_on_the_store_meanwhile(
    tools: Tools, registry: Registry, relay: Relay, name: str, busybox_tar: Path
) -> None:
    """In the middle of a pull it takes nothing away; what is kept of one that was cut off it may."""
    pypod = tools.pypod
    assert pypod.graphroot is not None
    said: list[str] = []

    def look() -> bool:
        said.append(tools.podman("images").ok().out)
        tools.podman("import", "-q", busybox_tar, "localhost/x:1").ok()
        return True

    relay.limit, relay.over = layer_size(registry, name) // 2, look
    pypod("pull", "-q", "--tls-verify=false", f"{relay.host}/{name}:1").ok()
    assert len(said) == 1 and name not in said[0].split()
    tools.podman("rmi", "-f", f"{relay.host}/{name}:1", "localhost/x:1").ok()

    cut_in_half(pypod, registry, relay, name)
    assert (pypod.graphroot / "overlay/staging").exists()
    tools.podman("pull", "-q", "--tls-verify=false", f"{registry.host}/{name}:1").ok()
    tools.podman("rmi", "-f", f"{registry.host}/{name}:1").ok()
    pypod("pull", "-q", "--tls-verify=false", f"{relay.host}/{name}:1").ok()
    pypod("system", "check").ok()


def test_to_and_fro_with_tls_and_a_password(fresh: Pypod, busybox_tar: Path, shared_dir: Path) -> None:
    """What either pushes the other reads under the same digest; an index for two platforms as well."""
    with Registry(tls=True, users={"u": "p"}) as registry:
        certs, auth, told = registry.certs_dir, shared_dir / "auth.json", shared_dir / "digest"
        access = ("--authfile", auth, "--cert-dir", certs)

        def seen(name: str, *words: str) -> str:
            return fresh.as_user(box.need("skopeo"), "inspect", *access, *words, f"docker://{name}").ok().out

        fresh("login", *access, "-u", "u", "--password-stdin", registry.host, input=b"p").ok()
        fresh("import", "-q", busybox_tar, "localhost/one:1").ok()
        ours, theirs = f"{registry.host}/ours/one", f"{registry.host}/theirs/one"
        fresh("push", "-q", *access, "--digestfile", told, "localhost/one:1", f"{ours}:1").ok()
        pushed = told.read_text()
        assert seen(f"{ours}:1", "--format", "{{.Digest}}").strip() == pushed
        ids = fresh("images", "-q", "--no-trunc").ok().lines
        fresh("rmi", "-a").ok()
        for name in (f"{ours}:1", f"{ours}@{pushed}"):
            [id] = fresh("pull", "-q", *access, name).ok().lines
            assert f"sha256:{id}" in ids
            assert fresh("image", "inspect", "-f", "{{.Digest}}", name).ok().out.strip() == pushed
        copy = ("--src-cert-dir", certs, "--dest-cert-dir", certs, "--authfile", auth)
        fresh.as_user(box.need("skopeo"), "copy", "-q", *copy, f"docker://{ours}:1", f"docker://{theirs}:1").ok()
        assert fresh("pull", "-q", *access, f"{theirs}:1").ok().lines == [id]
        assert fresh("image", "inspect", "-f", "{{.Digest}}", f"{theirs}:1").ok().out.strip() == pushed

        both = f"{registry.host}/both:1"
        fresh("manifest", "create", "both").ok()
        fresh("manifest", "add", "both", f"{ours}:1").ok()
        fresh("manifest", "add", *access, "--arch", "arm64", "both", f"docker://{theirs}:1").ok()
        fresh("manifest", "push", "--all", *access, "--digestfile", told, "both", f"docker://{both}").ok()
        raw = seen(both, "--raw")
        assert digest(raw.encode()) == told.read_text()
        assert {item["platform"]["architecture"] for item in json.loads(raw)["manifests"]} >= {"arm64"}
        fresh("rmi", "-a", "-f").ok()
        assert fresh("pull", "-q", *access, "--arch", "arm64", both).ok().lines == [id]
        refused = fresh("pull", "-q", "--cert-dir", certs, "--creds", "u:wrong", both)
        refused.fails(125, "unauthorized")
        assert "wrong" not in refused.err
