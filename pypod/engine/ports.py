"""--publish and --expose: [[IP:][HOST]:]CONTAINER[/PROTOCOL], each port a number or a range."""

from __future__ import annotations

from pypod.engine.config import PortMapping
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PROTOCOLS = ("tcp", "udp", "sctp")


def _range(text: str, what: str) -> tuple[int, int]:
    """First port and how many. Raises UsageError."""
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise UsageError(f"invalid {what} port {text!r}: not a number")
    low = int(first)
    high = int(last) if dash else low
    if not 1 <= low <= 65535 or not 1 <= high <= 65535:
        raise UsageError(f"invalid {what} port {text!r}: port numbers must be between 1 and 65535 (inclusive)")
    if high < low:
        raise UsageError(f"invalid {what} port {text!r}: end of port range must be higher than start")
    return low, high - low + 1


def _protocols(text: str, whole: str) -> list[str]:
    result = []
    for protocol in text.split(","):
        lower = protocol.strip().lower()
        if lower not in PROTOCOLS:
            raise UsageError(f"invalid port {whole!r}: unrecognized protocol {protocol!r}")
        if lower not in result:
            result.append(lower)
    return result


def _check_address(address: str, whole: str) -> str:
    from pypod.engine.addresses import is_address

    if not is_address(address):
        raise UsageError(f"invalid port {whole!r}: cannot parse {address!r} as an IP address")
    return address


def parse_publish(text: str) -> list[PortMapping]:
    """One --publish. A host port 0 means one that the host chooses. Raises UsageError."""
    rest, slash, protocol = text.partition("/")
    protocols = _protocols(protocol, text) if slash else ["tcp"]
    host_ip = ""
    if rest.startswith("["):
        host_ip, bracket, rest = rest[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise UsageError(f"invalid port format for --publish: {text!r}")
        _check_address(host_ip, text)
        parts = ["", *rest[1:].split(":")]
    else:
        parts = rest.split(":")
    if len(parts) > 3 or not parts[-1]:
        raise UsageError(f"invalid port format: {text!r} must be [[IP:][HOST]:]CONTAINER[/PROTOCOL]")
    host = ""
    if len(parts) == 3:
        if parts[0]:
            host_ip = _check_address(parts[0], text)
        host = parts[1]
    elif len(parts) == 2:
        host = parts[0]
    container, count = _range(parts[-1], "container")
    if host and host != "0":
        first, host_count = _range(host, "host")
        if host_count != count:
            # docker's rule: a host range for one port means any free one of the range; podman refuses it.
            raise UsageError(f"host and container port ranges have different lengths: {host_count} vs {count}")
    else:
        first = 0
    return [
        PortMapping(host_ip=host_ip, host_port=first, container_port=container, range=count, protocol=item)
        for item in protocols
    ]


def parse_expose(text: str) -> list[str]:
    """One --expose, or one of an image's ExposedPorts, as "80/tcp" entries. Raises UsageError."""
    rest, slash, protocol = text.partition("/")
    protocols = _protocols(protocol, text) if slash else ["tcp"]
    first, count = _range(rest, "exposed")
    return [f"{port}/{item}" for item in protocols for port in range(first, first + count)]


def free_port(host_ip: str, protocol: str, taken: Sequence[tuple[str, int]] = ()) -> int:
    """A port of the host that nothing listens on. Raises OSError."""
    from pypod.engine.addresses import bind_free_port

    for _ in range(64):
        port = bind_free_port(host_ip, protocol)
        if (protocol, port) not in taken:
            return port
    raise OSError("no free port")


def resolve(publish: Sequence[str], exposed: Sequence[str], publish_all: bool) -> list[PortMapping]:
    """All published ports, with host ports chosen where none was given, and checked for conflicts.

    Raises UsageError.
    """
    wanted: list[PortMapping] = []
    for text in publish:
        wanted += parse_publish(text)
    if publish_all:
        published = {(item.protocol, item.container_port + offset) for item in wanted for offset in range(item.range)}
        for entry in exposed:
            port, _, protocol = entry.partition("/")
            if (protocol, int(port)) not in published:
                wanted.append(
                    PortMapping(host_ip="", host_port=0, container_port=int(port), range=1, protocol=protocol)
                )
    taken: list[tuple[str, int]] = []
    seen: dict[tuple[str, str, int], int] = {}
    result = []
    for item in wanted:
        pieces = [item]
        if not item.host_port:
            pieces = []
            for offset in range(item.range):
                chosen = free_port(item.host_ip, item.protocol, taken)
                taken.append((item.protocol, chosen))
                pieces.append(
                    PortMapping(
                        host_ip=item.host_ip,
                        host_port=chosen,
                        container_port=item.container_port + offset,
                        range=1,
                        protocol=item.protocol,
                    )
                )
        for piece in pieces:
            for offset in range(piece.range):
                key = (piece.host_ip, piece.protocol, piece.host_port + offset)
                target = piece.container_port + offset
                if seen.setdefault(key, target) != target:
                    raise UsageError(f"conflicting port mappings for host port {key[2]} (protocol {piece.protocol})")
            if piece not in result:
                result.append(piece)
    return result
