"""Making the definition of a network from what the user asks for (podman-network-create(1))."""

from __future__ import annotations

import os

from pypod.base import fastjson, files
from pypod.base.record import record, replace
from pypod.errors import InUse, NetworkError, UsageError
from pypod.network import addr, leases, networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DOCKER_NAME = "com.docker.network.bridge.name"
_DOCKER_MTU = "com.docker.network.driver.mtu"
_MACVLAN_MODES = ("bridge", "private", "vepa", "passthru")


@record
class Wish:
    """The flags of ``network create``. The Nth gateway and range belong to the Nth subnet."""

    driver: str = "bridge"
    subnets: list[str] = []
    gateways: list[str] = []
    ranges: list[str] = []
    routes: list[str] = []
    ipv6: bool = False
    internal: bool = False
    dns: bool = True
    dns_servers: list[str] = []
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    interface: str = ""
    ipam_driver: str = ""
    created: str = ""
    reserved: list[str] = []  # networks that no subnet may overlap
    avoided: list[str] = []  # networks that are not chosen, and bridges likewise
    avoided_bridges: list[str] = []


def create_noted(book: str, directory: str, name: str, wish: Wish) -> dict[str, Any]:
    """``create``, for a network of root: no bridge or subnet is chosen that another store of the host has chosen.

    ``book`` is the host's file of them. Raises as ``create`` does.
    """

    def change(values: dict[str, Any]) -> dict[str, Any]:
        for identity, entry in list(values.items()):
            try:
                if files.read_json(entry["file"])["id"] == identity:
                    continue
            except (OSError, fastjson.BadJson, KeyError, TypeError):
                pass
            del values[identity]
        subnets = [subnet for entry in values.values() for subnet in entry["subnets"]]
        bridges = [str(entry["bridge"]) for entry in values.values()]
        made = create(directory, name, replace(wish, avoided=subnets, avoided_bridges=bridges))
        values[made["id"]] = {
            "file": f"{directory}/{name}.json",
            "bridge": made["network_interface"],
            "subnets": [place["subnet"] for place in made.get("subnets", ())],
        }
        return made

    result: dict[str, Any] = leases.update(book, change)
    return result


def create(directory: str, name: str, wish: Wish) -> dict[str, Any]:
    """Define a network; its bridge comes with its first container.

    Raises InUse for a name or subnet that is taken, UsageError for what contradicts itself.
    """
    if wish.driver not in ("bridge", "macvlan"):
        raise UsageError(f"unsupported driver {wish.driver}: invalid argument", hint="bridge or macvlan")
    existing = networks.every(directory)
    if any(item["name"] == name for item in existing):
        raise InUse(f"network name {name} already used: network already exists")
    try:
        subnets = _subnets(wish, existing)
        routes = [_route(text) for text in wish.routes]
    except ValueError as error:
        raise UsageError(f"cannot create network {name}: {error}") from None
    options = _options(wish)
    bridge = wish.driver == "bridge"
    interface = wish.interface or options.pop(_DOCKER_NAME, "") or options.pop("parent", "")
    if bridge and any(interface and item.get("network_interface") == interface for item in existing):
        raise InUse(f"bridge name {interface} already in use")
    dns = wish.dns and bridge and bool(subnets)
    if wish.dns_servers and not dns:
        raise UsageError("cannot set NetworkDNSServers if DNS is not enabled for the network: invalid argument")
    made: dict[str, Any] = {
        "name": name,
        "id": os.urandom(32).hex(),
        "driver": wish.driver,
        "network_interface": interface or (_free_bridge(existing, wish) if bridge else ""),
        "created": wish.created,
        "subnets": subnets,
        "routes": routes,
        "ipv6_enabled": wish.ipv6 or any(":" in place["subnet"] for place in subnets),
        "internal": wish.internal,
        "dns_enabled": dns,
        "network_dns_servers": list(wish.dns_servers),
        "labels": wish.labels,
        "options": options,
        "ipam_options": {"driver": wish.ipam_driver or "host-local"},
    }
    for key in ("subnets", "routes", "network_dns_servers", "labels", "options"):
        if not made[key]:
            del made[key]  # as podman leaves them out
    files.make_directory(directory)
    files.replace_json(f"{directory}/{name}.json", made, durable=True)
    return made


def _options(wish: Wish) -> dict[str, str]:
    """The driver's options, checked. Raises UsageError."""
    result = {}
    for key, value in wish.options.items():
        known: tuple[str, ...] = ("mtu", "vlan", "metric", "isolate", _DOCKER_NAME, _DOCKER_MTU)
        if wish.driver == "macvlan":
            known = ("parent", "mode", "mtu", "metric", _DOCKER_MTU)
        if key not in known:
            raise UsageError(f"unsupported {wish.driver} network option {key}: invalid argument")
        if key == _DOCKER_MTU:
            key = "mtu"
        bad = (
            (key in ("mtu", "metric") and not value.isdecimal())
            or (key == "vlan" and not (value.isdecimal() and int(value) <= 4094))
            or (key == "isolate" and value not in ("true", "false", "1", "0"))
            or (key == "mode" and value not in _MACVLAN_MODES)
        )
        if bad:
            raise UsageError(f"invalid value {value!r} of network option {key}: invalid argument")
        result[key] = value
    return result


