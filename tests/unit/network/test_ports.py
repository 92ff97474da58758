"""Ports that can be published, the relay, and processes by pid and start time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pypod.errors import NetworkError
from pypod.linux import proc
from pypod.network import down, ports, relay_main
from pypod.network.records import Port


def taken(kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(("127.0.0.1", 0))
    if kind is socket.SOCK_STREAM:
        sock.listen()
    return sock


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_in_use_is_said_before_anything_is_made(protocol: str) -> None:
    with taken(socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as sock:
        number = sock.getsockname()[1]
        port = Port(host_ip="127.0.0.1", host_port=number, container_port=80, protocol=protocol)
        with pytest.raises(NetworkError, match=f"listen {protocol} 127.0.0.1:{number}: bind: address already in use"):
            ports.check([port])
    ports.check([port])
    ports.check([port])  # nothing stayed bound


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(NetworkError, match="cannot assign requested address"):
        ports.check([Port(host_ip="198.51.100.7", host_port=40000, container_port=1)])


def test_ranges() -> None:
    port = Port(host_ip="::1", host_port=10, container_port=20, range=2, protocol="udp")
    assert list(ports.expand([port])) == [("udp", "::1", 10, 20), ("udp", "::1", 11, 21)]


def test_the_relay_answers_each_sender_and_ends_with_the_process() -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(5)
    outside = ports.listen("udp", "127.0.0.1", 0)
    address = outside.getsockname()
    container = subprocess.Popen(["sleep", "100"])
    relay = subprocess.Popen(
        [
            sys.executable,
            "-IS",
            str(Path(relay_main.__file__)),
            str(container.pid),
            f"{outside.fileno()}:{server.getsockname()[1]}",
        ],
        pass_fds=[outside.fileno()],
    )
    try:
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for number, client in enumerate(clients):
            client.settimeout(5)
            client.sendto(b"q%d" % number, address)
        for _ in clients:
            data, sender = server.recvfrom(100)
            server.sendto(b"answer to " + data, sender)
        assert [client.recvfrom(100) for client in clients] == [
            (b"answer to q%d" % number, address) for number in range(3)
        ]
        for client in clients:
            client.close()
        container.kill()
        container.wait()
        assert relay.wait(5) == 0
    finally:
        for process in (container, relay):
            process.kill()
            process.wait()
        server.close()
        outside.close()


def test_only_the_process_that_was_meant_is_ended() -> None:
    process = subprocess.Popen(["sleep", "100"])
    try:
        down.end_process(process.pid, proc.start_time(process.pid) + 1)
        assert process.poll() is None
        down.end_process(process.pid, proc.start_time(process.pid))
        down.end_process(process.pid, 12345)
        down.end_process(0, 0)
    finally:
        if proc.start_time(process.pid):
            os.kill(process.pid, signal.SIGKILL)


def test_what_was_noted_is_found(tmp_path: Path) -> None:
    down.note(str(tmp_path), "slirp4netns", os.getpid())
    assert down.noted(str(tmp_path), "slirp4netns") == (os.getpid(), proc.start_time(os.getpid()))
    assert down.noted(str(tmp_path), "relay") == (0, 0)
    # A pid file that pasta wrote counts only while the process is the one that was told to write it.
    (tmp_path / "pasta.pid").write_text(f"{os.getpid()}\n")
    assert down.noted(str(tmp_path), "pasta") == (0, 0)
