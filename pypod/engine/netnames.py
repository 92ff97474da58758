"""--dns, --add-host, --ip and their like: checked, as fields of the configuration."""

from __future__ import annotations

from pypod.engine import addresses
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.engine.config import Namespace


def parse(options: Mapping[str, Any], settings: Mapping[str, Any], network: Namespace) -> dict[str, Any]:
    """dns, dns_search, dns_options, add_hosts, no_hosts, static_ip, static_ip6, static_mac, network_aliases.

    Raises UsageError.
    """
    dns = list(options.get("dns") or ())
    search = list(options.get("dns_search") or ())
    choices = list(options.get("dns_option") or ())
    given = {"dns": dns, "dns-search": search, "dns-option": choices}
    for flag, values in given.items():
        if values and network.mode in ("none", "container"):
            raise UsageError(f"conflicting options: {flag} and the network mode: {network.mode}")
    for address in dns:
        if address != "none" and not addresses.is_address(address):
            raise UsageError(f"{address} is not an ip address")
    if "none" in dns and (len(dns) > 1 or search or choices):
        raise UsageError("cannot specify other DNS options with --dns=none")
    if not dns:
        dns = list(settings.get("dns_servers") or ())
    if not search:
        search = list(settings.get("dns_searches") or ())
    if not choices:
        choices = list(settings.get("dns_options") or ())
    hosts = list(options.get("add_host") or ())
    no_hosts = bool(options.get("no_hosts"))
    if hosts and no_hosts:
        raise UsageError("--no-hosts and --add-host cannot be set together")
    if hosts and network.mode == "container":
        raise UsageError("cannot set extra host entries when the network is another container's")
    for entry in hosts:
        name, colon, address = entry.partition(":")
        if not colon or not name or (address != "host-gateway" and not addresses.is_address(address.strip("[]"))):
            raise UsageError(
                f'invalid IP address in add-host: "{address}"' if colon else f'bad format for add-host: "{entry}"'
            )
    file = options.get("hosts_file")
    if file and file != "none":
        raise UsageError("--hosts-file is not supported yet")
    return {
        "dns": dns,
        "dns_search": search,
        "dns_options": choices,
        "add_hosts": hosts,
        "no_hosts": no_hosts or settings.get("no_hosts") is True,
        **_fixed(options, network),
    }


def _fixed(options: Mapping[str, Any], network: Namespace) -> dict[str, Any]:
    ip, ip6 = options.get("ip") or "", options.get("ip6") or ""
    mac = options.get("mac_address") or ""
    aliases = list(options.get("network_alias") or ())
    if ip and not addresses.is_ipv4(ip):
        raise UsageError(f"{ip} is not an ip address")
    if ip6 and (":" not in ip6 or not addresses.is_address(ip6)):
        raise UsageError(f"{ip6} is not an ip address")
    if mac and not addresses.is_mac(mac):
        raise UsageError(f"address {mac}: invalid MAC address")
    joined = network.mode in ("host", "none", "container", "ns")
    for flag, value in (("ip", ip), ("ip6", ip6), ("mac-address", mac), ("network-alias", aliases)):
        if value and joined:
            raise UsageError(f"--{flag} can only be set when the network mode is bridge or pasta: invalid argument")
    return {"static_ip": ip, "static_ip6": ip6, "static_mac": mac.replace("-", ":"), "network_aliases": aliases}
