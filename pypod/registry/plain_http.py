"""Small files from web servers: no credentials, a limit in bytes and in time."""

from __future__ import annotations

import time

from pypod.errors import RegistryError
from pypod.registry.access import Tls
from pypod.registry.http import Reply, Transport
from pypod.registry.redirect import MOST_REDIRECTS, REDIRECTS, target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_LONGEST = 120  # seconds for one file


class Session:
    """A context manager. ``verify``: the certificates of servers must be valid."""

    def __init__(self, *, verify: bool = True) -> None:
        self._transport = Transport(Tls(verify=verify))

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._transport.close()

    def fetch(self, url: str, limit: int) -> bytes | None:
        """What is at ``url``, at most ``limit`` bytes of it; None if there is nothing.

        Raises RegistryError.
        """
        what = f"reading {url}"
        try:
            place = url
            for _ in range(MOST_REDIRECTS + 1):
                reply = self._transport.send("GET", place, {})
                if reply.status == 404:
                    reply.discard()
                    return None
                if reply.status not in REDIRECTS:
                    return _body(reply, what, limit)
                try:
                    place = target(reply, insecure=False)
                finally:
                    reply.discard()
        except RegistryError as error:
            if error.message.startswith(what):
                raise
            raise RegistryError(f"{what}: {error.message}", hint=error.hint) from None
        raise RegistryError(f"{what}: more than {MOST_REDIRECTS} redirects")


def _body(reply: Reply, what: str, limit: int) -> bytes:
    if reply.status != 200:
        reply.close()
        raise RegistryError(f"{what}: the server answers {reply.status}")
    end = time.monotonic() + _LONGEST
    data = b""
    try:
        while len(data) < limit and (piece := reply.read(min(limit - len(data), 1 << 16))):
            data += piece
            if time.monotonic() > end:
                raise RegistryError(f"{what}: it takes longer than {_LONGEST} s")
    except BaseException:
        reply.close()
        raise
    if len(data) == limit:
        reply.close()
    return data
