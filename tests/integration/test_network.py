"""The network: addresses, name files, published ports, and nothing left of it."""

from __future__ import annotations

import os
import socket
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, until

DRIVERS = ("pasta", "slirp4netns", "bridge")

# Answers on TCP and UDP ports with the protocol and the port; run by the host's python, mounted into the container.
SERVER = textwrap.dedent(
    """
    import select, socket, sys
    sockets = {}
    for word in sys.argv[1:]:
        protocol, port = word.split("/")
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        sock = socket.socket(socket.AF_INET, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", int(port)))
        if protocol == "tcp":
            sock.listen()
        sockets[sock] = word
    print("ready", flush=True)
    while True:
        for sock in select.select(list(sockets), [], [])[0]:
            answer = sockets[sock].encode()
            if sock.type == socket.SOCK_STREAM:
                connection, _ = sock.accept()
                connection.sendall(answer)
                connection.close()
            else:
                data, sender = sock.recvfrom(1000)
                sock.sendto(answer + b" " + data, sender)
    """
)


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, mode: str) -> str:
    name: str = request.param
    if name == "pasta":
        box.need("pasta", "passt")
    elif name == "slirp4netns" or mode == "rootless":
        box.need("slirp4netns")
    if name == "bridge" and not os.path.exists("/usr/lib/podman/netavark"):
        box.missing("netavark is not installed")
    return name


@pytest.fixture
def server(shared_dir: Path) -> Iterator[list[str]]:
    """The flags with which a container can run SERVER."""
    path = shared_dir / "server.py"
    path.write_text(SERVER)
    path.chmod(0o644)
    flags = []
    for source, target in (("/usr", "/usr"), ("/usr/lib", "/lib"), ("/usr/lib64", "/lib64"), (path, "/server.py")):
        if os.path.exists(source):
            flags += ["-v", f"{source}:{target}:ro"]
    yield flags


def free_ports(count: int) -> int:
    """The first of ``count`` ports in a row that nobody has, TCP and UDP."""
    for first in range(20000 + os.getpid() % 1000 * 10, 32000, count):
        sockets = []
        try:
            for port in range(first, first + count):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    sock = socket.socket(socket.AF_INET, kind)
                    sockets.append(sock)
                    sock.bind(("0.0.0.0", port))
            return first
        except OSError:
            continue
        finally:
            for sock in sockets:
                sock.close()
    raise AssertionError("no ports are free")


def tcp(port: int, address: str = "127.0.0.1") -> str:
    with socket.create_connection((address, port), 5) as connection:
        return connection.recv(100).decode()


def udp(port: int, address: str = "127.0.0.1") -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(b"ping", (address, port))
        data, sender = sock.recvfrom(100)
        assert sender == (address, port)
        return data.decode()


