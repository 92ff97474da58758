"""slirp4netns: user-mode networking with addresses of its own (slirp4netns(1), podman-run(1) --network slirp4netns).

The network is 10.0.2.0/24: the container is .100, the gateway .2, the name server .3.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, process
from pypod.base.record import record, replace
from pypod.errors import NetworkError, UsageError, reason
from pypod.linux import proc
from pypod.network import ports
from pypod.network.records import NetworkRequest, NetworkStatus, Port

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.network.steps import Step

NETNS_FD, _READY_FD, DIRECTORY_FD = 3, 4, 5
SOCKET = "slirp4netns.sock"


@record
class Options:
    """--network slirp4netns:OPTION,…"""

    allow_host_loopback: bool = False
    cidr: str = "10.0.2.0/24"
    enable_ipv6: bool = True
    mtu: int = 65520
    outbound_addr: str = ""
    outbound_addr6: str = ""


def _flag(key: str, value: str) -> bool:
    if value in ("true", "false"):
        return value == "true"
    raise UsageError(f"invalid value {value!r} of slirp4netns option {key}: must be true or false")


def parse(words: list[str]) -> Options:
    """The options that the user gave. Raises UsageError."""
    found: dict[str, object] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"invalid slirp4netns option {word!r}: must be KEY=VALUE")
        if key in ("allow_host_loopback", "enable_ipv6"):
            found[key] = _flag(key, value)
        elif key == "mtu":
            if not value.isdecimal() or not 68 <= int(value) <= 65521:
                raise UsageError(f"invalid mtu {value!r} of slirp4netns: must be 68 to 65521")
            found[key] = int(value)
        elif key == "cidr":
            addresses_of(value)
            found[key] = value
        elif key in ("outbound_addr", "outbound_addr6"):
            found[key] = value
        elif key == "port_handler":
            if value != "slirp4netns":
                raise UsageError(
                    f"slirp4netns port_handler {value} is not supported", hint="use port_handler=slirp4netns"
                )
        else:
            raise UsageError(f"invalid slirp4netns option {key!r}")
    return Options(**found)  # type: ignore[arg-type]


def addresses_of(cidr: str) -> dict[str, str | int]:
    """address, gateway, prefix and dns of a network as slirp4netns hands them out. Raises UsageError."""
    network, slash, bits = cidr.partition("/")
    parts = network.split(".")
    if (
        not slash
        or not bits.isdecimal()
        or not 1 <= int(bits) <= 25
        or len(parts) != 4
        or not all(part.isdecimal() and int(part) < 256 for part in parts)
    ):
        raise UsageError(f"invalid cidr {cidr!r} of slirp4netns: must be an IPv4 network of at least 128 addresses")
    base = 0
    for part in parts:
        base = base << 8 | int(part)
    base &= -1 << (32 - int(bits))

    def address(offset: int) -> str:
        return ".".join(str(base + offset >> shift & 255) for shift in (24, 16, 8, 0))

    return {"gateway": address(2), "dns": address(3), "address": address(100), "prefix": int(bits)}


def program_of(request: NetworkRequest) -> str:
    """The slirp4netns to run. Raises NetworkError if it is not installed."""
    found = process.find(request.command or "slirp4netns", request.helper_dirs)
    if found is None:
        raise NetworkError(
            f"cannot set up slirp4netns: {request.command or 'it'} is not installed",
            hint="apt-get install slirp4netns",
        )
    return found


def options_of(request: NetworkRequest) -> Options:
    """containers.conf's options and the user's. Raises UsageError."""
    return parse([*request.command_options, *request.options.get("slirp4netns", ())])


def prepare(request: NetworkRequest) -> None:
    """See ``pypod.network.prepare``."""
    program_of(request)
    options_of(request)
    if request.static_ip:
        raise UsageError(
            "--ip cannot be used with slirp4netns: invalid argument", hint="choose the network: slirp4netns:cidr=…"
        )
    if request.ports:
        ports.ipv4_only(request.ports)
        ports.check(request.ports)


def arguments(options: Options, api_socket: str) -> list[str]:
    """slirp4netns's arguments up to the namespace."""
    words = ["--configure", f"--mtu={options.mtu}", "--enable-sandbox", "--enable-seccomp", "--netns-type=path"]
    words.append(f"--ready-fd={_READY_FD}")
    if not options.allow_host_loopback:
        words.append("--disable-host-loopback")
    if options.cidr != Options.cidr:
        words.append(f"--cidr={options.cidr}")
    if options.enable_ipv6:
        words.append("--enable-ipv6")
    if options.outbound_addr:
        words.append(f"--outbound-addr={options.outbound_addr}")
    if options.outbound_addr6:
        words.append(f"--outbound-addr6={options.outbound_addr6}")
    if api_socket:
        words.append(f"--api-socket={api_socket}")
    return words


