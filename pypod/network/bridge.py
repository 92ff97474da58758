"""Bridge networks, made by netavark: its JSON on stdin, its JSON back (podman-network(1), netavark(1))."""

from __future__ import annotations

import os

from pypod.base import fastjson, files, process
from pypod.base.record import record, replace
from pypod.errors import NetworkError, UsageError, reason
from pypod.linux import syscalls
from pypod.network import leases, networks, ports
from pypod.network.records import NetworkRequest, NetworkStatus, empty_view

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_NETNS_FD = 3
# Where podman has it, so that one aardvark-dns serves both.
_CONFIG = "/run/containers/networks"
_PORTS = "ports"
_NOTED, _HELD = "netavark.json", "netns"


@record
class Attachment:
    """One network of the container, as chosen."""

    definition: dict[str, Any]
    address: str = ""
    mac: str = ""
    aliases: list[str] = []
    interface: str = ""


def _command(request: NetworkRequest) -> list[str]:
    netavark = process.find("netavark", request.helper_dirs)
    if netavark is None:
        raise NetworkError("cannot set up network bridge: netavark is not installed", hint="apt-get install netavark")
    words = [netavark, "--config", _CONFIG, "--rootless=false"]
    aardvark = process.find("aardvark-dns", request.helper_dirs)
    if aardvark is not None:
        words.append(f"--aardvark-binary={aardvark}")
    return words


def directory(request: NetworkRequest) -> str:
    return request.config_dir or request.state_dir + "/networks"


def attachments(request: NetworkRequest) -> list[Attachment]:
    """The networks that the container joins, in order. Raises NotFound, UsageError."""
    result = []
    chosen = request.options or {"": []}
    for position, (name, words) in enumerate(chosen.items()):
        found: dict[str, Any] = {"definition": networks.find(directory(request), name or networks.DEFAULT)}
        aliases = [] if position else list(request.aliases)
        for word in words:
            key, equals, value = word.partition("=")
            if key in ("ip", "ip6") and equals:
                found["address"] = value
            elif key == "mac" and equals:
                found["mac"] = value
            elif key == "alias" and equals:
                aliases.append(value)
            elif key == "interface_name" and equals:
                found["interface"] = value
            else:
                raise UsageError(f"unknown bridge network option: {word}: invalid argument")
        if position == 0:
            found.setdefault("address", request.static_ip)
            found.setdefault("mac", request.static_mac)
        result.append(Attachment(aliases=aliases, **found))
    return result


def prepare(request: NetworkRequest) -> None:
    """See ``pypod.network.prepare``."""
    if request.rootless:
        raise NetworkError(
            "cannot set up network bridge: bridge networks of rootless users are not supported yet",
            hint="use --network pasta or slirp4netns",
        )
    _command(request)
    attachments(request)
    ports.check([port for port in request.ports if port.protocol != "sctp"])


def setup(request: NetworkRequest, pid: int) -> NetworkStatus:
    """See ``pypod.network.setup``."""
    command = _command(request)
    chosen = attachments(request)
    ports.keep_descriptors_private()
    lease_files = [leases.path_of(item.definition["name"]) for item in chosen]
    port_file = leases.path_of(_PORTS, leases.DIRECTORY + "/.host")
    status = NetworkStatus(
        driver="bridge",
        id=request.id,
        rundir=request.rundir,
        command=command,
        leases=[*lease_files, port_file],
    )
    # Should we be killed before the status is stored, the way down finds here what to undo.
    noted = f"{request.rundir}/{_NOTED}"
    files.replace_json(noted, status.__dict__)
    try:
        netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NetworkError(f"cannot set up network bridge: process {pid}: {reason(error)}") from None
    try:
        published = [(protocol, address, port) for protocol, address, port, _ in ports.expand(request.ports)]
        if published:
            leases.take_ports(port_file, published, request.id, pid)
        body = _netavark_request(request, chosen, lease_files, pid)
        _hold(pid, f"{request.rundir}/{_HELD}")
        status = replace(status, netavark=body)
        files.replace_json(noted, status.__dict__)
        try:
            answer = fastjson.loads(_call(command, "setup", netns, body))
        except fastjson.BadJson as error:
            raise NetworkError(f"cannot set up network bridge: netavark answered wrongly: {error}") from None
        return _finished(status, chosen, answer)
    except BaseException:
        try:
            teardown(status.__dict__, netns)
        except NetworkError:
            pass  # the first failure is the one to tell
        raise
    finally:
        os.close(netns)


