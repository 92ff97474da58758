"""Bridge networks, root's and rootless users': names, ports, and what is left when anything is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, alive, until

WEB = ("sh", "-c", "echo hello > /index.html; exec httpd -f -p 80")


@pytest.fixture
def net(pypod: Pypod, mode: str) -> Iterator[str]:
    """A network of the test's own."""
    if mode == "rootless":
        box.need("slirp4netns")
    for name in ("netavark", "aardvark-dns"):
        if not os.path.exists(f"/usr/lib/podman/{name}"):
            box.missing(f"{name} is not installed")
    name = f"b{os.getpid()}"
    pypod("network", "create", name).ok()
    yield name
    pypod("network", "rm", "-f", "-t", "0", name).ok()


def place(pypod: Pypod) -> Path:
    return Path(f"{pypod.runroot}/pypod/netns")


def helpers(pypod: Pypod) -> dict[str, int]:
    """slirp4netns and aardvark-dns of the rootless user's bridges, by name."""
    found = {}
    for name, file in (("slirp4netns", "slirp4netns.pid"), ("aardvark-dns", "netavark/aardvark-dns/aardvark.pid")):
        try:
            pid = int((place(pypod) / file).read_text().split()[0])
        except FileNotFoundError:
            continue
        if alive(pid):
            found[name] = pid
    return found


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid), 5, f"{pid} to be gone")


def get(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        return int(sock.getsockname()[1])


def test_services_find_each_other_and_the_host_finds_them(pypod: Pypod, image: str, net: str) -> None:
    port = free_port()
    web = pypod(
        *("run", "-d", "--name", "web", "--network", net, "--network-alias", "shop"),
        *("-p", f"127.0.0.1:{port}:80", image, *WEB),
    ).ok()
    short = web.out[:12]
    ask = f"for name in web shop {short}; do wget -qO- http://$name/ || exit 1; done; cat /etc/resolv.conf"
    asked = pypod("run", "--rm", "--network", net, image, "sh", "-c", ask).ok().out
    assert asked.startswith("hello\nhello\nhello\n")
    assert len([line for line in asked.splitlines() if line.startswith("nameserver")]) == 1
    assert get(port) == "hello\n"
    if pypod.rootless:
        assert sorted(helpers(pypod)) == ["aardvark-dns", "slirp4netns"]
    assert pypod("network", "rm", "-f", "-t", "0", net).ok().out == f"{net}\n"
    if pypod.rootless:
        assert [item.name for item in place(pypod).iterdir()] == [".lock"]


def test_killed_helpers_come_back_with_the_next_container(pypod: Pypod, image: str, net: str, mode: str) -> None:
    if mode == "root":
        return  # there is no slirp4netns, and aardvark-dns may be podman's
    port = free_port()
    pypod("run", "-d", "--name", "web", "--network", net, "-p", f"{port}:80", image, *WEB).ok()
    until(lambda: get(port) == "hello\n", 5, "an answer")
    before = helpers(pypod)
    for pid in before.values():
        kill(pid)
    with pytest.raises(OSError):
        get(port)
    assert pypod("run", "--rm", "--network", net, image, "wget", "-qO-", "http://web/").ok().out == "hello\n"
    assert get(port) == "hello\n"
    assert not set(before.values()) & set(helpers(pypod).values())


def test_what_is_left_when_all_are_killed(pypod: Pypod, image: str, net: str, mode: str) -> None:
    pypod("run", "-d", "--name", "a", "--network", net, image, "sleep", "1000").ok()
    left = helpers(pypod) if mode == "rootless" else {}
    monitor, process = pypod.monitor("a"), pypod.pid("a")
    kill(monitor)
    kill(process)
    if mode == "rootless":
        assert "network of bridges" in pypod("system", "check", "--quick").out
        pypod("system", "check", "--quick", "--repair").ok()
        assert not any(alive(pid) for pid in left.values())
        assert [item.name for item in place(pypod).iterdir()] == [".lock"]
    assert pypod("rm", "-f", "a").code == 0


def test_many_at_once(pypod: Pypod, image: str, net: str) -> None:
    """The first container makes the bridge, and none is in another's way."""
    started = [pypod.popen("run", "--rm", "--network", net, image, "true") for _ in range(3)]
    for process in started:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()


def test_a_killed_command_leaves_nothing(pypod: Pypod, image: str, net: str) -> None:
    for step in range(3):
        process = pypod.popen("run", "--name", f"k{step}", "--network", net, image, "sleep", "1000")
        try:
            process.wait(0.25 + 0.12 * step)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        pypod("rm", "-f", "-a", "-t", "0").ok()
    if pypod.rootless:
        until(lambda: [item.name for item in place(pypod).iterdir()] == [".lock"], 5, "nothing to be left")
