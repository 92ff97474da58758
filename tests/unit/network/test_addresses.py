"""Addresses as numbers, and what /proc/net says."""

from __future__ import annotations

import ipaddress
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.network import addr, inspect


@given(st.ip_addresses())
def test_numbers_are_those_of_ipaddress(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    value, bits = addr.number(str(address))
    assert value == int(address)
    assert ipaddress.ip_address(addr.text(value, bits)) == address


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4), st.integers(0, 32))
def test_networks_are_those_of_ipaddress(
    one: ipaddress.IPv4Address, length: int, other: ipaddress.IPv4Address, other_length: int
) -> None:
    first = ipaddress.ip_network(f"{one}/{length}", strict=False)
    second = ipaddress.ip_network(f"{other}/{other_length}", strict=False)
    assert addr.network(f"{one}/{length}")[0] == int(first.network_address)
    assert addr.contains(f"{one}/{length}", str(other)) == (other in first)
    assert addr.overlap(f"{one}/{length}", f"{other}/{other_length}") == first.overlaps(second)


@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.4", "1.2.3.4/33", "1.2.3.4/x", "::/129", "a/8"])
def test_bad_networks(text: str) -> None:
    with pytest.raises(ValueError):
        addr.network(text)


@given(st.ip_addresses(v=6))
def test_ipv6_as_proc_shows_it(address: ipaddress.IPv6Address) -> None:
    assert ipaddress.ip_address(inspect.colons(address.exploded.replace(":", ""))) == address


def test_ipv4_as_proc_shows_it() -> None:
    assert inspect.dotted("0102A8C0") == "192.168.2.1"


def test_addresses_of_a_trie() -> None:
    lines = [
        line.split()
        for line in (
            "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
            "     |-- 10.1.2.3\n        /32 host LOCAL\n     |-- 10.1.2.255\n        /32 link BROADCAST\n"
            "     |-- 127.0.0.1\n        /32 host LOCAL\nLocal:\n     |-- 10.1.2.3\n        /32 host LOCAL\n"
        ).splitlines()
    ]
    assert inspect.local_addresses(lines) == ["10.1.2.3"]


def test_our_own_namespace_can_be_read() -> None:
    found = inspect.addresses(os.getpid())
    if "address" in found:
        ipaddress.ip_address(str(found["address"]))
        assert 0 <= int(found["prefix"]) <= 32
