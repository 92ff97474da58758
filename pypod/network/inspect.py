"""What a network namespace has, read from /proc/PID/net (proc_pid_net(5)); nothing is entered."""

from __future__ import annotations

from pypod.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def _lines(pid: int | str, name: str) -> list[list[str]]:
    try:
        text = files.read(f"/proc/{pid}/net/{name}").decode("ascii", "replace")
    except OSError:
        return []
    return [line.split() for line in text.splitlines()]


def dotted(hexadecimal: str) -> str:
    """An IPv4 address as /proc/net/route shows it, in dots."""
    value = int(hexadecimal, 16)
    return ".".join(str(value >> shift & 255) for shift in (0, 8, 16, 24))


def colons(hexadecimal: str) -> str:
    """32 hexadecimal digits as an IPv6 address, its longest run of zeroes left out (RFC 5952)."""
    groups = [format(int(hexadecimal[at : at + 4], 16), "x") for at in range(0, 32, 4)]
    best_at, best = -1, 1
    for at in range(8):
        length = 0
        while at + length < 8 and groups[at + length] == "0":
            length += 1
        if length > best:
            best_at, best = at, length
    if best_at < 0:
        return ":".join(groups)
    return ":".join(groups[:best_at]) + "::" + ":".join(groups[best_at + best :])


def local_addresses(lines: Sequence[Sequence[str]]) -> list[str]:
    """The IPv4 addresses of a fib_trie that are not loopback's, in order."""
    result: list[str] = []
    last = ""
    for words in lines:
        if len(words) >= 2 and words[0] == "|--":
            last = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"] and not last.startswith("127.") and last not in result:
            result.append(last)
    return result


def _number(address: str) -> int:
    result = 0
    for part in address.split("."):
        result = result << 8 | int(part)
    return result


def addresses(pid: int | str = "self") -> dict[str, str | int]:
    """interface, address, prefix, gateway, address6, prefix6, gateway6 of a process's network namespace.

    The interface is the one of the default route, else the first; keys are missing where the namespace has none.
    """
    result: dict[str, str | int] = {}
    networks = []
    for words in _lines(pid, "route")[1:]:
        if len(words) < 8:
            continue
        if words[1] == "00000000" and words[7] == "00000000":
            result.setdefault("interface", words[0])
            result.setdefault("gateway", dotted(words[2]))
        elif words[2] == "00000000":
            networks.append((words[0], _number(dotted(words[1])), _number(dotted(words[7]))))
    if networks:
        result.setdefault("interface", networks[0][0])
    local = local_addresses(_lines(pid, "fib_trie"))
    for interface, network, mask in networks:
        found = [item for item in local if _number(item) & mask == network]
        if interface == result["interface"] and found:
            result["address"] = found[0]
            result["prefix"] = mask.bit_count()
            break
    if local and "address" not in result:
        result["address"] = local[0]
        result["prefix"] = 32
    for words in _lines(pid, "if_inet6"):
        if len(words) == 6 and words[3] == "00" and words[5] == result.setdefault("interface", words[5]):
            result["address6"] = colons(words[0])
            result["prefix6"] = int(words[2], 16)
            break
    for words in _lines(pid, "ipv6_route"):
        if len(words) == 10 and words[0] == "0" * 32 and words[1] == "00" and words[4] != "0" * 32:
            result["gateway6"] = colons(words[4])
            break
    return result


def routed_networks() -> list[str]:
    """The IPv4 networks to which this host has a direct route, as ADDRESS/PREFIX."""
    result = []
    for words in _lines("self", "route")[1:]:
        if len(words) >= 8 and words[1] != "00000000":
            result.append(f"{dotted(words[1])}/{int(words[7], 16).bit_count()}")
    return result
