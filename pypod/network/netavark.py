"""netavark: its command line, its JSON on stdin and its answer (podman-network(1), netavark(1))."""

from __future__ import annotations

import os

from pypod.base import fastjson, files, process
from pypod.base.locks import FileLock
from pypod.errors import NetworkError, reason
from pypod.linux import syscalls
from pypod.network import down, inside, leases
from pypod.network.records import empty_view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from pypod.network.attachments import Attachment
    from pypod.network.records import NetworkRequest

NETNS_FD = 3
# Where podman has it, so that one aardvark-dns serves both.
_ROOT_CONFIG = "/run/containers/networks"


def command(request: NetworkRequest) -> list[str]:
    """The command line up to the verb. Raises NetworkError if netavark is not installed."""
    program = process.find("netavark", request.helper_dirs)
    if program is None:
        raise NetworkError("cannot set up network bridge: netavark is not installed", hint="apt-get install netavark")
    config = f"{request.uplink}/netavark" if request.uplink else _ROOT_CONFIG
    words = [program, "--config", config, f"--rootless={'true' if request.uplink else 'false'}"]
    aardvark = process.find("aardvark-dns", request.helper_dirs)
    if aardvark is not None:
        words.append(f"--aardvark-binary={aardvark}")
    return words


def lock(uplink: str) -> FileLock:
    """One call of netavark at a time: two that make the same bridge would fail. ``uplink`` is "" for root."""
    directory = uplink or leases.DIRECTORY
    files.make_directory(directory)
    return FileLock(directory + "/.lock")


def body(
    request: NetworkRequest, joined: Iterable[tuple[Attachment, Sequence[str]]], dns: Sequence[str] = ()
) -> dict[str, Any]:
    """netavark's request for networks with the addresses that the container has there."""
    networks: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for item, addresses in joined:
        options: dict[str, Any] = {
            "static_ips": list(addresses),
            "aliases": [*item.aliases, request.id[:12]],
            "interface_name": item.interface,
        }
        if item.mac:
            options["static_mac"] = item.mac
        networks[item.name] = options
        definitions[item.name] = _roomy(request, item.definition) if request.uplink else item.definition
    result: dict[str, Any] = {
        "container_id": request.id,
        "container_name": request.name,
        "port_mappings": [dict(port.__dict__) for port in request.ports],
        "networks": networks,
        "network_info": definitions,
    }
    if request.uplink:
        # There the host's addresses are those of the namespace: slirp4netns has bound what was asked for.
        result["port_mappings"] = [dict(port.__dict__, host_ip="") for port in request.ports]
    if dns:
        result["dns_servers"] = list(dns)
    return result


def _roomy(request: NetworkRequest, definition: dict[str, Any]) -> dict[str, Any]:
    """The network with slirp4netns's packet size, if the user chose none.

    It pays for packets: with those of 1500 bytes that bridges have it is five times slower.
    """
    from pypod.network import slirp

    options = {"mtu": str(slirp.options_of(request).mtu), **(definition.get("options") or {})}
    return {**definition, "options": options}


