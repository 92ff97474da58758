"""Debian's docker-registry on a free port of the loopback, with TLS, passwords or tokens as a test wants.

    with Registry(tls=True, users={"u": "p"}) as registry:
        pypod("push", "--cert-dir", registry.certs_dir, "--creds", "u:p", image, f"{registry.host}/a:1").ok()
        assert registry.count("PATCH") == 1

What it holds is on disk: it survives ``kill`` and ``restart``.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from support import box, disk

_LINE = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d+) (?P<size>\d+)')
_PATIENCE = 20.0


@dataclass(frozen=True)
class Request:
    """One line of the access log; ``size`` is that of the answer's body in bytes."""

    method: str
    path: str
    status: int
    size: int


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def make_certificates(directory: Path, *names: str) -> tuple[Path, Path, Path]:
    """An authority and a server's certificate for ``names`` and 127.0.0.1: files of authority, certificate, key."""
    openssl = box.need("openssl")

    def run(*args: str | Path) -> None:
        subprocess.run([openssl, *args], check=True, capture_output=True, cwd=directory)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=pypod tests")
    run("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    alternatives = ",".join([f"DNS:{name}" for name in ("localhost", *names)] + ["IP:127.0.0.1", "IP:::1"])
    (directory / "ext").write_text(f"subjectAltName={alternatives}\n")
    run(
        *("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-days", "2", "-extfile", "ext", "-out", "server.crt"),
    )
    return directory / "ca.crt", directory / "server.crt", directory / "server.key"


class Registry:
    """See the module. ``token``: the keys realm, service, issuer and rootcertbundle of the registry's token
    authentication. ``read_only``: what is pushed is refused.
    """

    def __init__(
        self,
        *,
        tls: bool = False,
        users: Mapping[str, str] | None = None,
        token: Mapping[str, str] | None = None,
        read_only: bool = False,
    ) -> None:
        self._program = box.need("docker-registry")
        self._users, self._token, self._tls = dict(users or {}), dict(token or {}), tls
        self.read_only = read_only
        self.directory = Path(tempfile.mkdtemp(prefix="registry-", dir=disk.place()))
        self.directory.chmod(0o755)
        self.certs_dir = self.directory / "certs"
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.port = free_port()
        self.host = f"localhost:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self._process: subprocess.Popen[bytes] | None = None
        self._seen = 0
        try:
            self._configure()
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def _configure(self) -> None:
        self.certs_dir.mkdir()
        http: dict[str, Any] = {"addr": f"127.0.0.1:{self.port}"}
        if self._tls:
            place = self.directory / "tls"
            place.mkdir(mode=0o700)
            authority, certificate, key = make_certificates(place)
            shutil.copy(authority, self.certs_dir / "ca.crt")
            http["tls"] = {"certificate": str(certificate), "key": str(key)}
        auth: dict[str, Any] = {}
        if self._users:
            htpasswd = box.need("htpasswd", "apache2-utils")
            lines = [
                subprocess.run([htpasswd, "-Bbn", *pair], check=True, capture_output=True, text=True).stdout
                for pair in self._users.items()
            ]
            (self.directory / "htpasswd").write_text("".join(lines))
            auth = {"htpasswd": {"realm": "tests", "path": str(self.directory / "htpasswd")}}
        if self._token:
            auth = {"token": self._token}
        self._document = {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.data)},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}, "readonly": {"enabled": False}},
            },
            "http": http,
            "validation": {"manifests": {"urls": {"allow": [".*"]}}},
            **({"auth": auth} if auth else {}),
        }

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._document["storage"]["maintenance"]["readonly"]["enabled"] = self.read_only  # type: ignore[index]
        config = self.directory / "config.yml"
        config.write_text(json.dumps(self._document))  # JSON is YAML
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "serve", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/"
            )
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None and time.monotonic() < end, self.log.read_text()
                time.sleep(0.02)

    def kill(self) -> None:
        """End it at once: connections are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def restart(self, *, read_only: bool | None = None) -> None:
        """End it, and start it with what it holds."""
        self.kill()
        if read_only is not None:
            self.read_only = read_only
        self.start()

    @property
    def requests(self) -> list[Request]:
        """What it has been asked so far, since ``forget``."""
        found = [_LINE.search(line) for line in self.log.read_text("utf-8", "replace").splitlines()]
        return [
            Request(item["method"], item["path"], int(item["status"]), int(item["size"])) for item in found if item
        ][self._seen :]

    def forget(self) -> None:
        """Count requests from now on."""
        self._seen += len(self.requests)

    @property
    def partial(self) -> bool:
        """Whether a part of a blob has been asked for."""
        return any(item.status == 206 for item in self.requests)

    def count(self, method: str, part: str = "") -> int:
        """How many requests there were of this method whose path contains ``part``."""
        return sum(item.method == method and part in item.path for item in self.requests)

    def __enter__(self) -> Registry:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, and remove all it held."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
