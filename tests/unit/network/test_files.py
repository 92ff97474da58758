"""/etc/hosts and /etc/resolv.conf of a container, as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.errors import NetworkError
from pypod.network import files

NAMES = st.from_regex(r"\A[a-z][a-z0-9.-]{0,12}\Z")
ADDRESSES = st.tuples(*[st.integers(0, 255)] * 4).map(lambda parts: ".".join(map(str, parts)))


def test_hosts_in_podmans_order() -> None:
    text = files.hosts(
        base="127.0.0.1 localhost\n10.0.0.1 nas nas.lan # disk\n",
        extra=["db:1.2.3.4", "gw:host-gateway"],
        own=[("10.88.0.5", ["abc", "web"]), ("", ["abc"])],
        host_address="10.88.0.1",
    )
    assert text.splitlines() == [
        "1.2.3.4\tdb",
        "10.88.0.1\tgw",
        "127.0.0.1\tlocalhost",
        "10.0.0.1\tnas nas.lan",
        "10.88.0.1\thost.containers.internal",
        "10.88.0.5\tabc web",
    ]


def test_add_host_wins_over_the_base_file() -> None:
    text = files.hosts(base="10.0.0.1 nas nas.lan\n", extra=["nas:1.1.1.1"])
    assert files.parse_hosts(text)[:2] == [("1.1.1.1", ["nas"]), ("10.0.0.1", ["nas.lan"])]


def test_several_names_and_ipv6_of_add_host() -> None:
    assert files.parse_hosts(files.hosts(extra=["a;b:[fd00::1]"]))[0] == ("fd00::1", ["a", "b"])


def test_localhost_is_there_even_without_a_base_file() -> None:
    assert "127.0.0.1\tlocalhost\n::1\tlocalhost\n" in files.hosts()
    assert "::1" not in files.hosts(base="127.0.0.1 localhost\n")


def test_host_gateway_without_an_address_is_an_error() -> None:
    with pytest.raises(NetworkError, match="host-gateway"):
        files.hosts(extra=["x:host-gateway"])


def test_a_name_equal_to_the_hostname_is_written_once() -> None:
    assert "10.0.0.1\tweb\n" in files.hosts(own=[("10.0.0.1", ["web", "web"])])


@given(st.lists(st.tuples(ADDRESSES, st.lists(NAMES, min_size=1, max_size=3, unique=True)), max_size=5))
def test_a_hosts_file_comes_back_as_it_was_written(entries: list[tuple[str, list[str]]]) -> None:
    base = "".join(f"{address} {' '.join(names)}\n" for address, names in entries)
    found = files.parse_hosts(files.hosts(base=base))
    assert found[: len(entries)] == entries


HOST = "# made by hand\nsearch a.lan b.lan\nnameserver 127.0.0.53\nnameserver 10.0.0.2\noptions edns0 trust-ad\n"


def test_loopback_servers_are_left_out_where_loopback_is_the_containers_own() -> None:
    assert files.resolv(host=HOST) == "search a.lan b.lan\nnameserver 10.0.0.2\noptions edns0 trust-ad\n"
    assert "127.0.0.53" in files.resolv(host=HOST, own_loopback=False)


def test_public_servers_where_no_other_can_be_reached() -> None:
    assert files.resolv(host="nameserver 127.0.0.1\n") == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
    assert files.resolv(host="nameserver 127.0.0.1\n", own_loopback=False) == "nameserver 127.0.0.1\n"
    assert files.resolv(network_servers=["10.0.2.3"]) == "nameserver 10.0.2.3\n"


def test_flags_replace_what_the_host_has() -> None:
    text = files.resolv(host=HOST, servers=["1.1.1.1"], search=["x.y"], options=["ndots:2"])
    assert text == "search x.y\nnameserver 1.1.1.1\noptions ndots:2\n"


def test_a_search_of_a_dot_means_none() -> None:
    assert "search" not in files.resolv(host=HOST, search=["."])


def test_the_networks_servers_come_first_and_none_twice() -> None:
    text = files.resolv(host=HOST, network_servers=["10.0.2.3", "10.0.0.2"], network_search=["dns.podman"])
    assert text.splitlines()[:3] == ["search dns.podman a.lan b.lan", "nameserver 10.0.2.3", "nameserver 10.0.0.2"]
    assert text.count("nameserver") == 2


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    files.parse_hosts(text)
    servers, search, options = files.parse_resolv(text)
    assert all(isinstance(item, str) for item in (*servers, *search, *options))
