"""Who the registry is told we are: basic credentials, or bearer tokens that its token server gives for them.

Docker's "token authentication specification" and OAuth2 (RFC 6749). The rule for secrets:

* The Authorization header goes to the registry's own scheme, host and port, and to nothing else: no host of a
  redirect, of a Location or of a foreign layer sees it.
* Username, password and identity token go to the realm that the registry itself named in a challenge, which may be on
  another host (Docker Hub's is), but never by plain http when the registry is reached by https. If the token server
  redirects, the new host gets no credentials; a request that carries them in its body is not redirected at all.
"""

from __future__ import annotations

import base64
import threading
import time
from urllib.parse import quote, urlencode, urljoin, urlsplit

from pypod.base import times
from pypod.errors import RegistryError, Unauthorized
from pypod.registry import answers
from pypod.registry.access import Credentials
from pypod.registry.challenge import Challenge
from pypod.registry.redirect import MOST_REDIRECTS, REDIRECTS, origin, target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.registry.http import Reply, Transport

CLIENT_ID = "pypod"
_LIFE = 60.0  # seconds, of a token that does not say
_LONGEST = 30 * 86400.0  # seconds, whatever it says
_MARGIN = 10.0  # seconds before its end in which a token is not used any more


class Tokens:
    """The Authorization headers for one registry; thread-safe. ``hint`` names it in "pypod login …"."""

    def __init__(self, transport: Transport, credentials: Credentials, host: str, *, insecure: bool) -> None:
        self._transport = transport
        self._credentials = credentials
        self._host = host
        self._insecure = insecure
        self._lock = threading.Lock()
        self._basic = False
        self._bearer: Challenge | None = None
        self._realm = ""
        self._home = origin("")  # the registry's own
        self._wider: dict[tuple[str, ...], tuple[str, ...]] = {}  # what the registry wanted besides
        self._cache: dict[tuple[str, ...], tuple[str, float]] = {}  # token, and until when

    def authorization(self, scope: Sequence[str]) -> str:
        """The header's value for a request that needs ``scope``; "" while nothing is known to be wanted.

        Raises Unauthorized when the token server does not give a token.
        """
        if self._credentials.registry_token:
            return f"Bearer {self._credentials.registry_token}"
        with self._lock:
            if self._basic:
                return self._basic_header()
            return f"Bearer {self._token(tuple(scope))}" if self._bearer is not None else ""

    def renew(self, challenges: Sequence[Challenge], scope: Sequence[str], used: str, registry: str) -> bool:
        """After a 401 with these challenges: whether there is now something else to show than ``used``.

        ``registry`` is the URL that gave the challenges.
        """
        if self._credentials.registry_token:
            return False
        key = tuple(scope)
        bearer = next((one for one in challenges if one.scheme == "bearer" and one.values.get("realm")), None)
        basic = any(one.scheme == "basic" for one in challenges)
        with self._lock:
            if bearer is None:
                if not basic or not self._credentials.username or used.startswith("Basic "):
                    return False
                self._basic = True
                return True
            self._realm = self._checked_realm(bearer.values["realm"], registry)
            self._bearer, self._basic, self._home = bearer, False, origin(registry)
            cached = self._cache.get(key)
            if cached is not None and used != f"Bearer {cached[0]}":
                return True  # another thread was faster
            if more := _beyond(bearer.scopes, key):
                self._wider[key] = more
            self._cache.pop(key, None)
            self._token(key)
            return True

    def _checked_realm(self, realm: str, registry: str) -> str:
        allowed = ("https",) if registry.startswith("https:") else ("https", "http")
        try:
            url = urljoin(registry, realm)
            parts = urlsplit(url)
            fine = parts.scheme in allowed and bool(parts.hostname) and parts.username is None
        except ValueError:
            fine = False
        if not fine:
            raise RegistryError(f"{self._host} names a token server that must not be asked: {answers.shown(realm)}")
        return url

    def _basic_header(self) -> str:
        pair = f"{self._credentials.username}:{self._credentials.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()

    def _token(self, key: tuple[str, ...]) -> str:
        cached = self._cache.get(key)
        now = time.monotonic()
        if cached is not None and now < cached[1]:
            return cached[0]
        answer = self._ask(tuple(dict.fromkeys((*key, *self._wider.get(key, ())))))
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise RegistryError(f"the token server of {self._host} gives no token")
        self._cache[key] = token, now + _life(answer)
        return token

    def _ask(self, scope: tuple[str, ...]) -> dict[str, Any]:
        credentials, service = self._credentials, self._bearer.values.get("service", "") if self._bearer else ""
        what = f"getting a token for {self._host}"
        form = {"service": service, "client_id": CLIENT_ID, "scope": " ".join(scope)}
        if credentials.identity_token:
            form |= {"grant_type": "refresh_token", "refresh_token": credentials.identity_token}
            reply = self._post(form)
        else:
            query = [("service", service)] if service else []
            query += [("scope", item) for item in scope]
            headers = {}
            if credentials.username:
                query.insert(0, ("account", credentials.username))
                headers["Authorization"] = self._basic_header()
            join = "&" if urlsplit(self._realm).query else "?"
            url = self._realm + (join + urlencode(query, quote_via=quote) if query else "")
            reply = self._get(url, headers)
            if reply.status in (404, 405) and credentials.username:
                reply.discard()
                form |= {
                    "grant_type": "password",
                    "username": credentials.username,
                    "password": credentials.password,
                }
                reply = self._post(form)
        if reply.status != 200:
            error = answers.failure(reply, what, host=self._host)
            if reply.status in (400, 401, 403) and (credentials.username or credentials.identity_token):
                raise Unauthorized(f"{error.message} (wrong username, password or token?)", hint=error.hint)
            raise error
        return answers.document(reply, what, 1 << 20)

    def _get(self, url: str, headers: dict[str, str]) -> Reply:
        first = origin(url)
        for _ in range(MOST_REDIRECTS):
            reply = self._transport.send(
                "GET", url, headers if origin(url) == first else {}, own=origin(url) == self._home
            )
            if reply.status not in REDIRECTS:
                return reply
            url = target(reply, insecure=self._insecure)
            reply.discard()
        raise RegistryError(f"the token server of {self._host} redirects too often")

    def _post(self, form: dict[str, str]) -> Reply:
        body = urlencode({name: value for name, value in form.items() if value}).encode()
        own = origin(self._realm) == self._home
        reply = self._transport.send(
            "POST", self._realm, {"Content-Type": "application/x-www-form-urlencoded"}, body, own=own
        )
        if reply.status in REDIRECTS:
            reply.close()
            raise RegistryError(f"the token server of {self._host} redirects a request with credentials")
        return reply


def _beyond(wanted: Sequence[str], have: Sequence[str]) -> tuple[str, ...]:
    """The scopes (``type:name:action,action``) of ``wanted`` that ``have`` does not cover."""
    covered: dict[str, set[str]] = {}
    for scope in have:
        name, _, actions = scope.rpartition(":")
        covered.setdefault(name, set()).update(actions.split(","))
    more = []
    for scope in wanted:
        name, _, actions = scope.rpartition(":")
        if not set(actions.split(",")) <= covered.get(name, set()):
            more.append(scope)
    return tuple(more)


def _life(answer: dict[str, Any]) -> float:
    """For how many seconds from now a token is used."""
    life = answer.get("expires_in")
    seconds = float(min(life, _LONGEST)) if isinstance(life, (int, float)) and life > 0 else _LIFE
    issued = answer.get("issued_at")
    if isinstance(issued, str):
        try:
            age = (times.now() - times.parse_rfc3339(issued)) / 1e9
        except (ValueError, IndexError, OverflowError):
            age = 0.0
        # Clocks differ: a token that seems to be over or not yet born is trusted for its whole life.
        if 0 < age < seconds:
            seconds -= age
    return seconds - min(_MARGIN, seconds / 4)
