"""A stand-in for a network namespace that is gone: netavark undoes nothing unless it can delete ``eth0`` in it."""

from __future__ import annotations

import os

from pypod.errors import NetworkError, reason
from pypod.linux import syscalls

_RTM_NEWLINK = 16
_REQUEST_CREATE_ACK = 0x1 | 0x400 | 0x200 | 0x4  # NLM_F_REQUEST, CREATE, EXCL, ACK
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 18, 1


def _attribute(kind: int, data: bytes) -> bytes:
    """A netlink attribute, padded to four bytes (netlink(7))."""
    length = 4 + len(data)
    return length.to_bytes(2, "little") + kind.to_bytes(2, "little") + data + bytes(-length % 4)


def network_namespace(interfaces: int = 4) -> int:
    """A descriptor of a new network namespace with links eth0, eth1, …

    Raises NetworkError.
    """
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            try:
                fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                for number in range(interfaces):
                    _add_link(f"eth{number}")
            finally:
                syscalls.setns(home, syscalls.CLONE_NEWNET)
        except OSError as error:
            raise NetworkError(f"cannot make a network namespace: {reason(error)}") from None
    finally:
        os.close(home)
    return fd


def _add_link(name: str) -> None:
    import _socket

    info = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, b"bridge\0"))
    body = bytes(16) + _attribute(_IFLA_IFNAME, name.encode() + b"\0") + info
    header = (16 + len(body)).to_bytes(4, "little") + _RTM_NEWLINK.to_bytes(2, "little")
    header += _REQUEST_CREATE_ACK.to_bytes(2, "little") + (1).to_bytes(4, "little") + bytes(4)
    sock = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, 0)
    try:
        sock.send(header + body)
        answer = sock.recv(4096)
        code = int.from_bytes(answer[16:20], "little", signed=True)
        if code:
            raise OSError(-code, os.strerror(-code))
    finally:
        sock.close()