def part(whole: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The same request for some of its networks."""
    wanted = set(names)
    result = dict(whole)
    for key in ("networks", "network_info"):
        result[key] = {name: value for name, value in whole[key].items() if name in wanted}
    return result


def verb(words: Sequence[str], action: str) -> list[str]:
    """The whole command line of ``call``: setup or teardown."""
    return [*words, action, f"/proc/self/fd/{NETNS_FD}"]


def call(
    words: Sequence[str],
    action: str,
    request: Mapping[str, Any],
    *,
    netns: int,
    home: int = -1,
    mounts: int = -1,
    uplink: str = "",
) -> bytes:
    """netavark's answer. ``netns`` is the container's namespace, -1 if it is gone; ``home`` the one of the bridges if
    it is not ours; ``mounts`` the mount namespace for aardvark-dns, which netavark starts and leaves running.

    Raises NetworkError with its complaint.
    """

    def enter() -> list[tuple[int, int]]:
        # Before the namespaces are entered: the links of the stand-in must not be made among the bridges.
        there, back = netns, home
        if there < 0:
            from pypod.network import standin

            if back < 0:
                back = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            there = standin.network_namespace(_links(request))
        if mounts >= 0:
            syscalls.setns(mounts, syscalls.CLONE_NEWNS)
        if uplink:
            _own_resolver(f"{uplink}/resolv.conf")
        if back >= 0:
            syscalls.setns(back, syscalls.CLONE_NEWNET)
        return [(there, NETNS_FD)]

    try:
        files.make_directory(words[words.index("--config") + 1])
        done = inside.run(
            verb(words, action),
            enter,
            input=fastjson.dumps(request).encode(),
            env=_environment(uplink),
        )
    except OSError as error:
        raise NetworkError(f"cannot run {words[0]}: {reason(error)}") from None
    if done.status == 0:
        return done.stdout
    text = done.message or done.stdout.decode("utf-8", "replace").strip()
    try:
        text = str(fastjson.loads(done.stdout)["error"])
    except (fastjson.BadJson, KeyError, TypeError):
        pass
    hint = "apt-get install iptables" if "iptables" in text and "No such file" in text else ""
    raise NetworkError(f"cannot {action} network bridge: netavark: {text}", hint=hint)


def update(words: Sequence[str], network: str, servers: Sequence[str], uplink: str) -> None:
    """Change the name servers that aardvark-dns asks for a network; none: those of the host.

    Raises NetworkError.
    """
    try:
        done = process.run(
            [*words, "update", network, "--network-dns-servers", ",".join(servers)], env=_environment(uplink)
        )
    except OSError as error:
        raise NetworkError(f"cannot run {words[0]}: {reason(error)}") from None
    if done.status:
        text = done.message or done.stdout.decode("utf-8", "replace").strip()
        raise NetworkError(f"cannot update network {network}: netavark: {text}")


def _links(request: Mapping[str, Any]) -> list[str]:
    return [str(options["interface_name"]) for options in request["networks"].values()]


def _environment(uplink: str) -> dict[str, str]:
    env = dict(os.environ)
    if uplink:
        env[down.MARK] = uplink
        env["XTABLES_LOCKFILE"] = f"{uplink}/xtables.lock"
        # The host's firewalld knows nothing of this namespace.
        env["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent"
    return env


def _own_resolver(path: str) -> None:
    """aardvark-dns asks whom resolv.conf names: in the bridges' namespace that is slirp4netns."""
    if not os.path.exists(path):
        return
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", flags=syscalls.MS_SLAVE | syscalls.MS_REC)
    target = os.path.realpath("/etc/resolv.conf")
    if os.path.isfile(target):
        syscalls.mount(path, target, flags=syscalls.MS_BIND)


def views(request: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    """(NetworkSettings.Networks of podman-inspect(1), name servers, search domains) from netavark's answer."""
    shown: dict[str, Any] = {}
    servers: list[str] = []
    search: list[str] = []
    for name in request["networks"]:
        given = answer.get(name) or {}
        servers += given.get("dns_server_ips") or []
        search += given.get("dns_search_domains") or []
        view = empty_view(name)
        view["Aliases"] = request["networks"][name]["aliases"]
        for found in (given.get("interfaces") or {}).values():
            view["MacAddress"] = found.get("mac_address", "")
            for subnet in found.get("subnets") or ():
                address, _, prefix = subnet.get("ipnet", "").partition("/")
                keys = (
                    ("GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway")
                    if ":" in address
                    else ("IPAddress", "IPPrefixLen", "Gateway")
                )
                values = (address, int(prefix or 0), subnet.get("gateway") or "")
                view.update(zip(keys, values, strict=True))
        shown[name] = view
    return shown, list(dict.fromkeys(servers)), list(dict.fromkeys(search))