def _netavark_request(
    request: NetworkRequest, chosen: Sequence[Attachment], lease_files: Sequence[str], pid: int
) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for position, (item, path) in enumerate(zip(chosen, lease_files, strict=True)):
        name = item.definition["name"]
        options: dict[str, Any] = {
            "static_ips": leases.take(path, item.definition, request.id, pid, item.address),
            "aliases": [*item.aliases, request.id[:12]],
            "interface_name": item.interface or f"eth{position}",
        }
        if item.mac:
            options["static_mac"] = item.mac
        joined[name] = options
        definitions[name] = item.definition
    return {
        "container_id": request.id,
        "container_name": request.name,
        "port_mappings": [dict(port.__dict__) for port in request.ports],
        "networks": joined,
        "network_info": definitions,
    }


def _hold(pid: int, path: str) -> None:
    """Keep the network namespace beyond the process's end: netavark needs it on the way down.

    Mounted in the mount namespace that the container's monitor is in, so it goes with that at the latest.
    """
    try:
        files.replace(path, b"")
        syscalls.mount(f"/proc/{pid}/ns/net", path, "", syscalls.MS_BIND)
    except OSError as error:
        raise NetworkError(f"cannot hold the network namespace: {path}: {reason(error)}") from None


def _call(command: Sequence[str], verb: str, netns: int, body: dict[str, Any]) -> bytes:
    """netavark's answer. Raises NetworkError with its complaint."""
    try:
        files.make_directory(_CONFIG)
        done = process.run(
            [*command, verb, f"/proc/self/fd/{_NETNS_FD}"],
            input=fastjson.dumps(body).encode(),
            keep=[(netns, _NETNS_FD)],
        )
    except OSError as error:
        raise NetworkError(f"cannot run {command[0]}: {reason(error)}") from None
    if done.status == 0:
        return done.stdout
    text = done.message or done.stdout.decode("utf-8", "replace").strip()
    try:
        text = str(fastjson.loads(done.stdout)["error"])
    except (fastjson.BadJson, KeyError, TypeError):
        pass
    hint = "apt-get install iptables" if "iptables" in text and "No such file" in text else ""
    raise NetworkError(f"cannot {verb} network bridge: netavark: {text}", hint=hint)


def _finished(status: NetworkStatus, chosen: Sequence[Attachment], answer: Mapping[str, Any]) -> NetworkStatus:
    """The status with netavark's answer in it."""
    shown: dict[str, Any] = {}
    servers: list[str] = []
    search: list[str] = []
    first: dict[str, Any] = {}
    for item in chosen:
        name = item.definition["name"]
        given = answer.get(name) or {}
        servers += given.get("dns_server_ips") or []
        search += given.get("dns_search_domains") or []
        view = empty_view(name)
        view["Aliases"] = status.netavark["networks"][name]["aliases"]
        for interface, found in (given.get("interfaces") or {}).items():
            view["MacAddress"] = found.get("mac_address", "")
            first.setdefault("interface", interface)
            first.setdefault("mac", view["MacAddress"])
            for subnet in found.get("subnets") or ():
                address, _, prefix = subnet.get("ipnet", "").partition("/")
                keys = (
                    ("GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway")
                    if ":" in address
                    else ("IPAddress", "IPPrefixLen", "Gateway")
                )
                mine = ("address6", "prefix6", "gateway6") if ":" in address else ("address", "prefix", "gateway")
                values = (address, int(prefix or 0), subnet.get("gateway") or "")
                for key, own, value in zip(keys, mine, values, strict=True):
                    view[key] = value
                    first.setdefault(own, value)
        shown[name] = view
    return replace(status, networks=shown, dns=servers, dns_search=search, **first)


def teardown(status: Mapping[str, Any], netns: int = -1) -> None:
    """The firewall's rules, the link and the leases away. ``netns`` is the namespace, if the caller has it."""
    if "leases" not in status:
        try:
            status = files.read_json(f"{status['rundir']}/{_NOTED}")
        except (OSError, fastjson.BadJson):
            return  # nothing had been begun
    held = f"{status['rundir']}/{_HELD}"
    problem = None
    if status.get("netavark"):
        fd, own = (netns, False) if netns >= 0 else (_open_held(held), True)
        try:
            _call(status["command"], "teardown", fd, status["netavark"])
        except NetworkError as error:
            problem = error
        finally:
            if own:
                os.close(fd)
    try:
        syscalls.umount(held, syscalls.MNT_DETACH)
    except OSError:
        pass
    try:
        os.unlink(held)
    except OSError:
        pass
    for path in status.get("leases") or ():
        leases.release(path, str(status["id"]))
    if problem is not None:
        raise problem


def _open_held(path: str) -> int:
    """The namespace that ``_hold`` keeps; if it is gone with the monitor, an empty one that looks like it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if os.readlink(f"/proc/self/fd/{fd}").startswith("net:["):
            return fd
        os.close(fd)
    except OSError:
        pass
    from pypod.network import standin

    return standin.network_namespace()
