"""pasta's command line."""

from __future__ import annotations

import pytest

from pypod.errors import NetworkError, UsageError
from pypod.network import pasta
from pypod.network.records import NetworkRequest, Port


def request(*options: str, **changes: object) -> NetworkRequest:
    values = {"id": "a" * 64, "name": "c", "mode": "pasta", "rundir": "/r", "options": {"pasta": list(options)}}
    return NetworkRequest(**(values | changes))  # type: ignore[arg-type]


def test_nothing_is_forwarded_unless_it_is_published() -> None:
    words = " ".join(pasta.arguments(request(), []))
    assert words == "--config-net --quiet -t none -u none -T none -U none --no-map-gw"


def test_published_ports() -> None:
    ports = [
        Port(host_port=8080, container_port=80),
        Port(host_ip="127.0.0.1", host_port=9000, container_port=90, range=3),
        Port(host_port=53, container_port=5353, protocol="udp"),
    ]
    words = " ".join(pasta.arguments(request(), ports))
    assert "-t 8080:80 -t 127.0.0.1/9000-9002:90-92 -u 53:5353 -T none -U none" in words


def test_the_users_options_replace_ours() -> None:
    words = pasta.arguments(request("-t", "auto", "--map-gw", "--mtu", "1400"), [])
    assert words[-4:] == ["-t", "auto", "--mtu", "1400"]
    assert "--no-map-gw" not in words and "--map-gw" not in words
    assert words.count("-t") == 1


@pytest.mark.parametrize("word", ["--netns", "--netns=/x", "-P", "--foreground"])
def test_options_that_are_ours_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="set by pypod"):
        pasta.user_options(request(word))


def test_udp_ports_that_lose_answers_go_to_the_relay() -> None:
    down = Port(host_port=5353, container_port=53, protocol="udp")
    same = Port(host_port=53, container_port=53, protocol="udp")
    tcp = Port(host_port=8080, container_port=80)
    assert pasta.split([down, same, tcp], True) == ([same, tcp], [down])
    assert pasta.split([down, same, tcp], False) == ([down, same, tcp], [])


def test_failures_are_one_line_without_noise() -> None:
    error = pasta.failure(b"Failed to send 57 bytes to syslog\nFailed to bind any port for '-t 80:80', exiting\n\n")
    assert isinstance(error, NetworkError)
    assert error.message == "cannot set up pasta: Failed to bind any port for '-t 80:80', exiting"
