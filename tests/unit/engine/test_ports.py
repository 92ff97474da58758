"""--publish and --expose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.engine import ports
from pypod.engine.config import PortMapping
from pypod.errors import UsageError

PORTS = st.integers(1, 65535)


def one(text: str) -> PortMapping:
    (found,) = ports.parse_publish(text)
    return found


@pytest.mark.parametrize(
    ("text", "host_ip", "host_port", "container_port", "count", "protocol"),
    [
        ("80", "", 0, 80, 1, "tcp"),
        ("8080:80", "", 8080, 80, 1, "tcp"),
        ("8080:80/udp", "", 8080, 80, 1, "udp"),
        ("127.0.0.1:8080:80", "127.0.0.1", 8080, 80, 1, "tcp"),
        ("127.0.0.1::80", "127.0.0.1", 0, 80, 1, "tcp"),
        ("[::1]:8080:80", "::1", 8080, 80, 1, "tcp"),
        ("[::1]::80", "::1", 0, 80, 1, "tcp"),
        ("8000-8010:80-90", "", 8000, 80, 11, "tcp"),
        (":80", "", 0, 80, 1, "tcp"),
        ("0:80", "", 0, 80, 1, "tcp"),
        ("53:53/SCTP", "", 53, 53, 1, "sctp"),
    ],
)
def test_publish(text: str, host_ip: str, host_port: int, container_port: int, count: int, protocol: str) -> None:
    assert one(text) == PortMapping(
        host_ip=host_ip, host_port=host_port, container_port=container_port, range=count, protocol=protocol
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "70000:1",
        "1:70000",
        "0",
        "1-2:1",
        "2-1:1-2",
        "1.2.3:1:1",
        "1:2:3:4",
        "80/xyz",
        "[::1:80:80",
        "[zz]:80:80",
        "80:",
        "1:1:",
        "-1:80",
        "80-",
    ],
)
def test_bad_publish(text: str) -> None:
    with pytest.raises(UsageError):
        ports.parse_publish(text)


@given(st.text(alphabet="0123456789:-/.[]tcpudp", max_size=20))
def test_publish_never_breaks(text: str) -> None:
    try:
        for item in ports.parse_publish(text):
            assert 1 <= item.container_port <= item.container_port + item.range - 1 <= 65535
            assert 0 <= item.host_port <= 65535
    except UsageError:
        pass


@given(PORTS, PORTS, st.sampled_from(ports.PROTOCOLS))
def test_publish_says_what_was_typed(host: int, container: int, protocol: str) -> None:
    found = one(f"{host}:{container}/{protocol}")
    assert (found.host_port, found.container_port, found.protocol) == (host, container, protocol)


def test_expose_range() -> None:
    assert ports.parse_expose("80-82/udp") == ["80/udp", "81/udp", "82/udp"]


def test_host_port_is_chosen_where_none_is_given() -> None:
    first, second = ports.resolve(["80", "80"], [], False)
    assert first.host_port != second.host_port
    assert first.host_port >= 1024


def test_publish_all_leaves_out_what_is_published() -> None:
    found = ports.resolve(["8080:80"], ["80/tcp", "81/tcp", "80/udp"], True)
    assert [(item.container_port, item.protocol) for item in found] == [(80, "tcp"), (81, "tcp"), (80, "udp")]


def test_one_host_port_for_two_targets_is_refused() -> None:
    with pytest.raises(UsageError, match="conflicting port mappings"):
        ports.resolve(["8080:80", "8080:81"], [], False)


def test_same_port_twice_is_one() -> None:
    assert len(ports.resolve(["8080:80", "8080:80"], [], False)) == 1
