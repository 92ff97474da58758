"""A small token server that Debian's docker-registry believes ("Docker Registry v2 authentication").

    with TokenServer(users={"u": "p"}) as tokens, Registry(tls=True, token=tokens.config) as registry:
        tokens.trust(registry.certs_dir)

It speaks HTTPS, and signs JSON web tokens (RS256, the certificate in x5c) by openssl. Anonymous clients may pull,
users may do everything, or what ``allows`` says.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs

from support import box, disk
from support.odd_server import Call, Certificates, OddServer
from support.registry import make_certificates

ISSUER = "tests' token server"
SERVICE = "tests' registry"

Allows = Callable[[str, str, Sequence[str]], Sequence[str]]


def allows_users_all(user: str, name: str, actions: Sequence[str]) -> Sequence[str]:
    """The actions of those asked for that ``user`` ("" is anonymous) may do on ``name``."""
    return actions if user else [action for action in actions if action == "pull"]


class TokenServer:
    """``given`` lists the scopes of each token so far, ``calls`` what was asked.

    ``life`` is that of the next tokens in seconds. The registry takes them for another 60: its clock may differ.
    ``identity_tokens`` are those of users, by token.
    """

    def __init__(self, *, users: Mapping[str, str] | None = None, allows: Allows = allows_users_all) -> None:
        self._openssl = box.need("openssl")
        self._users = dict(users or {})
        self._allows = allows
        self._lock = threading.Lock()
        self.identity_tokens: dict[str, str] = {}
        self.given: list[list[str]] = []
        self.life: list[int] = []  # of each of the next tokens; 300 thereafter
        self.directory = Path(tempfile.mkdtemp(prefix="tokens-", dir=disk.place()))
        self.directory.chmod(0o755)
        try:
            self._make_keys()
            certificates = Certificates(*make_certificates(self.directory))
            self.authority = certificates.authority
            self._server = OddServer(self._answer, certificates=certificates)
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    @property
    def realm(self) -> str:
        return f"{self._server.url}/token"

    @property
    def calls(self) -> list[Call]:
        return self._server.calls

    @property
    def config(self) -> dict[str, str]:
        """What the registry's configuration says under auth.token."""
        bundle = str(self.directory / "tokens.crt")
        return {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}

    def trust(self, certs_dir: Path) -> None:
        """Put this server's authority into the directory of a registry's."""
        shutil.copy(self.authority, certs_dir / "tokens.crt")

    def _make_keys(self) -> None:
        key, certificate = self.directory / "tokens.key", self.directory / "tokens.crt"
        subprocess.run(
            [
                *(
                    self._openssl,
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-keyout",
                    key,
                    "-out",
                    certificate,
                ),
                *("-days", "2", "-subj", "/CN=tokens"),
            ],
            check=True,
            capture_output=True,
        )
        lines = certificate.read_text().splitlines()
        self._chain = "".join(line for line in lines if "CERTIFICATE" not in line)

    def _answer(self, call: Call) -> None:
        form = {name: values[0] for name, values in parse_qs(call.body.decode()).items()}
        scopes = call.query.get("scope", []) or form.get("scope", "").split()
        user = self._who(call, form)
        if call.route != "/token":
            call.send(404)
        elif user is None:
            call.send(401, b'{"details": "incorrect username or password"}')
        elif call.query.get("service", [form.get("service")]) != [SERVICE]:
            call.send(400, b'{"details": "another service"}')
        else:
            with self._lock:
                life = self.life.pop(0) if self.life else 300
                token = self._sign(user, scopes, life)
                self.given.append(scopes)
            # What expired in the past is not told, so that it is used all the same.
            answer = {"token": token, "access_token": token, "expires_in": abs(life)}
            call.send(200, json.dumps(answer).encode())

    def _who(self, call: Call, form: Mapping[str, str]) -> str | None:
        """The user, "" for anonymous, None for a wrong password."""
        grant = form.get("grant_type")
        if grant == "refresh_token":
            return self.identity_tokens.get(form["refresh_token"])
        if grant == "password":
            name, password = form["username"], form["password"]
        elif call.authorization:
            pair = base64.b64decode(call.authorization.removeprefix("Basic ")).decode()
            name, _, password = pair.partition(":")
        else:
            return ""
        return name if self._users.get(name) == password else None

    def _sign(self, user: str, scopes: Sequence[str], life: int) -> str:
        now = int(time.time())
        access = []
        for scope in scopes:
            kind, rest = scope.split(":", 1)
            name, actions = rest.rsplit(":", 1)
            access.append({"type": kind, "name": name, "actions": self._allows(user, name, actions.split(","))})
        claims = {
            **{"iss": ISSUER, "sub": user, "aud": SERVICE, "jti": f"{now}-{len(self.given)}", "access": access},
            **{"iat": now - 600, "nbf": now - 600, "exp": now + life},
        }
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (self._head(), claims))
        signature = subprocess.run(
            [self._openssl, "dgst", "-sha256", "-sign", self.directory / "tokens.key"],
            input=signed.encode(),
            check=True,
            capture_output=True,
        ).stdout
        return f"{signed}.{_base64(signature)}"

    def _head(self) -> dict[str, object]:
        return {"typ": "JWT", "alg": "RS256", "x5c": [self._chain]}

    def __enter__(self) -> TokenServer:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, tb)
        shutil.rmtree(self.directory, ignore_errors=True)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