def _subnets(wish: Wish, existing: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The network's subnets. Raises InUse, UsageError, ValueError, and NetworkError if none is left."""
    if (wish.gateways or wish.ranges) and not wish.subnets:
        raise UsageError("cannot set gateway or range without subnet")
    if max(len(wish.gateways), len(wish.ranges)) > len(wish.subnets):
        raise UsageError("cannot set more gateways or ranges than subnets")
    if wish.ipam_driver in ("none", "dhcp"):
        if wish.ipam_driver == "dhcp":
            raise UsageError("dhcp ipam driver is not yet supported with netavark")
        if wish.subnets:
            raise UsageError("none ipam driver is set but subnets are given: invalid argument")
        return []
    if wish.ipam_driver not in ("", "host-local"):
        raise UsageError(f"unsupported ipam driver {wish.ipam_driver}: invalid argument")
    if wish.driver == "macvlan" and not wish.subnets:
        raise UsageError(
            "macvlan driver needs at least one subnet specified, DHCP is not yet supported with netavark"
        )
    busy = [str(place["subnet"]) for item in existing for place in item.get("subnets") or ()]
    if wish.driver == "bridge":
        busy += networks.host_subnets()
    busy += wish.reserved
    result = []
    for number, text in enumerate(wish.subnets):
        gateway = wish.gateways[number] if number < len(wish.gateways) else ""
        span = wish.ranges[number] if number < len(wish.ranges) else ""
        result.append(_subnet(text, gateway, span, busy, wish))
        busy.append(result[-1]["subnet"])
    if not any(":" not in place["subnet"] for place in result) and (wish.ipv6 or not result):
        result.append(_subnet(_free_subnet([*busy, *wish.avoided]), "", "", [], wish))
    if wish.ipv6 and not any(":" in place["subnet"] for place in result):
        # RFC 4193: a random global id, so that two of them hardly ever meet.
        random = addr.text(int.from_bytes(b"\xfd" + os.urandom(7) + bytes(8), "big"), 128)
        result.append(_subnet(f"{random}/64", "", "", [], wish))
    return result


def _subnet(text: str, gateway: str, span: str, busy: list[str], wish: Wish) -> dict[str, Any]:
    first, length, bits = addr.network(text)
    if length > bits - 2:
        raise ValueError(f"subnet {text} is too small")
    place: dict[str, Any] = {"subnet": f"{addr.text(first, bits)}/{length}"}
    for taken in busy:
        if addr.overlap(place["subnet"], taken):
            raise InUse(f"subnet {place['subnet']} is already used on the host or by another config")
    if gateway or not (wish.driver == "macvlan" and wish.internal):
        place["gateway"] = gateway or addr.text(first + 1, bits)
        if not addr.contains(place["subnet"], place["gateway"]):
            raise ValueError(f"gateway {gateway} not in subnet {place['subnet']}")
    if span:
        start, range_length, _ = addr.network(span)
        if not addr.contains(place["subnet"], addr.text(start, bits)) or range_length < length:
            raise ValueError(f"ip range {span} not in subnet {place['subnet']}")
        place["lease_range"] = {
            "start_ip": addr.text(start + 1, bits),  # podman leaves the first one out, whatever it is
            "end_ip": addr.text(start + (1 << (bits - range_length)) - 1, bits),
        }
    return place


def _route(text: str) -> dict[str, Any]:
    """--route DESTINATION,GATEWAY[,METRIC]."""
    words = text.split(",")
    if len(words) not in (2, 3) or not words[-1]:
        raise ValueError(f"route {text!r} must be DESTINATION,GATEWAY[,METRIC]")
    first, length, bits = addr.network(words[0])
    if addr.number(words[1])[1] != bits:
        raise ValueError(f"route {text!r} mixes IPv4 and IPv6")
    result: dict[str, Any] = {"destination": f"{addr.text(first, bits)}/{length}", "gateway": words[1]}
    if len(words) == 3:
        if not words[2].isdecimal():
            raise ValueError(f"metric {words[2]!r} of a route is not a number")
        result["metric"] = int(words[2])
    return result


def _free_subnet(used: list[str]) -> str:
    """The first /24 of 10.89.0.0 to 10.255.255.0 that no network has (containers.conf(5), default_subnet_pools)."""
    for second in range(89, 256):
        for third in range(256):
            candidate = f"10.{second}.{third}.0/24"
            if not any(addr.overlap(candidate, taken) for taken in used):
                return candidate
    raise NetworkError("cannot create network: no subnet is left: remove some networks")


def _free_bridge(existing: list[dict[str, Any]], wish: Wish) -> str:
    names = {*(item.get("network_interface") for item in existing), *wish.avoided_bridges}
    number = 1
    while f"podman{number}" in names or os.path.exists(f"/sys/class/net/podman{number}"):
        number += 1
    return f"podman{number}"
