"""Bridge networks, made by netavark: root's on the host, a rootless user's in a namespace apart (uplink.py)."""

from __future__ import annotations

import os

from pypod.base import fastjson, files
from pypod.base.record import replace
from pypod.errors import NetworkError, reason
from pypod.linux import syscalls
from pypod.network import aardvark, attachments, inside, leases, netavark, ports
from pypod.network.records import NetworkRequest, NetworkStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.network.attachments import Attachment
    from pypod.network.steps import Step

_PORTS = "ports"
NOTED, HELD = "netavark.json", "netns"


def prepare(request: NetworkRequest) -> None:
    """See ``pypod.network.prepare``."""
    netavark.command(request)
    attachments.chosen(request)
    if request.uplink:
        from pypod.network import slirp

        slirp.program_of(request)
        slirp.options_of(request)
        ports.ipv4_only(request.ports)
        ports.check(request.ports)
    else:
        ports.check([port for port in request.ports if port.protocol != "sctp"])


def plan(request: NetworkRequest) -> list[Step]:
    """See ``pypod.network.plan``."""
    from pypod.network.steps import Step

    chosen = attachments.chosen(request)
    steps = []
    if request.uplink:
        from pypod.network import slirp, uplink

        if not uplink.connected(request.uplink):
            argv = uplink.command(slirp.program_of(request), slirp.options_of(request))
            steps.append(
                Step(what="start slirp4netns, with the bridges' network namespace as descriptor 3", argv=argv)
            )
    elif request.ports:
        leases.check_ports(leases.path_of(_PORTS, leases.DIRECTORY + "/.host"), _published(request))
    joined = [
        (item, leases.preview(lease_file(request.uplink, item.name), item.definition, item.addresses))
        for item in chosen
    ]
    argv = netavark.verb(netavark.command(request), "setup")
    body = netavark.body(request, joined, servers_for(request, chosen))
    steps.append(
        Step(what="run netavark, with the container's network namespace as descriptor 3", argv=argv, input=body)
    )
    if request.uplink and request.ports:
        outward = [addresses for item, addresses in joined if not item.definition.get("internal")]
        first = [address for addresses in outward for address in addresses if ":" not in address]
        steps += slirp.plan_ports(request.ports, *first[:1])
    return steps


def _published(request: NetworkRequest) -> list[tuple[str, str, int]]:
    return [(protocol, address, port) for protocol, address, port, _ in ports.expand(request.ports)]


def setup(request: NetworkRequest, pid: int) -> NetworkStatus:
    """See ``pypod.network.setup``."""
    ports.keep_descriptors_private()
    status = NetworkStatus(
        driver="bridge",
        id=request.id,
        rundir=request.rundir,
        command=netavark.command(request),
        uplink=request.uplink,
    )
    chosen = attachments.chosen(request)
    netns = open_netns(pid)
    try:
        with netavark.lock(request.uplink):
            return _setup(request, status, chosen, pid, netns)
    except BaseException:
        try:
            teardown(status.__dict__, netns)
        except NetworkError:
            pass  # the first failure is the one to tell
        raise
    finally:
        os.close(netns)


def open_netns(pid: int) -> int:
    """The network namespace of a process. Raises NetworkError."""
    try:
        return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NetworkError(f"cannot set up network bridge: process {pid}: {reason(error)}") from None


def _setup(
    request: NetworkRequest, status: NetworkStatus, chosen: Sequence[Attachment], pid: int, netns: int
) -> NetworkStatus:
    places = [lease_file(request.uplink, item.name) for item in chosen]
    port_file = leases.path_of(_PORTS, leases.DIRECTORY + "/.host")
    status = replace(status, leases=places if request.uplink else [*places, port_file])
    # Should we be killed before the status is stored, the way down finds here what to undo.
    note(status)
    home = -1
    try:
        if request.uplink:
            home = _uplink(request, pid)
        elif request.ports:
            leases.take_ports(port_file, _published(request), request.id, pid)
        joined = [
            (item, leases.take(place, item.definition, request.id, pid, item.addresses))
            for item, place in zip(chosen, places, strict=True)
        ]
        _hold(f"/proc/{pid}/ns/net", f"{request.rundir}/{HELD}")
        status = replace(status, netavark=netavark.body(request, joined, servers_for(request, chosen)))
        note(status)
        status = connect(request, status, status.netavark, netns, home)
        if request.uplink and request.ports:
            status = _publish(request, status, pid, netns)
        return status
    finally:
        if home >= 0:
            os.close(home)


def lease_file(uplink: str, name: str) -> str:
    """Where the addresses of a network are noted."""
    return leases.path_of(name, f"{uplink}/leases" if uplink else "")


def servers_for(request: NetworkRequest, chosen: Sequence[Attachment]) -> list[str]:
    """The name servers that aardvark-dns asks for this container: --dns."""
    return list(request.dns) if any(item.definition.get("dns_enabled") for item in chosen) else []


def note(status: NetworkStatus) -> None:
    files.replace_json(f"{status.rundir}/{NOTED}", status.__dict__)


def open_uplink(request: NetworkRequest) -> int:
    """The namespace of a rootless user's bridges, connected; -1 for root. The caller holds the lock."""
    if not request.uplink:
        return -1
    from pypod.network import slirp, uplink

    return uplink.ensure(request.uplink, slirp.program_of(request), slirp.options_of(request))


