"""The two things that we ask of rtnetlink(7) ourselves."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
else:
    import _socket

_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_REQUEST, _ACK, _EXCL, _CREATE = 0x1, 0x4, 0x200, 0x400
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_INFO_KIND = 3, 18, 1


def _attribute(kind: int, data: bytes) -> bytes:
    """A netlink attribute, padded to four bytes (netlink(7)); the host's byte order, as the kernel wants it."""
    from sys import byteorder

    length = 4 + len(data)
    return length.to_bytes(2, byteorder) + kind.to_bytes(2, byteorder) + data + bytes(-length % 4)


def _call(kind: int, flags: int, attributes: bytes) -> None:
    """One request on a link, and the kernel's answer. Raises OSError."""
    from sys import byteorder

    body = bytes(16) + attributes  # struct ifinfomsg
    header = (16 + len(body)).to_bytes(4, byteorder) + kind.to_bytes(2, byteorder)
    header += (flags | _REQUEST | _ACK).to_bytes(2, byteorder) + (1).to_bytes(4, byteorder) + bytes(4)
    sock = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, 0)
    try:
        sock.send(header + body)
        answer = sock.recv(4096)
    finally:
        sock.close()
    code = int.from_bytes(answer[16:20], byteorder, signed=True)
    if code:
        raise OSError(-code, os.strerror(-code))


def add_bridge(name: str) -> None:
    """Make a bridge in this process's network namespace. Raises OSError."""
    info = _attribute(_IFLA_LINKINFO, _attribute(_IFLA_INFO_KIND, b"bridge\0"))
    _call(_RTM_NEWLINK, _CREATE | _EXCL, _attribute(_IFLA_IFNAME, name.encode() + b"\0") + info)


def delete_link(name: str) -> None:
    """Delete an interface of this process's network namespace. Raises OSError (ENODEV if there is none)."""
    _call(_RTM_DELLINK, 0, _attribute(_IFLA_IFNAME, name.encode() + b"\0"))
