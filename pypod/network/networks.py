"""Definitions of bridge networks: one JSON file each, in netavark's and podman-network-inspect(1)'s terms.

The default network ``podman`` needs no file; its bridge is the one that podman uses, too.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, files
from pypod.errors import InUse, NetworkError, NotFound, StorageError, UsageError, reason
from pypod.network import addr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT = "podman"


def default_network() -> dict[str, Any]:
    """The network of containers that name none."""
    return {
        "name": DEFAULT,
        "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
        "driver": "bridge",
        "network_interface": "podman0",
        "created": "1970-01-01T00:00:00Z",
        "subnets": [{"subnet": "10.88.0.0/16", "gateway": "10.88.0.1"}],
        "ipv6_enabled": False,
        "internal": False,
        "dns_enabled": False,
        "ipam_options": {"driver": "host-local"},
    }


def check_name(name: str) -> str:
    """``name``, if it can name a network. Raises UsageError."""
    allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
    if not name or name[0] in "_.-" or any(letter not in allowed for letter in name) or len(name) > 128:
        raise UsageError(
            f"network name {name} invalid: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument"
        )
    if name in ("none", "host", "bridge", "private", "slirp4netns", "pasta", "container", "ns", "default"):
        raise UsageError(f"cannot create network with name {name}: it is a network mode: invalid argument")
    return name


def every(directory: str) -> list[dict[str, Any]]:
    """All networks, the default one first, the others by name. Files that do not parse are an error: StorageError."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".json") and name[0] != ".")
    except OSError:
        names = []
    found = [_load(f"{directory}/{name}") for name in names]
    if all(item["name"] != DEFAULT for item in found):
        found.insert(0, default_network())
    return found


def _load(path: str) -> dict[str, Any]:
    try:
        value = files.read_json(path)
    except OSError as error:
        raise StorageError(f"cannot read network {path}: {reason(error)}") from None
    except fastjson.BadJson as error:
        raise StorageError(f"cannot read network {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise StorageError(f"cannot read network {path}: not a network's JSON object")
    return value


def find(directory: str, reference: str) -> dict[str, Any]:
    """By name, id or unique prefix of an id. Raises NotFound."""
    path = f"{directory}/{reference}.json"
    if "/" not in reference and os.path.exists(path):
        return _load(path)
    matches = []
    for item in every(directory):
        if item["name"] == reference or item.get("id") == reference:
            return item
        if reference and str(item.get("id", "")).startswith(reference):
            matches.append(item)
    if len(matches) > 1:
        raise NotFound(f"more than one result for network ID {reference}: network not found")
    if not matches:
        raise NotFound(
            f"unable to find network with name or ID {reference}: network not found", hint="pypod network ls"
        )
    return matches[0]


def exists(directory: str, reference: str) -> bool:
    """Whether ``find`` finds it."""
    try:
        find(directory, reference)
    except NotFound:
        return False
    return True


def free_name(directory: str) -> str:
    """podmanN, for a network that was given no name."""
    taken = {item["name"] for item in every(directory)}
    number = 1
    while f"podman{number}" in taken:
        number += 1
    return f"podman{number}"


def _free_subnet(used: list[str]) -> str:
    """The first /24 of 10.89.0.0 to 10.255.255.0 that no network has (containers.conf(5), default_subnet_pools)."""
    for second in range(89, 256):
        for third in range(256):
            candidate = f"10.{second}.{third}.0/24"
            if not any(addr.overlap(candidate, taken) for taken in used):
                return candidate
    raise NetworkError("cannot create network: no subnet is left: remove some networks")


def _host_subnets() -> list[str]:
    from pypod.network import inspect

    return inspect.routed_networks()


def create(
    directory: str,
    name: str,
    *,
    subnet: str = "",
    gateway: str = "",
    ip_range: str = "",
    internal: bool = False,
    dns: bool = True,
    labels: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    interface: str = "",
    created: str = "",
) -> dict[str, Any]:
    """Define a bridge network; the bridge itself comes with its first container.

    Raises InUse for a name or subnet that is taken, UsageError for what contradicts itself.
    """
    existing = every(directory)
    if any(item["name"] == name for item in existing):
        raise InUse(f"network name {name} already used: network already exists")
    used = [str(place["subnet"]) for item in existing for place in item.get("subnets", ())]
    busy = used + _host_subnets()
    place: dict[str, Any] = {"subnet": subnet or _free_subnet(busy)}
    try:
        first, length, bits = addr.network(place["subnet"])
        if length > bits - 2:
            raise ValueError(f"subnet {subnet} is too small")
        place["subnet"] = f"{addr.text(first, bits)}/{length}"
        for taken in busy:
            if addr.overlap(place["subnet"], taken):
                raise InUse(f"subnet {place['subnet']} is already used on the host or by another config")
        place["gateway"] = gateway or addr.text(first + 1, bits)
        if not addr.contains(place["subnet"], place["gateway"]):
            raise ValueError(f"gateway {gateway} not in subnet {place['subnet']}")
        if ip_range:
            start, range_length, _ = addr.network(ip_range)
            if not addr.contains(place["subnet"], addr.text(start, bits)) or range_length < length:
                raise ValueError(f"ip range {ip_range} not in subnet {place['subnet']}")
            place["lease_range"] = {
                "start_ip": addr.text(start + (1 if start == first else 0), bits),
                "end_ip": addr.text(start + (1 << (bits - range_length)) - 1, bits),
            }
    except ValueError as error:
        raise UsageError(f"cannot create network {name}: {error}") from None
    names = {item.get("network_interface") for item in existing}
    number = 1
    while f"podman{number}" in names or os.path.exists(f"/sys/class/net/podman{number}"):
        number += 1
    made: dict[str, Any] = {
        "name": name,
        "id": os.urandom(32).hex(),
        "driver": "bridge",
        "network_interface": interface or f"podman{number}",
        "created": created,
        "subnets": [place],
        "ipv6_enabled": bits == 128,
        "internal": internal,
        "dns_enabled": dns and not internal,
        "labels": labels or {},
        "options": options or {},
        "ipam_options": {"driver": "host-local"},
    }
    files.make_directory(directory)
    files.replace_json(f"{directory}/{name}.json", made, durable=True)
    return made


def remove(directory: str, reference: str) -> str:
    """Forget a network; its name. Raises NotFound, UsageError for the default network."""
    found = find(directory, reference)
    if found["name"] == DEFAULT:
        raise UsageError(f"default network {DEFAULT} cannot be removed")
    try:
        os.unlink(f"{directory}/{found['name']}.json")
    except FileNotFoundError:
        raise NotFound(f"unable to find network with name or ID {reference}: network not found") from None
    return str(found["name"])