def _uplink(request: NetworkRequest, pid: int) -> int:
    from pypod.network import uplink

    uplink.join(request.uplink, request.id, pid, request.rundir)
    home = open_uplink(request)
    _hold(f"/proc/self/fd/{home}", f"{request.rundir}/{uplink.HELD}")
    return home


def _hold(namespace: str, path: str) -> None:
    """Keep a network namespace beyond the process's end: netavark needs it on the way down.

    Mounted in the mount namespace that the container's monitor is in, so it goes with that at the latest.
    """
    try:
        files.replace(path, b"")
        syscalls.mount(namespace, path, "", syscalls.MS_BIND)
    except OSError as error:
        raise NetworkError(f"cannot hold the network namespace: {path}: {reason(error)}") from None


def connect(
    request: NetworkRequest, status: NetworkStatus, body: Mapping[str, Any], netns: int, home: int
) -> NetworkStatus:
    """Let netavark make the networks of ``body``; the status with its answer in it. The caller holds the lock."""
    config = status.command[status.command.index("--config") + 1]
    aardvark.forget_dead(config)
    text = netavark.call(
        status.command, "setup", body, netns=netns, home=home, mounts=request.mounts, uplink=request.uplink
    )
    try:
        answer = fastjson.loads(text)
    except fastjson.BadJson as error:
        raise NetworkError(f"cannot set up network bridge: netavark answered wrongly: {error}") from None
    shown, servers, search = netavark.views(body, answer)
    aardvark.wait(config, servers)
    return summary(
        replace(
            status,
            networks={**status.networks, **shown},
            dns=list(dict.fromkeys([*status.dns, *servers])),
            dns_search=list(dict.fromkeys([*status.dns_search, *search])),
        )
    )


def summary(status: NetworkStatus) -> NetworkStatus:
    """The status with the addresses of its first network as the container's own."""
    first: dict[str, Any] = {"interface": "", "address": "", "prefix": 0, "gateway": "", "mac": ""}
    first.update(address6="", prefix6=0, gateway6="")
    for name, view in status.networks.items():
        first.update(
            interface=status.netavark["networks"][name]["interface_name"],
            mac=view["MacAddress"],
            address=view["IPAddress"],
            prefix=view["IPPrefixLen"],
            gateway=view["Gateway"],
            address6=view["GlobalIPv6Address"],
            prefix6=view["GlobalIPv6PrefixLen"],
            gateway6=view["IPv6Gateway"],
        )
        break
    return replace(status, **first)


def _publish(request: NetworkRequest, status: NetworkStatus, pid: int, netns: int) -> NetworkStatus:
    """Lead ports of the host into the namespace of the bridges, UDP's straight into the container's."""
    lead(request, status)
    udp = [port for port in request.ports if port.protocol == "udp"]
    if udp:
        from pypod.network import relay

        relay_pid, relay_start = relay.start(udp, pid, netns, request.rundir)
        status = replace(status, relay_pid=relay_pid, relay_start=relay_start)
    return status


def lead(request: NetworkRequest, status: NetworkStatus) -> None:
    """Let slirp4netns lead the published TCP ports to the container's first address by which it can answer."""
    from pypod.network import uplink

    internal = [name for name, item in status.netavark["network_info"].items() if item.get("internal")]
    found = [view["IPAddress"] for name, view in status.networks.items() if name not in internal]
    tcp = [port for port in request.ports if port.protocol == "tcp"]
    uplink.publish(request.uplink, request.id, [address for address in found if address], list(ports.expand(tcp)))


def teardown(status: Mapping[str, Any], netns: int = -1) -> None:
    """The firewall's rules, the links and the leases away. ``netns`` is the namespace, if the caller has it."""
    rundir = str(status["rundir"])
    if not status.get("leases"):
        try:
            status = files.read_json(f"{rundir}/{NOTED}")
        except (OSError, fastjson.BadJson):
            return  # nothing had been begun
    place = str(status.get("uplink") or "")
    problem = None
    with netavark.lock(place):
        try:
            _disconnect(status, place, netns)
        except NetworkError as error:
            problem = error
        _release(f"{rundir}/{HELD}")
        for path in status.get("leases") or ():
            leases.release(path, str(status["id"]))
        if place:
            from pypod.network import uplink

            _release(f"{rundir}/{uplink.HELD}")
            uplink.leave(place, str(status["id"]))
    if problem is not None:
        raise problem


def _disconnect(status: Mapping[str, Any], place: str, netns: int) -> None:
    body = status.get("netavark")
    if not body or not body["networks"]:
        return
    home = -1
    if place:
        from pypod.network import uplink

        home = uplink.find(place)
        if home < 0:
            return  # the bridges are gone, and the firewall's rules with them
    own = netns < 0
    try:
        if own:
            netns = inside.open_namespace(f"{status['rundir']}/{HELD}")  # -1 if it is gone with the monitor
        netavark.call(status["command"], "teardown", body, netns=netns, home=home, uplink=place)
    finally:
        for fd in (home, netns if own else -1):
            if fd >= 0:
                os.close(fd)


def _release(path: str) -> None:
    try:
        syscalls.umount(path, syscalls.MNT_DETACH)
    except OSError:
        pass
    try:
        os.unlink(path)
    except OSError:
        pass
