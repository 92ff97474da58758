"""IP addresses, without ``socket`` and ``ipaddress``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
else:
    import _socket


def is_address(text: str) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address in numbers."""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def is_ipv4(text: str) -> bool:
    try:
        _socket.inet_pton(_socket.AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def is_mac(text: str) -> bool:
    """Six bytes in hexadecimal between colons or hyphens."""
    parts = text.replace("-", ":").split(":")
    return len(parts) == 6 and all(
        len(part) == 2 and all(digit in "0123456789abcdefABCDEF" for digit in part) for part in parts
    )


def bind_free_port(host_ip: str, protocol: str) -> int:
    """A port that the kernel says is free. Raises OSError."""
    family = _socket.AF_INET6 if ":" in host_ip else _socket.AF_INET
    kind = _socket.SOCK_DGRAM if protocol == "udp" else _socket.SOCK_STREAM
    probe = _socket.socket(family, kind)
    try:
        probe.bind((host_ip or "0.0.0.0", 0))
        return int(probe.getsockname()[1])
    finally:
        probe.close()
