"""Which container has which address of a bridge network, and which host ports lead to it.

One file per network for the whole host, as the bridge is the host's, too: two stores must not hand out one address.
It lies on a tmpfs: after a reboot there is no bridge and no lease.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, files
from pypod.base.locks import FileLock
from pypod.errors import NetworkError
from pypod.linux import proc
from pypod.network import addr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

DIRECTORY = "/run/pypod/networks"
BRIDGES = DIRECTORY + "/.host/bridges.json"  # which network of which store has which bridge and subnets


def update(path: str, change: Callable[[dict[str, Any]], Any]) -> Any:
    """Change a book under its lock; what ``change`` gives. Nothing is written if it raises."""
    files.make_directory(path.rpartition("/")[0])
    with FileLock(path + ".lock"):
        values = _read(path)
        result = change(values)
        files.replace_json(path, values)
        return result


def path_of(network: str, directory: str = "") -> str:
    return f"{directory or DIRECTORY}/{network}.json"


def _range(network: dict[str, Any], subnet: dict[str, Any]) -> tuple[int, int, int]:
    """(first, last, bits) of the addresses that may be given away."""
    first, length, bits = addr.network(subnet["subnet"])
    last = first + (1 << (bits - length)) - 1
    limits = subnet.get("lease_range")
    if limits:
        return addr.number(limits["start_ip"])[0], addr.number(limits["end_ip"])[0], bits
    if network["name"] == "podman":
        # podman keeps its own books of this network and counts from the lower end.
        return first + (last - first) // 2 + 1, last - 1, bits
    return first + 1, last - (1 if bits == 32 else 0), bits


def take(path: str, network: dict[str, Any], identity: str, pid: int, wanted: Sequence[str] = ()) -> list[str]:
    """Addresses for container ``identity``, one of each subnet; ``wanted`` are those it asks for.

    Raises NetworkError if that is taken or outside, or none is left.
    """
    holder = {"id": identity, "pid": pid, "start": proc.start_time(pid)}
    found: list[str] = update(path, lambda values: _choose(values, network, holder, wanted))
    return found


def preview(path: str, network: dict[str, Any], wanted: Sequence[str] = ()) -> list[str]:
    """What ``take`` would give now. Nothing is written. Raises NetworkError."""
    return _choose(_read(path), network, {}, wanted)


def _read(path: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = files.read_json(path)
        return found
    except (FileNotFoundError, fastjson.BadJson):
        return {}


def _choose(
    values: dict[str, Any], network: dict[str, Any], holder: dict[str, Any], wanted: Sequence[str]
) -> list[str]:
    taken: dict[str, Any] = values.setdefault("leases", {})
    # Of containers that were killed together with all that would have cleaned up after them.
    for address in [key for key, other in taken.items() if not proc.alive(other["pid"], other["start"])]:
        del taken[address]
    result = []
    asked = list(wanted)
    for subnet in network.get("subnets") or ():
        address = next((item for item in asked if addr.contains(subnet["subnet"], item)), "")
        if address:
            if address == subnet.get("gateway") or address in taken:
                raise NetworkError(f"requested ip address {address} is already allocated")
            asked.remove(address)
        else:
            address = _next(values, taken, network, subnet)
        taken[address] = holder
        result.append(address)
    if asked:
        raise NetworkError(f"requested static ip {asked[0]} not in any subnet on network {network['name']}")
    return result


def _next(values: dict[str, Any], taken: dict[str, Any], network: dict[str, Any], subnet: dict[str, Any]) -> str:
    """The first free address after the one given away last, so that none is used again soon."""
    first, last, bits = _range(network, subnet)
    marks = values.setdefault("last", {})
    begin = marks.get(subnet["subnet"], first - 1) + 1
    if not first <= begin <= last:
        begin = first
    for value in (*range(begin, min(last + 1, begin + 65536)), *range(first, begin)):
        address = addr.text(value, bits)
        if address != subnet.get("gateway") and address not in taken:
            marks[subnet["subnet"]] = value
            return address
    raise NetworkError(f"cannot give an address: no free IP left in network {network['name']} ({subnet['subnet']})")


def release(path: str, identity: str) -> None:
    """Give back what the container has."""

    def change(values: dict[str, Any]) -> None:
        taken = values.get("leases", {})
        for address in [key for key, holder in taken.items() if holder.get("id") == identity]:
            del taken[address]
        ports = values.get("ports", {})
        for key in [key for key, holder in ports.items() if holder.get("id") == identity]:
            del ports[key]

    update(path, change)


def forget(path: str) -> None:
    """Remove the books of a network that is gone."""
    for name in (path, path + ".lock"):
        try:
            os.unlink(name)
        except OSError:
            pass


def take_ports(path: str, ports: Sequence[tuple[str, str, int]], identity: str, pid: int) -> None:
    """Note (protocol, host address, port) as led to the container: the firewall binds nothing that would say so.

    Raises NetworkError if another running container has one of them.
    """
    started = proc.start_time(pid)

    def change(values: dict[str, Any]) -> None:
        noted: dict[str, Any] = values.setdefault("ports", {})
        _check_ports(noted, ports, identity)
        for protocol, address, port in ports:
            noted[f"{protocol} {port} {address}"] = {"id": identity, "pid": pid, "start": started}

    update(path, change)


def check_ports(path: str, ports: Sequence[tuple[str, str, int]]) -> None:
    """Raise NetworkError where ``take_ports`` would. Nothing is written."""
    _check_ports(_read(path).get("ports", {}), ports, "")


def _check_ports(noted: dict[str, Any], ports: Sequence[tuple[str, str, int]], identity: str) -> None:
    for protocol, address, port in ports:
        for key, holder in noted.items():
            other_protocol, other_port, other_address = key.split(" ", 2)
            clash = not address or other_address in ("", address) or address in ("0.0.0.0", "::")
            if (
                (protocol, str(port)) == (other_protocol, other_port)
                and (clash or other_address in ("0.0.0.0", "::"))
                and holder["id"] != identity
                and proc.alive(holder["pid"], holder["start"])
            ):
                raise NetworkError(
                    f"cannot publish port: listen {protocol} {address or '0.0.0.0'}:{port}: bind: address"
                    " already in use",
                    hint=f"container {holder['id'][:12]} has it",
                )
