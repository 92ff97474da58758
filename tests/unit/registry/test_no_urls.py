"""What a server gives as a URL and is none ends in an error of ours, not in Python's ValueError."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pypod.errors import RegistryError
from pypod.registry import pages
from pypod.registry.access import Credentials, Tls
from pypod.registry.challenge import Challenge
from pypod.registry.client import Client
from pypod.registry.http import Transport
from pypod.registry.redirect import origin
from pypod.registry.tokens import Tokens

BROKEN = ["http://[x", "//[", "https://a\u2100b/"]


class _Reply:
    def __init__(self, headers: Mapping[str, str]) -> None:
        self.url = "https://registry.example/v2/"
        self.headers = headers


@pytest.mark.parametrize("url", BROKEN)
def test_a_realm(url: str) -> None:
    with pytest.raises(RegistryError, match="must not be asked"):
        Tokens(Transport(Tls()), Credentials(username="u", password="p"), "registry.example", insecure=False).renew(
            [Challenge(scheme="bearer", values={"realm": url})], (), "", "https://registry.example/v2/"
        )


@pytest.mark.parametrize("url", BROKEN)
def test_the_next_page(url: str) -> None:
    with pytest.raises(RegistryError, match="nowhere"):
        pages._next(_Reply({"Link": f'<{url}>; rel="next"'}), "listing tags")  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["http://[x", "https://a\u2100b/"])
def test_a_foreign_layers_place(url: str) -> None:
    assert origin(url) == ("", "", -1)
    with pytest.raises(RegistryError, match="not a URL"):
        Transport(Tls()).send("GET", url, {})
    with Client("127.0.0.1:1", retries=0) as client, pytest.raises(RegistryError, match="127.0.0.1:1"):
        client.open_blob("a", "sha256:" + "0" * 64, urls=(url,)).read(1)


def test_a_page_with_a_password() -> None:
    link = '<https://a:b@registry.example/v2/a/tags/list?n=2>; rel="next"'
    with pytest.raises(RegistryError, match="password"):
        pages._next(_Reply({"Link": link}), "listing tags")  # type: ignore[arg-type]