def command(request: NetworkRequest) -> list[str]:
    """slirp4netns's command line. Raises NetworkError, UsageError."""
    # Through the directory's descriptor, as the whole path may be longer than a socket's address can be.
    tcp = any(port.protocol == "tcp" for port in request.ports)
    socket_there = f"/proc/self/fd/{DIRECTORY_FD}/{SOCKET}" if tcp else ""
    mac = [f"--macaddress={request.static_mac}"] if request.static_mac else []
    words = arguments(options_of(request), socket_there)
    return [program_of(request), *words, *mac, f"/proc/self/fd/{NETNS_FD}", "tap0"]


def plan(request: NetworkRequest) -> list[Step]:
    """See ``pypod.network.plan``."""
    from pypod.network.steps import Step

    argv = command(request)
    steps = [Step(what="start slirp4netns, with the container's network namespace as descriptor 3", argv=argv)]
    return steps + plan_ports(request.ports)


def plan_ports(published: Sequence[Port], guest: str = "") -> list[Step]:
    """How ports get to ``guest``, which is tap0's address if it is not named: for --dry-run."""
    from pypod.network.steps import Step

    tcp = [port for port in published if port.protocol == "tcp"]
    udp = [port for port in published if port.protocol == "udp"]
    steps = [
        Step(what=f"publish port {port[2]}/tcp", input=forwarding(*port, guest=guest)) for port in ports.expand(tcp)
    ]
    if udp:
        from pypod.network import relay

        steps.append(relay.plan(udp))
    return steps


