"""Definitions of bridge networks: one JSON file each, in netavark's and podman-network-inspect(1)'s terms.

The default network ``podman`` needs no file; its bridge is the one that podman uses, too.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, files
from pypod.errors import NotFound, StorageError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
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


def host_subnets() -> list[str]:
    """The IPv4 networks that the host is on."""
    from pypod.network import inspect

    return inspect.routed_networks()


def change_servers(directory: str, name: str, add: Sequence[str], drop: Sequence[str]) -> list[str]:
    """The name servers that the network's own asks, changed. Raises NotFound, UsageError."""
    found = find(directory, name)
    if not found.get("dns_enabled"):
        raise UsageError(f"unable to set DNS Servers, DNS is disabled on network {found['name']}")
    servers = list(found.get("network_dns_servers") or ())
    servers += [server for server in add if server not in servers]
    servers = [server for server in servers if server not in drop]
    found["network_dns_servers"] = servers
    if not servers:
        del found["network_dns_servers"]
    files.make_directory(directory)
    files.replace_json(f"{directory}/{found['name']}.json", found, durable=True)
    return servers


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
