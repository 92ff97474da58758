"""Where signatures are, and how they are read and written (containers-registries.d(5))."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pypod.errors import ConfigError, PolicyError, RegistryError
from pypod.oci import reference
from pypod.registry import lookaside, plain_yaml, registries_d, signing

DIGEST = "sha256:" + "a" * 64
IMAGE = reference.parse("registry.example.com:5000/ns/app:1")
SIGNATURE = b"\xa3"
SETTINGS: Any = SimpleNamespace(tls_verify=None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose registries.d is the one that holds."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config/containers/registries.d").mkdir(parents=True)
    return tmp_path


def write(home: Path, text: str, name: str = "a.yaml") -> None:
    (home / ".config/containers/registries.d" / name).write_text(text)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", {}),
        ("---\n# nothing\n\n", {}),
        ("a: b\n", {"a": "b"}),
        ("a:\nb: 1\n", {"a": None, "b": "1"}),
        (
            "docker:\n    localhost:5000: # here\n        lookaside: file:///x y #z\n        use: true\n"
            "    b.io/c:d:\ndefault-docker:\n  x: ''\n",
            {
                "docker": {"localhost:5000": {"lookaside": "file:///x y", "use": True}, "b.io/c:d": None},
                "default-docker": {"x": ""},
            },
        ),
        ("'it''s': \"a\\\"b\" # c\n\"k: 1\": 'v'\n", {"it's": 'a"b', "k: 1": "v"}),
        ("a: {}\nb: ~\nc: No\nd: http://x#y\n", {"a": {}, "b": None, "c": False, "d": "http://x#y"}),
        ("  a:\n    b: 1\n  c: 2\n", {"a": {"b": "1"}, "c": "2"}),
    ],
)
def test_yaml(text: str, expected: object) -> None:
    assert plain_yaml.loads(text, "x.yaml") == expected


@pytest.mark.parametrize(
    "text, line",
    [
        ("a", 1),
        ("- a", 1),
        ("a: [b]", 1),
        ("a: &x b", 1),
        ("a: |\n  b", 1),
        ("a: 1\n  b: 2", 2),
        ("a:\n  b: 1\n c: 2", 3),
        ("a: 1\na: 2", 2),
        ("a:\n\tb: 1", 2),
        ("a: 'b", 1),
        ("a: 'b' c", 1),
        ("a: b: c", 1),
        ("{a: b}", 1),
        ("? a", 1),
    ],
)
def test_what_yaml_is_refused(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=f"cannot parse configuration x.yaml: line {line}:"):
        plain_yaml.loads(text, "x.yaml")


def test_sections(home: Path) -> None:
    write(
        home,
        "default-docker:\n  sigstore: https://default\n"
        "docker:\n"
        "  registry.example.com:5000:\n    lookaside: https://host\n    lookaside-staging: file:///staging\n"
        "  registry.example.com:5000/ns:\n    use-sigstore-attachments: true\n",
    )
    write(home, 'docker:\n  "*.example.com":\n    lookaside: https://wild\n', "b.yaml")
    write(home, "no yaml", "c.txt")
    found = registries_d.load()
    assert found.base(IMAGE) == "https://host"
    assert found.base(IMAGE, write=True) == "file:///staging"
    assert (
        found.base(reference.parse("q.io/a"))
        == found.base(reference.parse("q.io/a"), write=True)
        == "https://default"
    )
    assert found.base(reference.parse("b.example.com/a")) == "https://wild"
    section = found.section("registry.example.com:5000/ns")
    assert section is not None and section.attachments


@pytest.mark.parametrize(
    "first, second, message",
    [
        ("default-docker:\n  lookaside: a\n", "default-docker:\n  lookaside: b\n", '"default-docker" is defined in'),
        ("docker:\n  a.io:\n    lookaside: a\n", "docker:\n  a.io:\n    lookaside: b\n", '"a.io" is defined in'),
        ("docker: x\n", "", '"docker" is not a mapping'),
        ("docker:\n  a.io: x\n", "", "is not a mapping"),
        ("docker:\n  a.io:\n    lookaside: true\n", "", "not a URL"),
        ("docker:\n  a.io:\n    use-sigstore-attachments: maybe\n", "", "neither true nor false"),
    ],
)
def test_bad_sections(home: Path, first: str, second: str, message: str) -> None:
    write(home, first)
    write(home, second, "b.yaml")
    with pytest.raises(ConfigError, match=message):
        registries_d.load()


def test_files(home: Path) -> None:
    write(home, f"default-docker:\n  lookaside: file://{home}/sig\n")
    assert lookaside.read(IMAGE, DIGEST, SETTINGS) == []
    one, two, three = SIGNATURE + b"1", SIGNATURE + b"2", SIGNATURE + b"3"
    lookaside.write(IMAGE, DIGEST, [one, two])
    lookaside.write(IMAGE, DIGEST, [two, three])
    place = home / "sig/ns" / f"app@{DIGEST.replace(':', '=')}"
    assert sorted(item.name for item in place.iterdir()) == ["signature-1", "signature-2", "signature-3"]
    assert lookaside.read(IMAGE, DIGEST, SETTINGS) == [one, two, three]
    assert place.stat().st_mode & 0o777 == 0o755
    with pytest.raises(RegistryError, match="sigstore signatures are not written"):
        lookaside.write(IMAGE, DIGEST, [b"\0sigstore-json\n{}"])
    for number in range(4, signing.MOST_SIGNATURES + 2):
        (place / f"signature-{number}").write_bytes(SIGNATURE)
    with pytest.raises(RegistryError, match="more than 128"):
        lookaside.read(IMAGE, DIGEST, SETTINGS)
    (place / "signature-129").unlink()
    with pytest.raises(RegistryError, match="there are 128 already"):
        lookaside.write(IMAGE, DIGEST, [SIGNATURE + b"new"])
    (place / "signature-2").write_bytes(bytes(signing.MOST + 1))
    with pytest.raises(RegistryError, match="larger than"):
        lookaside.read(IMAGE, DIGEST, SETTINGS)
    for content, message in ((b"", "empty signature blob"), (b"-----BEGIN", "starting with binary 0x2d")):
        (place / "signature-2").write_bytes(content)
        with pytest.raises(PolicyError, match=f'parsing signature "{place}/signature-2": .*{message}'):
            lookaside.read(IMAGE, DIGEST, SETTINGS)


def test_digests_are_no_paths(home: Path) -> None:
    for digest in ("sha256:../../etc", "../x", "sha256:" + "A" * 64, ""):
        with pytest.raises(RegistryError, match="is not a digest"):
            lookaside.directory("/base", IMAGE, digest)


@pytest.mark.parametrize("url", ["ftp://x/y", "/plain/path", "file://host/path", "https:///x", "http://[x", "x"])
def test_bad_urls(home: Path, url: str) -> None:
    write(home, f"default-docker:\n  lookaside: '{url}'\n")
    with pytest.raises(ConfigError, match="Invalid signature storage URL"):
        lookaside.read(IMAGE, DIGEST, SETTINGS)


class Server(ThreadingHTTPServer):
    """A web server with ``files``; it keeps the headers of each request."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | int | str] = {}
        self.seen: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append(dict(self.headers.items()))
        answer = self.server.files.get(self.path, 404)
        if isinstance(answer, str):
            self.send_response(302)
            self.send_header("Location", answer)
        else:
            self.send_response(answer if isinstance(answer, int) else 200)
        body = answer if isinstance(answer, bytes) else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        write(home, f"docker:\n  registry.example.com:5000:\n    lookaside: {made.url}/base\n")
        yield made
        made.shutdown()
        thread.join()


