"""--dns, --add-host, --ip and their like."""

from __future__ import annotations

from typing import Any

import pytest

from pypod.engine import addresses, netnames
from pypod.engine.config import Namespace
from pypod.errors import UsageError


def parse(mode: str = "private", settings: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return netnames.parse(options, settings or {}, Namespace(mode=mode))


def test_fields() -> None:
    found = parse(
        dns=["1.2.3.4"], add_host=["a:::1", "b:host-gateway"], mac_address="02-00-00-00-00-01", ip="10.0.0.2"
    )
    assert found["dns"] == ["1.2.3.4"]
    assert found["add_hosts"] == ["a:::1", "b:host-gateway"]
    assert found["static_mac"] == "02:00:00:00:00:01"
    assert found["static_ip"] == "10.0.0.2"


def test_configured_servers_yield_to_flags() -> None:
    settings = {"dns_servers": ["9.9.9.9"], "no_hosts": True}
    assert parse(settings=settings)["dns"] == ["9.9.9.9"]
    assert parse(settings=settings)["no_hosts"]
    assert parse(settings=settings, dns=["1.1.1.1"])["dns"] == ["1.1.1.1"]


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("private", {"dns": ["x"]}),
        ("private", {"dns": ["none", "1.1.1.1"]}),
        ("none", {"dns": ["1.1.1.1"]}),
        ("container", {"dns_search": ["x"]}),
        ("private", {"add_host": ["x"]}),
        ("private", {"add_host": ["x:y"]}),
        ("private", {"add_host": [":1.1.1.1"]}),
        ("private", {"add_host": ["x:1.1.1.1"], "no_hosts": True}),
        ("private", {"ip": "::1"}),
        ("private", {"ip6": "1.1.1.1"}),
        ("private", {"mac_address": "1:2"}),
        ("host", {"ip": "1.1.1.1"}),
        ("none", {"mac_address": "02:00:00:00:00:01"}),
    ],
)
def test_nonsense(mode: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        parse(mode, **options)


def test_addresses() -> None:
    assert addresses.is_address("::1") and addresses.is_address("1.2.3.4")
    assert not addresses.is_address("1.2.3") and not addresses.is_address("") and not addresses.is_address("a\x00")
    assert addresses.is_mac("aA:00:11:22:33:44") and not addresses.is_mac("aa:00:11:22:33:4g")
