"""Requests to one registry: its scheme, credentials, redirects and further tries."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

from pypod.errors import ConnectionCut, RegistryError, Unauthorized
from pypod.registry import answers, challenge
from pypod.registry.access import Credentials, Tls
from pypod.registry.causes import NotTls
from pypod.registry.http import SILENCE, Reply, Transport
from pypod.registry.redirect import MOST_REDIRECTS, REDIRECTS, origin, target
from pypod.registry.tokens import Tokens
from pypod.registry.tries import Tries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pypod.registry.wire import Watch

_MOST_RENEWALS = 2  # one for a token that has expired, one for a scope that was too small


class Renewed(ConnectionCut):
    """The credentials were not good any more, and are now, but the body has been spent: send it again."""


class Session:
    """Thread-safe. ``name`` is how the user calls the registry, ``host`` where it is."""

    def __init__(
        self,
        name: str,
        host: str,
        *,
        insecure: bool,
        tls: Tls,
        credentials: Credentials | None,
        retries: int,
        retry_delay: float,
        on_retry: Callable[[str], None] | None,
    ) -> None:
        check_host(host)
        self.name = name
        self.host = host
        self.insecure = insecure
        if insecure:
            tls = Tls(verify=False, certificate=tls.certificate, key=tls.key)
        self._anonymous = credentials is None or credentials == Credentials()
        self._retries = max(retries, 0)
        self._retry_delay = retry_delay
        self._on_retry = on_retry
        self._transport = Transport(tls)
        self._tokens = Tokens(self._transport, credentials or Credentials(), name, insecure=insecure)
        self._lock = threading.Lock()
        self._base = "" if insecure else f"https://{host}"
        self.stopped = threading.Event()

    def close(self) -> None:
        """End all waits, and close the connections that are not in use."""
        self.stopped.set()
        self._transport.close()

    def base(self) -> str:
        """Scheme and host. If insecure, the first call finds out: https, or else http."""
        with self._lock:
            if not self._base:
                self._base = self._probe()
            return self._base

    def tries(self, stop: threading.Event | None = None) -> Tries:
        """The further tries of one operation."""
        return Tries(self._retries, self._retry_delay, stop or self.stopped, self._on_retry)

    def request(
        self,
        method: str,
        path: str,
        what: str,
        *,
        scope: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        good: Sequence[int] = (200,),
    ) -> Reply:
        """A request that may be repeated, until its status is one of ``good``.

        Raises RegistryError for any other; ``what`` begins the message ("reading manifest …").
        """
        tries = self.tries()
        while True:
            try:
                reply = self.exchange(method, path, what, scope=scope, headers=headers, body=body)
                if reply.status in good:
                    return reply
                raise self.failure(reply, what)
            except RegistryError as error:
                tries.again(error)

    def exchange(
        self,
        method: str,
        target_: str,
        what: str,
        *,
        scope: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterator[bytes] | None = None,
        length: int = -1,
        anonymous: bool = False,
        silence: float = SILENCE,
        watch: Watch | None = None,
    ) -> Reply:
        """One try of a request, with credentials and along redirects. ``target_`` is a path or a URL.

        Returns replies of any status but 401. Raises Unauthorized, Renewed when an iterator must be sent again, and
        ConnectionCut.
        """
        base = self.base()
        url = base + target_ if target_.startswith("/") else target_
        renewals = hops = 0
        while True:
            own = origin(url) == origin(base) and not anonymous
            authorization = self._authorization(scope, what) if own else ""
            sent = {**(headers or {}), **({"Authorization": authorization} if authorization else {})}
            try:
                reply = self._transport.send(
                    method, url, sent, body, length=length, own=own, silence=silence, watch=watch
                )
            except RegistryError as error:
                raise self._named(error, what) from None
            if reply.status == 401 and own:
                self._renew(reply, scope, authorization, what, last=renewals >= _MOST_RENEWALS)
                renewals += 1
                if body is not None and not isinstance(body, bytes):
                    raise Renewed(f"{what}: the credentials had to be renewed")
                continue
            if reply.status in REDIRECTS and (method in ("GET", "HEAD") or self._may_repeat(reply, body)):
                hops += 1
                if hops > MOST_REDIRECTS:
                    reply.close()
                    raise RegistryError(f"{what}: more than {MOST_REDIRECTS} redirects")
                try:
                    url = target(reply, insecure=self.insecure)
                finally:
                    reply.discard()
                continue
            return reply

    def failure(self, reply: Reply, what: str) -> RegistryError:
        """The error that a reply means."""
        return answers.failure(reply, what, host=self.name)

    def is_own(self, url: str) -> bool:
        """Whether ``url`` is on the registry itself."""
        return origin(url) == origin(self.base())

    def _may_repeat(self, reply: Reply, body: object) -> bool:
        """Uploads are redirected only within the registry, and only what can be sent again."""
        if reply.status not in (307, 308) or not (body is None or isinstance(body, bytes)):
            return False
        return self.is_own(target(reply, insecure=self.insecure))

    def _authorization(self, scope: Sequence[str], what: str) -> str:
        try:
            return self._tokens.authorization(scope)
        except RegistryError as error:
            raise self._named(error, what) from None

    def _renew(self, reply: Reply, scope: Sequence[str], used: str, what: str, *, last: bool) -> None:
        error = self.failure(reply, what)
        challenges = challenge.parse(reply.headers.get("WWW-Authenticate", ""))
        try:
            if not challenges and not last:
                # Some say only there what they want.
                root = self._transport.send("GET", f"{self.base()}/v2/", {}, own=True)
                challenges = challenge.parse(root.headers.get("WWW-Authenticate", ""))
                root.discard()
            if not last and self._tokens.renew(challenges, scope, used, reply.url):
                return
        except RegistryError as cause:
            raise self._named(cause, what) from None
        if not challenges:
            error = Unauthorized(f"{error.message} (without saying how)")
        raise error

    def _named(self, error: RegistryError, what: str) -> RegistryError:
        """The error with what was being done in front of it."""
        if not error.message.startswith(what):
            error.message = f"{what}: {error.message}"
            error.args = (error.message,)
        return error

    def _probe(self) -> str:
        """podman's order for insecure registries; credentials are not sent."""
        secure, plain = f"https://{self.host}", f"http://{self.host}"
        what = f"pinging container registry {self.name}"
        try:
            self._transport.send("GET", f"{secure}/v2/", {}, own=True).discard()
            return secure
        except (NotTls, ConnectionCut) as error:
            first = self._named(error, what)
        except RegistryError as error:
            raise self._named(error, what) from None
        try:
            reply = self._transport.send("GET", f"{plain}/v2/", {}, own=True)
        except RegistryError:
            raise first from None
        reply.discard()
        if reply.status == 400:  # what Go's servers say to plain HTTP on a TLS port
            raise first
        return plain


def check_host(host: str) -> None:
    """Raises RegistryError for what is not "name[:port]"."""
    try:
        parts = urlsplit(f"https://{host}")
        fine = parts.netloc == host and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise RegistryError(f"not a registry: {answers.shown(host)}")