def programs(pypod: Pypod) -> list[str]:
    """The network programs of this store's containers, zombies apart: other sessions may run at the same time."""
    place = os.fsencode(str(pypod.runroot))
    found = []
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            if any(
                word in command for word in (b"pasta\0--config-net", b"slirp4netns\0--configure", b"relay_main")
            ) and (place in command or place in Path(f"/proc/{name}/environ").read_bytes()):
                found.append(f"{name}: " + command.replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_published_ports_reach_the_container(pypod: Pypod, image: str, driver: str, server: list[str]) -> None:
    before = programs(pypod)
    first = free_ports(7)
    pypod(
        *("run", "-d", "--name", "c", "--network", driver, *server),
        *("-p", f"{first}:80", "-p", f"127.0.0.1:{first + 1}:8000", "-p", f"{first + 2}-{first + 3}:90-91"),
        *("-p", f"{first + 4}:53/udp", "-p", f"{first + 5}:{first + 6}/udp", "-p", f"{first + 6}:{first + 6}/udp"),
        *(image, "/usr/bin/python3", "/server.py", "tcp/80", "tcp/8000", "tcp/90", "tcp/91", "udp/53"),
        f"udp/{first + 6}",
    ).ok()
    pypod.wait_log("c", "ready")
    assert [tcp(first + offset) for offset in range(4)] == ["tcp/80", "tcp/8000", "tcp/90", "tcp/91"]
    assert udp(first + 4) == "udp/53 ping"
    assert udp(first + 5) == udp(first + 6) == f"udp/{first + 6} ping"
    assert pypod("port", "c", "80").ok().out == f"0.0.0.0:{first}\n"
    assert f"8000/tcp -> 127.0.0.1:{first + 1}\n" in pypod("port", "c").ok().out
    pypod("port", "c", "81").fails(125, "81")
    taken = pypod("run", "--rm", "--network", driver, "-p", f"{first}:1", image, "true")
    taken.fails(125, f"0.0.0.0:{first}", "address already in use")
    assert pypod.names() == ["c"]
    pypod("rm", "-f", "-t", "0", "c").ok()
    until(lambda: not set(programs(pypod)) - set(before), 5, "the network's programs to be gone")
    # The ports are free again at once.
    pypod("run", "--rm", "--network", driver, "-p", f"{first}:80", "-p", f"{first + 4}:53/udp", image, "true").ok()
    until(lambda: not set(programs(pypod)) - set(before), 5, "the network's programs to be gone")


def test_ports_that_cannot_be_published(pypod: Pypod, image: str, driver: str) -> None:
    bad = pypod("run", "--rm", "--network", driver, "-p", "198.51.100.7:20000:1", image, "true")
    bad.fails(125, "198.51.100.7:20000", "cannot assign requested address")
    if pypod.rootless:
        pypod("run", "--rm", "--network", driver, "-p", "81:1", image, "true").fails(125, "0.0.0.0:81", "permission")
    if driver == "slirp4netns":
        pypod("run", "--rm", "--network", driver, "-p", "[::1]:20000:1", image, "true").fails(125, "::1", "IPv4")
    assert pypod.names() == []


def test_the_containers_address_is_in_hosts_and_inspect(pypod: Pypod, image: str, driver: str) -> None:
    pypod("run", "-d", "--name", "c", "--hostname", "web", "--network", driver, image, "sleep", "1000").ok()
    addresses = pypod("exec", "c", "ip", "-o", "-4", "addr").ok().out
    hosts = pypod("exec", "c", "cat", "/etc/hosts").ok().lines
    own = next(line.split("\t")[0] for line in hosts if line.endswith("\tweb c"))
    assert f" {own}/" in addresses
    assert pypod("exec", "c", "hostname").ok().out == "web\n"
    assert pypod("exec", "c", "cat", "/etc/hostname").ok().out == "web\n"
    assert pypod("exec", "c", "ip", "route").ok().out.startswith("default via ")
    assert any(line.startswith("127.0.0.1") and "localhost" in line for line in hosts)


def test_none_has_only_loopback_and_it_is_up(pypod: Pypod, image: str) -> None:
    out = pypod("run", "--rm", "--network", "none", image, "ip", "-o", "link").ok().out
    assert len(out.splitlines()) == 1 and "<LOOPBACK,UP," in out
    assert pypod("run", "--rm", "--network", "none", image, "test", "-e", "/etc/resolv.conf").code == 1
    hosts = pypod("run", "--rm", "--network", "none", "--name", "n", image, "cat", "/etc/hosts").ok().out
    assert " n\n" in hosts


def test_host_is_the_hosts_own(pypod: Pypod, image: str) -> None:
    mine = os.readlink("/proc/self/ns/net")
    assert pypod("run", "--rm", "--network", "host", image, "readlink", "/proc/self/ns/net").ok().out.strip() == mine
    assert pypod("run", "--rm", "--network", "host", image, "hostname").ok().out.strip() == socket.gethostname()


def test_container_and_ns_join_another(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "a", "--hostname", "ha", "--network", "none", image, "sleep", "1000").ok()
    wanted = pypod("exec", "a", "readlink", "/proc/self/ns/net").ok().out
    show = (image, "sh", "-c", "readlink /proc/self/ns/net; cat /etc/hosts")
    out = pypod("run", "--rm", "--network", "container:a", *show).ok().out
    assert out.startswith(wanted) and "ha a" in out
    path = f"/proc/{pypod.pid('a')}/ns/net"
    assert pypod("run", "--rm", "--network", f"ns:{path}", *show).ok().out.startswith(wanted)
    pypod("stop", "-t", "0", "a").ok()
    # What is joined is started first, as podman does.
    assert "ha a" in pypod("run", "--rm", "--network", "container:a", *show).ok().out
    assert pypod.state("a") == "running"
    pypod("run", "--rm", "--network", "ns:/proc/1/ns/nothing", *show).fails(125, "/proc/1/ns/nothing")


def test_name_files_by_the_flags(pypod: Pypod, image: str) -> None:
    flags = [
        "--dns",
        "192.0.2.53",
        "--dns-search",
        "a.example",
        "--dns-option",
        "ndots:3",
        "--add-host",
        "db:10.1.2.3",
    ]
    out = pypod("run", "--rm", *flags, image, "cat", "/etc/resolv.conf", "/etc/hosts").ok().out
    assert out.startswith("search a.example\nnameserver 192.0.2.53\noptions ndots:3\n10.1.2.3\tdb\n")
    assert pypod("run", "--rm", "--no-hosts", image, "test", "-e", "/etc/hosts").code == 1
    assert pypod("run", "--rm", "--dns", "none", image, "test", "-e", "/etc/resolv.conf").code == 1


@pytest.mark.parametrize(
    ("network", "word"),
    [
        ("slirp4netns:mtu=x", "mtu"),
        ("slirp4netns:nothing=1", "nothing"),
        ("pasta:--netns=/x", "--netns"),
        ("nosuchnet", "nosuchnet"),
        ("host:x", "host"),
        ("container:nosuchone", "nosuchone"),
    ],
)
def test_bad_networks(pypod: Pypod, image: str, network: str, word: str) -> None:
    pypod("run", "--rm", "--network", network, image, "true").fails(125, word if network != "nosuchnet" else "net")
    if network == "nosuchnet":
        pypod("create", "--network", network, image, "true").fails(125, "nosuchnet")
    assert pypod.names() == []


def test_slirp4netns_options(pypod: Pypod, image: str) -> None:
    box.need("slirp4netns")
    network = "slirp4netns:cidr=10.41.0.0/24,mtu=1400,enable_ipv6=false"
    out = pypod("run", "--rm", "--network", network, image, "ip", "addr").ok().out
    assert "10.41.0.100/24" in out and "mtu 1400" in out


def test_pasta_options(pypod: Pypod, image: str) -> None:
    box.need("pasta", "passt")
    out = pypod("run", "--rm", "--network", "pasta:-I,foo0,-a,10.5.5.5,-n,24", image, "ip", "addr").ok().out
    assert "foo0" in out and "10.5.5.5/24" in out


def test_a_chosen_address_and_mac(pypod: Pypod, image: str) -> None:
    box.need("pasta", "passt")
    chosen = ("--ip", "10.77.7.7", "--mac-address", "02:00:00:00:00:09")
    out = pypod("run", "--rm", "--network", "pasta", *chosen, image, "sh", "-c", "ip addr; ip route").ok().out
    assert "10.77.7.7/24" in out and "02:00:00:00:00:09" in out and "default via 10.77.7.1" in out
    box.need("slirp4netns")
    pypod("run", "--rm", "--network", "slirp4netns", *chosen, image, "true").fails(125, "--ip")
    out = pypod("run", "--rm", "--network", "slirp4netns", *chosen[2:], image, "ip", "addr").ok().out
    assert "02:00:00:00:00:09" in out


def test_the_network_survives_the_cli_and_goes_with_the_container(pypod: Pypod, image: str, driver: str) -> None:
    before = programs(pypod)
    process = pypod.popen("run", "--name", "c", "--network", driver, image, "sleep", "1000")
    until(lambda: pypod.exists("c") and pypod.state("c") == "running", 20, "c to run")
    process.kill()
    process.communicate()
    assert "default via" in pypod("exec", "c", "ip", "route").ok().out
    pypod("kill", "c").ok()
    pypod.wait_state("c", "exited")
    until(lambda: not set(programs(pypod)) - set(before), 10, "the network's programs to be gone")


def test_a_set_up_that_is_killed_half_way_is_undone(pypod: Pypod, image: str, driver: str) -> None:
    before = programs(pypod)
    port = free_ports(1)
    for step in range(4):
        process = pypod.popen(
            "run", "--name", f"c{step}", "--network", driver, "-p", f"{port}:53/udp", image, "sleep", "9"
        )
        try:
            process.wait(0.06 + 0.03 * step)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        pypod("rm", "-f", "-a", "-t", "0").ok()
    until(lambda: not set(programs(pypod)) - set(before), 10, "the network's programs to be gone")
    pypod("run", "--rm", "--network", driver, "-p", f"{port}:53/udp", image, "true").ok()


def test_networks_as_objects(pypod: Pypod, image: str) -> None:
    assert pypod("network", "ls", "-q").ok().lines == ["podman"]
    assert pypod("network", "create", "--label", "a=b", "n1").ok().out == "n1\n"
    pypod("network", "create", "n1").fails(125, "already used")
    pypod("network", "create", "--subnet", "10.1.1.1", "n2").fails(125, "10.1.1.1")
    found = pypod("network", "inspect", "n1").ok().json[0]
    assert found["driver"] == "bridge" and found["labels"] == {"a": "b"} and found["subnets"]
    assert pypod("network", "ls", "--format", "{{.Name}}").ok().lines == ["podman", "n1"]
    assert [item["name"] for item in pypod("network", "ls", "--format", "json").ok().json] == ["podman", "n1"]
    assert pypod("network", "exists", "n1").code == 0
    pypod("create", "--name", "c", "--network", "n1", image, "true").ok()
    pypod("network", "rm", "n1").fails(2, "n1", "being used")
    assert pypod("network", "rm", "-f", "n1").ok().out == "n1\n"
    assert not pypod.exists("c")
    pypod("network", "rm", "n1").fails(1, "n1")
    assert pypod("network", "exists", "n1").code == 1
    pypod("network", "rm", "podman").fails(125, "podman")


def test_containers_of_one_network_find_each_other(pypod: Pypod, image: str, mode: str, server: list[str]) -> None:
    if not os.path.exists("/usr/lib/podman/aardvark-dns"):
        box.missing("aardvark-dns is not installed")
    name = f"t{os.getpid()}"
    pypod("network", "create", name).ok()
    try:
        pypod("run", "-d", "--name", "a", "--network", f"{name}:alias=other", image, "sleep", "1000").ok()
        subnet = pypod("network", "inspect", name).ok().json[0]["subnets"][0]["subnet"]
        fixed = subnet.rpartition(".")[0] + ".77"
        out = (
            pypod("run", "--rm", "--network", f"{name}:ip={fixed},mac=02:00:00:00:00:07", image, "ip", "addr")
            .ok()
            .out
        )
        assert f"{fixed}/24" in out and "02:00:00:00:00:07" in out
        found = pypod("run", "--rm", "--network", name, image, "nslookup", "other").ok().out
        address = pypod.inspect("a")["NetworkSettings"]["Networks"][name]["IPAddress"]
        assert address in found
        both = pypod("run", "--rm", "--network", name, "--network", "podman", image, "ip", "-o", "link").ok().out
        assert "eth0" in both and "eth1" in both
    finally:
        pypod("network", "rm", "-f", "-t", "0", name).ok()
