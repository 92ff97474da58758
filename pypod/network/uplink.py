"""The network namespace that a rootless user's bridges are in, and slirp4netns, which connects it to the host's.

No process of ours holds it: each container of a bridge network has it bound to a file in its monitor's mount
namespace, and slirp4netns has it as an open descriptor. It is made with the first such container, and whoever cleans
up after the last one ends slirp4netns and aardvark-dns; then nothing holds it any more. Its directory is

    .lock, resolv.conf, slirp4netns.pid, .log and .sock
    netavark/       netavark's and aardvark-dns's own
    leases/         the addresses of each network (leases.py)
    users/ID.json   the containers on it, with their addresses and published ports

Every function but ``lock`` is called with the lock held.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, files
from pypod.errors import NetworkError, reason
from pypod.linux import proc, syscalls
from pypod.network import aardvark, down, inside, slirp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

HELD = "uplink"  # in a container's run directory: the namespace, mounted
_NS_GET_USERNS = 0xB701  # ioctl_ns(2)
_FILES = ("slirp4netns.pid", "slirp4netns.log", "slirp4netns.sock", "resolv.conf", "xtables.lock")


def ensure(directory: str, program: str, options: slirp.Options, mounts: int = -1) -> int:
    """The namespace, as a descriptor, with a slirp4netns that runs; both are made if they are not there.

    Raises NetworkError.
    """
    _forget_dead(directory)
    netns = find(directory)
    if netns < 0:
        _end_programs(directory)
        netns = _make()
    try:
        if not proc.alive(*down.noted(directory, "slirp4netns")):
            _connect(directory, netns, program, options)
    except BaseException:
        os.close(netns)
        raise
    return netns


def connected(directory: str) -> bool:
    """Whether the namespace is there with a slirp4netns that runs: then ``ensure`` starts none."""
    netns = find(directory)
    if netns < 0:
        return False
    os.close(netns)
    return proc.alive(*down.noted(directory, "slirp4netns"))


def find(directory: str) -> int:
    """The namespace, as a descriptor; -1 if there is none, or if it belongs to a user namespace that is not ours."""
    pid, started = down.noted(directory, "slirp4netns")
    places = [f"/proc/{pid}/fd/{slirp.NETNS_FD}"] if proc.alive(pid, started) else []
    for user in _users(directory).values():
        if _lives(user):
            places.append(f"/proc/{proc.parent(int(user['pid']))}/root{user['rundir']}/{HELD}")
    for place in places:
        fd = _open_ours(place)
        if fd >= 0:
            return fd
    return -1


def _open_ours(path: str) -> int:
    import fcntl

    fd = inside.open_namespace(path)
    if fd < 0:
        return -1
    try:
        owner = fcntl.ioctl(fd, _NS_GET_USERNS)
        try:
            if os.path.samestat(os.fstat(owner), os.stat("/proc/self/ns/user")):
                return fd
        finally:
            os.close(owner)
    except OSError:
        pass  # the owner is no namespace that we can see
    os.close(fd)
    return -1


def _make() -> int:
    """A new network namespace. Raises NetworkError."""
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
    leave_read, leave_write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.close(leave_write)
            syscalls.unshare(syscalls.CLONE_NEWNET)
            os.write(ready_write, b"1")
            os.read(leave_read, 1)
        finally:
            os._exit(0)
    os.close(ready_write)
    os.close(leave_read)
    try:
        if os.read(ready_read, 1) != b"1":
            raise NetworkError("cannot make a network namespace for bridges")
        return os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NetworkError(f"cannot make a network namespace for bridges: {reason(error)}") from None
    finally:
        os.close(ready_read)
        os.close(leave_write)
        os.waitpid(child, 0)


def _connect(directory: str, netns: int, program: str, options: slirp.Options) -> None:
    """Start slirp4netns, and publish the ports of those containers that had it before."""
    server = slirp.addresses_of(options.cidr)["dns"]
    files.replace(f"{directory}/resolv.conf", f"nameserver {server}\n".encode(), mode=0o644)
    there = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        slirp.start(command(program, options), netns, there, directory)
    finally:
        os.close(there)
    inside.call(_answer_for_containers, netns)
    for user in _users(directory).values():
        try:
            _forward(directory, user)
        except NetworkError:
            pass  # somebody else has the port by now


def command(program: str, options: slirp.Options) -> list[str]:
    """slirp4netns's command line."""
    words = slirp.arguments(options, f"/proc/self/fd/{slirp.DIRECTORY_FD}/{slirp.SOCKET}")
    return [program, *words, f"/proc/self/fd/{slirp.NETNS_FD}", "tap0"]