def setup(request: NetworkRequest, pid: int) -> NetworkStatus:
    """See ``pypod.network.setup``."""
    options = options_of(request)
    argv = command(request)
    ports.keep_descriptors_private()
    tcp = [port for port in request.ports if port.protocol == "tcp"]
    udp = [port for port in request.ports if port.protocol == "udp"]
    place = addresses_of(options.cidr)
    status = NetworkStatus(
        driver="slirp4netns",
        id=request.id,
        interface="tap0",
        address=str(place["address"]),
        prefix=int(place["prefix"]),
        gateway=str(place["gateway"]),
        dns=[str(place["dns"])],
        rundir=request.rundir,
    )
    try:
        netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NetworkError(f"cannot set up slirp4netns: namespace of process {pid}: {reason(error)}") from None
    directory = os.open(request.rundir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        helper = start(argv, netns, directory, request.rundir)
        status = replace(status, pid=helper, pid_start=proc.start_time(helper))
        try:
            for protocol, address, port, inside in ports.expand(tcp):
                forward(f"/proc/self/fd/{directory}/{SOCKET}", protocol, address, port, inside)
            if udp:
                from pypod.network import relay

                relay_pid, relay_start = relay.start(udp, pid, netns, request.rundir)
                status = replace(status, relay_pid=relay_pid, relay_start=relay_start)
        except BaseException:
            from pypod.network import down

            down.teardown(status.__dict__)
            raise
        return status
    finally:
        os.close(netns)
        os.close(directory)


def start(argv: list[str], netns: int, directory: int, rundir: str) -> int:
    """Run slirp4netns until it is ready; its pid. Raises NetworkError with what it said."""
    from pypod.network import down

    log = f"{rundir}/slirp4netns.log"
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
    log_fd = -1
    try:
        log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        # dup2 to 3, 4 and 5 must not overwrite what is still to be passed.
        high = [_above(fd) for fd in (netns, ready_write, directory)]
        try:
            pid = process.spawn(
                argv,
                env={**os.environ, down.MARK: rundir},
                stdin=-1,
                stdout=-1,
                stderr=log_fd,
                keep=[(high[0], NETNS_FD), (high[1], _READY_FD), (high[2], DIRECTORY_FD)],
                new_session=True,
            )
        finally:
            for fd in high:
                os.close(fd)
    except OSError as error:
        os.close(ready_read)
        raise NetworkError(f"cannot start {argv[0]}: {reason(error)}") from None
    finally:
        os.close(ready_write)
        if log_fd >= 0:
            os.close(log_fd)
    down.note(rundir, "slirp4netns", pid)
    ready = os.read(ready_read, 1)
    os.close(ready_read)
    if ready != b"1":
        process.wait(pid)
        from pypod.base import files
        from pypod.network.pasta import tun_hint

        said = files.read(log).decode("utf-8", "replace").strip().splitlines()
        said = [line for line in said if not line.startswith("WARNING")]
        text = "; ".join(said[-3:]) or "slirp4netns failed"
        try:
            os.unlink(log)
        except OSError:
            pass
        raise NetworkError(f"cannot set up slirp4netns: {text}", hint=tun_hint() if "tun" in text else "")
    return pid


def _above(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


def forward(api_socket: str, protocol: str, address: str, port: int, inside: int, guest: str = "") -> None:
    """Publish one port by slirp4netns's API (slirp4netns(1), "API SOCKET"), to ``guest`` if not to tap0's address.

    Raises NetworkError.
    """
    _ask(api_socket, forwarding(protocol, address, port, inside, guest), f"cannot publish port {port}/{protocol}")


def forwarding(protocol: str, address: str, port: int, inside: int, guest: str = "") -> dict[str, Any]:
    """The request to publish a port; see ``forward``."""
    arguments = {"proto": protocol, "host_addr": address or "0.0.0.0", "host_port": port, "guest_port": inside}
    if guest:
        arguments["guest_addr"] = guest
    return {"execute": "add_hostfwd", "arguments": arguments}


def unforward(api_socket: str, guests: Sequence[str]) -> None:
    """Take back every port that leads to one of the addresses ``guests``. Raises NetworkError."""
    what = "cannot take back ports"
    entries = _ask(api_socket, {"execute": "list_hostfwd", "arguments": {}}, what).get("entries", ())
    for entry in entries:
        if entry.get("guest_addr") in guests:
            _ask(api_socket, {"execute": "remove_hostfwd", "arguments": {"id": entry["id"]}}, what)


def _ask(api_socket: str, request: Mapping[str, Any], what: str) -> dict[str, Any]:
    what += ": slirp4netns"
    try:
        answer = fastjson.loads(_call(api_socket, fastjson.dumps(request).encode()))
    except OSError as error:
        raise NetworkError(f"{what}: {reason(error)}") from None
    except fastjson.BadJson as error:
        raise NetworkError(f"{what} answered wrongly: {error}") from None
    if not isinstance(answer, dict) or "error" in answer:
        problem = answer.get("error", {}) if isinstance(answer, dict) else {}
        text = problem.get("desc", "refused") if isinstance(problem, dict) else str(problem)
        raise NetworkError(f"{what}: {text}")
    found = answer.get("return", answer)  # list_hostfwd's is not wrapped
    return found if isinstance(found, dict) else {}


def _call(path: str, request: bytes) -> bytes:
    import _socket

    sock: _socket.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        sock.connect(path)
        sock.sendall(request)
        sock.shutdown(_socket.SHUT_WR)
        answer = b""
        while chunk := sock.recv(4096):
            answer += chunk
        return answer
    finally:
        sock.close()