def test_web_servers(home: Path, server: Server) -> None:
    place = f"/base/ns/app@{DIGEST.replace(':', '=')}"
    (home / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    assert lookaside.read(IMAGE, DIGEST, SETTINGS) == []
    server.files |= {f"{place}/signature-1": b"\xa3one", f"{place}/signature-2": "/moved", "/moved": b"\xc4two"}
    assert lookaside.read(IMAGE, DIGEST, SETTINGS) == [b"\xa3one", b"\xc4two"]
    assert all("Authorization" not in headers for headers in server.seen)
    for answer, message in (
        (500, "500"),
        ("/loop", "more than 10 redirects"),
        ("ftp://x/y", "redirects to nowhere"),
        ("file:///etc/passwd", "redirects to nowhere"),
        (bytes(signing.MOST + 5), "larger than"),
    ):
        server.files |= {f"{place}/signature-1": answer, "/loop": "/loop"}
        with pytest.raises(RegistryError, match=message):
            lookaside.read(IMAGE, DIGEST, SETTINGS)
    server.files = dict.fromkeys((f"{place}/signature-{number}" for number in range(1, 200)), SIGNATURE)
    with pytest.raises(RegistryError, match="more than 128"):
        lookaside.read(IMAGE, DIGEST, SETTINGS)


def test_web_servers_are_not_written_to(home: Path, server: Server) -> None:
    with pytest.raises(ConfigError, match="Writing directly to a http lookaside") as caught:
        lookaside.write(IMAGE, DIGEST, [b"x"])
    assert "lookaside-staging" in caught.value.hint
    with pytest.raises(ConfigError, match="Writing directly"):
        lookaside.check_writable(IMAGE)
    assert not server.seen