def _answer_for_containers() -> bytes:
    """Let slirp4netns find the containers: tap0 answers for their addresses, at once."""
    for name, value in (("conf/tap0/proxy_arp", b"1"), ("neigh/tap0/proxy_delay", b"0"), ("ip_forward", b"1")):
        fd = os.open(f"/proc/sys/net/ipv4/{name}", os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, value)
        os.close(fd)
    return b""


def join(directory: str, identity: str, pid: int, rundir: str) -> None:
    """Note that a container uses the namespace: before anything of it is there."""
    files.make_directory(f"{directory}/users")
    user = {"pid": pid, "start": proc.start_time(pid), "rundir": rundir, "addresses": [], "ports": []}
    files.replace_json(f"{directory}/users/{identity}.json", user)


def publish(
    directory: str, identity: str, addresses: Sequence[str], ports: Sequence[tuple[str, str, int, int]]
) -> None:
    """Lead (protocol, host address, host port, container port) to the first of the container's ``addresses``.

    What led to it before is taken back. Raises NetworkError.
    """
    user = _users(directory).get(identity)
    if user is None:
        return
    _unforward(directory, user)
    user["addresses"], user["ports"] = list(addresses), [list(port) for port in ports]
    files.replace_json(f"{directory}/users/{identity}.json", user)
    _forward(directory, user)


def _forward(directory: str, user: dict[str, Any]) -> None:
    if not user["ports"] or not user["addresses"]:
        return
    with _Socket(directory) as path:
        for protocol, address, port, inner in user["ports"]:
            slirp.forward(path, protocol, address, port, inner, user["addresses"][0])


def _unforward(directory: str, user: dict[str, Any]) -> None:
    if user["ports"] and user["addresses"] and proc.alive(*down.noted(directory, "slirp4netns")):
        with _Socket(directory) as path:
            slirp.unforward(path, user["addresses"])


class _Socket:
    """slirp4netns's socket by a name that is short enough for an address, whatever the directory's."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def __enter__(self) -> str:
        self.fd = os.open(self.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self.fd}/{slirp.SOCKET}"

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def leave(directory: str, identity: str) -> None:
    """The container has gone; with the last one goes all else."""
    user = _users(directory).get(identity)
    if user is not None:
        _drop(directory, identity, user)
    _forget_dead(directory)
    if not _users(directory):
        end(directory)


def sweep(directory: str, *, only_look: bool = False) -> bool:
    """Remove what containers have left that nobody cleaned up after: whether there is anything."""
    if users(directory) or all(name == ".lock" for name in os.listdir(directory)):
        return False
    if not only_look:
        end(directory)
    return True


def end(directory: str) -> None:
    """End the programs and forget everything."""
    _end_programs(directory)
    for name in ("netavark", "leases", "users"):
        files.remove_tree(f"{directory}/{name}")


def users(directory: str) -> list[str]:
    """The ids of the containers that are on it and live."""
    return [identity for identity, user in _users(directory).items() if _lives(user)]


def _users(directory: str) -> dict[str, dict[str, Any]]:
    found = {}
    try:
        names = os.listdir(f"{directory}/users")
    except FileNotFoundError:
        return {}
    for name in names:
        if name.endswith(".json"):
            try:
                found[name[:-5]] = files.read_json(f"{directory}/users/{name}")
            except (FileNotFoundError, fastjson.BadJson):
                continue
    return found


def _lives(user: dict[str, Any]) -> bool:
    return proc.alive(int(user["pid"]), int(user["start"]))


def _forget_dead(directory: str) -> None:
    for identity, user in _users(directory).items():
        if not _lives(user):
            _drop(directory, identity, user)


def _drop(directory: str, identity: str, user: dict[str, Any]) -> None:
    try:
        _unforward(directory, user)
    except NetworkError:
        pass  # a slirp4netns that does not answer any more
    try:
        os.unlink(f"{directory}/users/{identity}.json")
    except FileNotFoundError:
        pass


def _end_programs(directory: str) -> None:
    pid, started = down.noted(directory, "slirp4netns")
    server = aardvark.pid(f"{directory}/netavark")
    if not pid or not server:
        # None was started, or whoever did was killed before it was written down.
        down.end_strays(directory, (b"slirp4netns", b"aardvark-dns"))
    down.end_process(pid, started)
    down.end_process(server, proc.start_time(server))
    for name in _FILES:
        try:
            os.unlink(f"{directory}/{name}")
        except FileNotFoundError:
            pass
