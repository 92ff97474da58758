"""Redirects and Locations: where they may lead."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from pypod.errors import RegistryError
from pypod.registry.answers import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.registry.http import Reply

REDIRECTS = frozenset((301, 302, 303, 307, 308))
MOST_REDIRECTS = 10
_PORTS = {"https": 443, "http": 80}


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: who gets an Authorization header. Of what is no URL: nobody."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", "", -1
    try:
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:  # 65536 and more: nothing can be sent there
        port = -1
    return parts.scheme, (parts.hostname or "").lower(), port


def target(reply: Reply, *, insecure: bool) -> str:
    """The URL that the reply's Location leads to.

    Raises RegistryError without one, with another scheme than http and https, with credentials in it, and from https
    to http unless ``insecure``.
    """
    location = reply.headers.get("Location", "")
    host = urlsplit(reply.url).netloc
    try:
        url = urljoin(reply.url, location)
        scheme, name, _ = origin(url)
        fine = bool(location and name) and scheme in _PORTS and urlsplit(url).username is None
    except ValueError:
        fine = False
    if not fine:
        raise RegistryError(f"{host} redirects to nowhere: {shown(location) or 'no Location'}")
    if scheme == "http" and reply.url.startswith("https:") and not insecure:
        raise RegistryError(f"{host} redirects from https to http ({shown(name)})")
    return url
