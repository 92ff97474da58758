"""slirp4netns's options and addresses."""

from __future__ import annotations

import pytest

from pypod.errors import UsageError
from pypod.network import slirp


def test_defaults() -> None:
    words = slirp.arguments(slirp.parse([]), "")
    assert "--disable-host-loopback" in words
    assert "--mtu=65520" in words
    assert not any(word.startswith(("--cidr", "--api-socket", "--outbound")) for word in words)


def test_options() -> None:
    chosen = ["allow_host_loopback=true", "cidr=10.41.0.0/24", "enable_ipv6=false", "mtu=1500", "outbound_addr=lo"]
    words = slirp.arguments(slirp.parse(chosen), "/s")
    assert "--disable-host-loopback" not in words and "--enable-ipv6" not in words
    assert {"--mtu=1500", "--cidr=10.41.0.0/24", "--outbound-addr=lo", "--api-socket=/s"} <= set(words)


@pytest.mark.parametrize(
    "word",
    ["mtu", "mtu=x", "mtu=1", "enable_ipv6=yes", "cidr=10.0.0.0", "cidr=1.2.3/24", "port_handler=rootlesskit", "a=b"],
)
def test_bad_options(word: str) -> None:
    with pytest.raises(UsageError):
        slirp.parse([word])


def test_addresses() -> None:
    assert slirp.addresses_of("10.0.2.0/24") == {
        "gateway": "10.0.2.2",
        "dns": "10.0.2.3",
        "address": "10.0.2.100",
        "prefix": 24,
    }
    assert slirp.addresses_of("172.16.5.9/16")["address"] == "172.16.0.100"
