"""Lists that come page by page: tags, repositories (distribution-spec, "Content Discovery"), and searches."""

from __future__ import annotations

import re
from urllib.parse import urlencode, urljoin, urlsplit

from pypod.errors import NotThere, RegistryError
from pypod.registry import answers
from pypod.registry.redirect import origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from pypod.registry.http import Reply
    from pypod.registry.session import Session

MOST_PAGES = 10_000
_MOST_LINK = 4096  # characters of the header
_PAGE = 100  # results of a search; Docker Hub gives no more at once
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


def names(session: Session, path: str, key: str, what: str, scope: Sequence[str]) -> Iterator[str]:
    """The strings under ``key`` of each page from ``path`` on."""
    seen: set[str] = set()
    while path:
        if path in seen or len(seen) >= MOST_PAGES:
            raise RegistryError(f"{what}: the list goes in circles")
        seen.add(path)
        reply = session.request("GET", path, what, scope=scope)
        page = answers.document(reply, what)
        items = page.get(key) or []
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise RegistryError(f"{what}: the answer has no list of {key}")
        yield from items
        path = _next(reply, what)


def _next(reply: Reply, what: str) -> str:
    """Where the next page is, "" after the last. Only on the same host: it is asked with our credentials."""
    found = _NEXT.search(reply.headers.get("Link", "")[:_MOST_LINK])
    if found is None:
        return ""
    try:
        url: str = urljoin(reply.url, found[1])
    except ValueError:
        raise RegistryError(f"{what}: the next page is nowhere: {answers.shown(found[1])}") from None
    if urlsplit(url).username is not None:
        # It would be sent in the place of our own credentials.
        raise RegistryError(f"{what}: the next page is said to want a password of the server's own")
    if origin(url) != origin(reply.url):
        raise RegistryError(f"{what}: the next page is said to be on another host: {answers.shown(url)}")
    return url


def search(session: Session, term: str, limit: int) -> list[dict[str, Any]]:
    """Up to ``limit`` results of Docker's search API v1."""
    what = f"searching {session.name} for {answers.shown(term)}"
    results: list[dict[str, Any]] = []
    page = 1
    while len(results) < limit and page <= MOST_PAGES:
        query = urlencode({"q": term, "n": min(limit, _PAGE), "page": page})
        try:
            reply = session.request("GET", f"/v1/search?{query}", what)
        except NotThere:
            raise NotThere(f"{what}: the registry has no search") from None
        found = answers.document(reply, what).get("results")
        if not isinstance(found, list):
            raise RegistryError(f"{what}: the answer has no results")
        results += [item for item in found if isinstance(item, dict)]
        if len(found) < _PAGE:
            break
        page += 1
    return results[:limit]
