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
    ask = f"for name in web shop {short}; do wget -qO- http://$name/ || exit 1; done; ip link; cat /etc/resolv.conf"
    asked = pypod("run", "--rm", "--network", net, image, "sh", "-c", ask).ok().out
    assert asked.startswith("hello\nhello\nhello\n")
    assert len([line for line in asked.splitlines() if line.startswith("nameserver")]) == 1
    assert get(port) == "hello\n"
    if pypod.rootless:
        assert "mtu 65520" in asked
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


def test_a_command_among_the_bridges(pypod: Pypod, image: str, net: str, mode: str) -> None:
    unshare = ("unshare", "--rootless-netns")
    if mode == "root":
        pypod(*unshare, "true").fails(125, "rootless")
        return
    assert "tap0" in pypod(*unshare, "cat", "/proc/net/dev").ok().out
    assert pypod(*unshare, "sh", "-c", "exit 7").code == 7
    assert [item.name for item in place(pypod).iterdir()] == [".lock"]
    pypod("run", "-d", "--name", "web", "--network", net, image, *WEB).ok()
    address = pypod.inspect("web")["NetworkSettings"]["Networks"][net]["IPAddress"]
    fetch = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode(), end='')"
    until(
        lambda: pypod(*unshare, "/usr/bin/python3", "-c", fetch, f"http://{address}/").out == "hello\n",
        5,
        "an answer",
    )


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


def test_networks_come_and_go(pypod: Pypod, image: str, net: str) -> None:
    port = free_port()
    other = f"{net}x"
    pypod("network", "create", "--label", "kind=extra", other).ok()
    try:
        pypod("run", "-d", "--name", "a", "--network", net, "-p", f"{port}:80", image, *WEB).ok()
        pypod("network", "connect", other, "nobody").fails(125, "nobody")
        pypod("network", "connect", "--ip", "10.1.2.3", other, "a").fails(125, "10.1.2.3")
        pypod("network", "connect", "--alias", "second", other, "a").ok()
        pypod("network", "connect", other, "a").fails(125, "already connected")
        assert sorted(pypod.inspect("a")["NetworkSettings"]["Networks"]) == [net, other]
        shown = pypod("network", "inspect", other).ok().json[0]["containers"]
        assert [(item["name"], list(item["interfaces"])) for item in shown.values()] == [("a", ["eth1"])]
        assert pypod("run", "--rm", "--network", other, image, "wget", "-qO-", "http://second/").ok().out == "hello\n"
        pypod("network", "disconnect", net, "a").ok()
        pypod("network", "disconnect", net, "a").fails(125, "not connected")
        assert "eth0" not in pypod("exec", "a", "ip", "-o", "link").ok().out
        assert get(port) == "hello\n"  # by the network that is left
        assert len(pypod("exec", "a", "cat", "/etc/hosts").ok().out.split("a\n")) == 2
        whole = pypod("inspect", "--format", "{{.Id}}", "a").ok().out
        assert pypod("network", "reload", "a").ok().out == whole
        assert get(port) == "hello\n"
        assert pypod("network", "prune", "-f", "--filter", "label=kind").ok().out == ""
        pypod("stop", "-t", "0", "a").ok()
        pypod("network", "disconnect", other, "a").ok()
        pypod("network", "connect", net, "a").ok()
        pypod("start", "a").ok()
        assert list(pypod.inspect("a")["NetworkSettings"]["Networks"]) == [net]
        pypod("network", "reload", "-a").ok()
        assert pypod("network", "prune", "-f", "--filter", "label=kind").ok().lines == [other]
    finally:
        pypod("network", "rm", "-f", "-t", "0", other)


def test_a_port_is_free_when_its_container_is_gone(pypod: Pypod, image: str, net: str) -> None:
    port = free_port()
    pypod("run", "-d", "--name", "stays", "--network", net, image, "sleep", "1000").ok()
    for _ in range(2):
        pypod("run", "--rm", "--network", net, "-p", f"{port}:80", image, "true").ok()


def test_all_that_can_be_said_of_a_network(pypod: Pypod, image: str, mode: str) -> None:
    name = f"f{os.getpid()}"
    create = ("network", "create")
    flags = ("--subnet", "10.213.1.0/24", "--subnet", "fd42:77::/64", "--gateway", "10.213.1.9")
    more = ("--ip-range", "10.213.1.128/25", "--dns", "192.0.2.1", "-o", "mtu=1400", "--internal")
    pypod(*create, *flags, *more, name).ok()
    assert pypod(*create, "--ignore", name).ok().out == f"{name}\n"
    try:
        assert pypod("network", "update", "--dns-add", "192.0.2.2", "--dns-drop", "192.0.2.1", name).ok()
        found = pypod("network", "inspect", name).ok().json[0]
        assert found["network_dns_servers"] == ["192.0.2.2"]
        assert found["ipv6_enabled"] and found["internal"] and found["options"] == {"mtu": "1400"}
        assert found["subnets"] == [
            {
                "subnet": "10.213.1.0/24",
                "gateway": "10.213.1.9",
                "lease_range": {"start_ip": "10.213.1.129", "end_ip": "10.213.1.255"},
            },
            {"subnet": "fd42:77::/64", "gateway": "fd42:77::1"},
        ]
        out = pypod(
            *("run", "--rm", "--network", f"{name}:ip=10.213.1.200,ip6=fd42:77::77"),
            *(image, "sh", "-c", "ip addr show eth0; ip route"),
        ).ok()
        assert "10.213.1.200/24" in out.out and "fd42:77::77/64" in out.out and "mtu 1400" in out.out
        assert "default" not in out.out
    finally:
        pypod("network", "rm", name).ok()
    for bad in (
        ("--driver", "nosuch"),
        ("--gateway", "10.213.1.1"),
        ("--ipam-driver", "dhcp"),
        ("--opt", "nosuch=1"),
        ("--opt", "mtu=x"),
        ("--subnet", "10.0.2.0/30" if mode == "rootless" else "10.88.0.0/30"),
        ("--driver", "macvlan"),
        ("--disable-dns", "--dns", "192.0.2.1"),
        ("--route", "10.0.0.0/8"),
    ):
        pypod(*create, *bad, name).fails(125)
    pypod("network", "prune", "--filter", "name=x", "-f").fails(125, "name")
    assert pypod("network", "exists", name).code == 1
