"""Small files from web servers: no credentials, a limit in bytes and in time."""

from __future__ import annotations

import os
import time

import requests

from pypod.errors import RegistryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any as Settings

_TIMEOUT = 30  # seconds without a byte
_LONGEST = 120  # seconds for one file
_REDIRECTS = 5
_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


class Session:
    """A context manager; ``settings.tls_verify`` is obeyed."""

    def __init__(self, settings: Settings) -> None:
        self._session = requests.Session()
        # ~/.netrc has credentials; only the proxies of the environment are wanted.
        self._session.trust_env = False
        if settings.tls_verify is False:
            self._session.verify = False
            import urllib3

            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        elif os.path.exists(_AUTHORITIES):
            self._session.verify = _AUTHORITIES

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._session.close()

    def fetch(self, url: str, limit: int) -> bytes | None:
        """At most ``limit`` bytes of what is at ``url``, None if there is nothing.

        Raises RegistryError.
        """
        try:
            return self._fetch(url, limit)
        except requests.RequestException as error:
            raise RegistryError(f"cannot read {url}: {_cause(error)}") from None

    def _fetch(self, url: str, limit: int) -> bytes | None:
        end = time.monotonic() + _LONGEST
        place = url
        for _ in range(_REDIRECTS + 1):
            proxies = requests.utils.get_environ_proxies(place)
            with self._session.get(
                place, stream=True, timeout=_TIMEOUT, allow_redirects=False, proxies=proxies
            ) as answer:
                if answer.is_redirect:
                    target = requests.compat.urljoin(place, answer.headers["location"])
                    if place.startswith("https:") and not target.startswith("https:"):
                        raise RegistryError(f"cannot read {url}: it is redirected from https to another protocol")
                    place = target
                    continue
                if answer.status_code == 404:
                    return None
                if answer.status_code != 200:
                    raise RegistryError(f"cannot read {url}: the server says {answer.status_code}")
                data: bytes = b""
                for chunk in answer.iter_content(65536):
                    data += chunk
                    if len(data) >= limit:
                        return data[:limit]
                    if time.monotonic() > end:
                        raise RegistryError(f"cannot read {url}: it takes longer than {_LONGEST} s")
                return data
        raise RegistryError(f"cannot read {url}: more than {_REDIRECTS} redirections")


def _cause(error: requests.RequestException) -> str:
    """Why, in a few words; without the repr of connection objects that urllib3 has in its messages."""
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS verification failed"
    if isinstance(error, requests.exceptions.Timeout):
        return f"no answer within {_TIMEOUT} s"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "cannot connect, or the connection broke"
    return type(error).__name__
