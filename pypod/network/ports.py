"""Published ports: which addresses they stand for, and whether they are free."""

from __future__ import annotations

import os

from pypod.errors import NetworkError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Iterator, Sequence

    from pypod.network.records import Port
else:
    import _socket

_KINDS = {"tcp": _socket.SOCK_STREAM, "udp": _socket.SOCK_DGRAM}


def expand(ports: Sequence[Port]) -> Iterator[tuple[str, str, int, int]]:
    """(protocol, host address, host port, container port) of each single port."""
    for port in ports:
        for offset in range(port.range):
            yield port.protocol, port.host_ip, port.host_port + offset, port.container_port + offset


def listen(protocol: str, address: str, port: int) -> _socket.socket:
    """A bound (and for TCP listening) socket.

    Raises NetworkError, in the words of podman, if the port is taken, privileged, or not an address of this host.
    """
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    sock = _socket.socket(family, _KINDS[protocol] | _socket.SOCK_CLOEXEC)
    try:
        if family == _socket.AF_INET6:
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        sock.bind((address or "0.0.0.0", port))
        if protocol == "tcp":
            sock.listen(128)
    except OSError as error:
        sock.close()
        raise _refused(protocol, address, port, error) from None
    return sock


def _refused(protocol: str, address: str, port: int, error: OSError) -> NetworkError:
    import errno

    shown = f"[{address}]:{port}" if ":" in address else f"{address or '0.0.0.0'}:{port}"
    hint = ""
    if error.errno == errno.EACCES:
        hint = (
            "ports below net.ipv4.ip_unprivileged_port_start are for root: publish a higher one, or"
            f" sysctl net.ipv4.ip_unprivileged_port_start={port}"
        )
    elif error.errno == errno.EADDRINUSE:
        hint = "choose another host port, or stop what listens there"
    return NetworkError(f"cannot publish port: listen {protocol} {shown}: bind: {reason(error).lower()}", hint=hint)


def check(ports: Sequence[Port]) -> None:
    """Raise NetworkError unless every port can be bound now. Nothing stays bound."""
    held = []
    try:
        for protocol, address, port, _ in expand(ports):
            if protocol not in _KINDS:
                raise NetworkError(
                    f"cannot publish port {port}/{protocol}: protocol {protocol} is supported by bridge networks only"
                )
            held.append(listen(protocol, address, port))
    finally:
        for sock in held:
            sock.close()


def ipv4_only(ports: Sequence[Port]) -> None:
    """Raise NetworkError for a port on an IPv6 address, which slirp4netns cannot listen on."""
    for port in ports:
        if ":" in port.host_ip:
            raise NetworkError(
                f"cannot publish port [{port.host_ip}]:{port.host_port}: slirp4netns listens on IPv4 addresses only",
                hint="publish it on an IPv4 address, or use --network pasta",
            )


def keep_descriptors_private() -> None:
    """Let no program that is started from now on inherit a descriptor of ours above 2, unless it is named to it."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2:
            try:
                os.set_inheritable(fd, False)
            except OSError:
                pass  # the listing's own descriptor
