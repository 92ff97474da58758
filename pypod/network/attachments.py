"""Which bridge networks a container joins, and how: from the words of --network to records."""

from __future__ import annotations

from pypod.base.record import record
from pypod.errors import UsageError
from pypod.network import networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.network.records import NetworkRequest


@record
class Attachment:
    """One network of the container, as chosen."""

    definition: dict[str, Any]
    addresses: list[str] = []
    mac: str = ""
    aliases: list[str] = []
    interface: str = ""

    @property
    def name(self) -> str:
        return str(self.definition["name"])


def directory(request: NetworkRequest) -> str:
    """Where the networks are defined."""
    return request.config_dir or request.state_dir + "/networks"


def parse(definition: dict[str, Any], words: Sequence[str]) -> Attachment:
    """ip=, ip6=, mac=, alias= and interface_name= of one network. Raises UsageError."""
    found: dict[str, Any] = {}
    addresses: list[str] = []
    aliases: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if key in ("ip", "ip6") and equals:
            addresses.append(value)
        elif key == "mac" and equals:
            found["mac"] = value
        elif key == "alias" and equals:
            aliases.append(value)
        elif key == "interface_name" and equals:
            found["interface"] = value
        else:
            raise UsageError(f"unknown bridge network option: {word}: invalid argument")
    return Attachment(definition=definition, addresses=addresses, aliases=aliases, **found)


def words(request: NetworkRequest) -> dict[str, list[str]]:
    """The networks by name, with --ip, --ip6, --mac-address and --network-alias as words of theirs."""
    result: dict[str, list[str]] = {}
    if request.bare:
        return result
    for position, (name, own) in enumerate((request.options or {"": []}).items()):
        found = list(own)
        keys = {word.partition("=")[0] for word in own}
        if position == 0:
            for key, value in (("ip", request.static_ip), ("ip6", request.static_ip6), ("mac", request.static_mac)):
                if value and key not in keys:
                    found.append(f"{key}={value}")
        found += [f"alias={alias}" for alias in request.aliases]
        result[name or networks.DEFAULT] = found
    return result


def chosen(request: NetworkRequest) -> list[Attachment]:
    """The networks that the container joins, in order, with the names of its interfaces.

    Raises NotFound, UsageError.
    """
    place = directory(request)
    found = [parse(networks.find(place, name), own) for name, own in words(request).items()]
    taken = [item.interface for item in found if item.interface]
    result = []
    for item in found:
        interface = item.interface or free_interface(taken)
        taken.append(interface)
        result.append(
            Attachment(
                definition=item.definition,
                addresses=item.addresses,
                mac=item.mac,
                aliases=list(dict.fromkeys(item.aliases)),
                interface=interface,
            )
        )
    return result


def free_interface(taken: Sequence[str]) -> str:
    """The first of eth0, eth1, … that is not ``taken``."""
    number = 0
    while f"eth{number}" in taken:
        number += 1
    return f"eth{number}"
