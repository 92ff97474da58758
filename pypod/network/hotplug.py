"""Networks that come to a running container and leave it, and those that are made anew.

Each function gets the container's stored status, gives the changed one, and calls ``save`` with what has to be on
disk before netavark is called: by it the way down undoes a change that was killed half-way.
"""

from __future__ import annotations

import os

from pypod.base.record import replace
from pypod.errors import NetworkError
from pypod.network import attachments, bridge, files, leases, netavark
from pypod.network.records import NetworkRequest, NetworkStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Save = Callable[[NetworkStatus], object]


def connect(request: NetworkRequest, status: NetworkStatus, pid: int, name: str, save: Save) -> NetworkStatus:
    """Join network ``name``, whose words are in ``request``. Raises NetworkError; then all is as it was."""
    item = next(found for found in attachments.chosen(request) if found.name == name)
    place = bridge.lease_file(request.uplink, name)
    netns = bridge.open_netns(pid)
    home = -1
    try:
        with netavark.lock(request.uplink):
            home = bridge.open_uplink(request)
            if name in (status.netavark.get("networks") or {}):
                status = _take_off(status, name, place, netns, home)  # who made it was killed at that
            before = status
            try:
                addresses = leases.take(place, item.definition, request.id, pid, item.addresses)
                body = netavark.body(request, [(item, addresses)], bridge.servers_for(request, [item]))
                status = replace(
                    status,
                    leases=list(dict.fromkeys([*status.leases, place])),
                    netavark=_merged(status.netavark, body),
                    command=status.command or netavark.command(request),
                )
                bridge.note(status)
                save(status)
                status = bridge.connect(request, status, body, netns, home)
                if request.uplink and request.ports:
                    bridge.lead(request, status)
            except BaseException:
                _undo(before, status, name, place, netns, home)
                bridge.note(before)
                save(before)
                raise
    finally:
        _close(netns, home)
    bridge.note(status)
    save(status)
    _names(request, before, status)
    return status


def _undo(before: NetworkStatus, status: NetworkStatus, name: str, place: str, netns: int, home: int) -> None:
    if name in (status.netavark.get("networks") or {}):
        _take_off(status, name, place, netns, home)
    elif place not in before.leases:
        leases.release(place, status.id)


def _take_off(status: NetworkStatus, name: str, place: str, netns: int, home: int) -> NetworkStatus:
    """Whatever there is of the network goes. The status without it."""
    body = netavark.part(status.netavark, [name])
    try:
        netavark.call(status.command, "teardown", body, netns=netns, home=home, uplink=status.uplink)
    except NetworkError:
        pass  # not all of it was there
    leases.release(place, status.id)
    rest = netavark.part(status.netavark, [other for other in status.netavark["networks"] if other != name])
    return replace(status, netavark=rest, leases=[path for path in status.leases if path != place])


def _merged(whole: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    result = {**whole, **body}
    for key in ("networks", "network_info"):
        result[key] = {**(whole.get(key) or {}), **body[key]}
    return result


def disconnect(request: NetworkRequest, status: NetworkStatus, pid: int, name: str, save: Save) -> NetworkStatus:
    """Leave network ``name``. Raises NetworkError for what netavark could not undo; it is left all the same."""
    place = bridge.lease_file(request.uplink, name)
    before = status
    problem = None
    netns = bridge.open_netns(pid)
    home = -1
    try:
        with netavark.lock(request.uplink):
            home = bridge.open_uplink(request)
            try:
                body = netavark.part(status.netavark, [name])
                netavark.call(status.command, "teardown", body, netns=netns, home=home, uplink=status.uplink)
            except NetworkError as error:
                problem = error if name in status.networks else None  # else it was never whole
            leases.release(place, status.id)
            left = [other for other in status.netavark["networks"] if other != name]
            rest = netavark.part(status.netavark, left)
            named = [item for item in rest["network_info"].values() if item.get("dns_enabled")]
            servers = [subnet["gateway"] for item in named for subnet in item["subnets"] if subnet.get("gateway")]
            status = bridge.summary(
                replace(
                    status,
                    netavark=rest,
                    networks={key: value for key, value in status.networks.items() if key != name},
                    leases=[path for path in status.leases if path != place],
                    dns=servers,
                    dns_search=status.dns_search if servers else [],
                )
            )
            bridge.note(status)
            save(status)
            if request.uplink and request.ports:
                bridge.lead(request, status)
    finally:
        _close(netns, home)
    _names(request, before, status)
    if problem is not None:
        raise problem
    return status


def reload(request: NetworkRequest, status: NetworkStatus, pid: int, save: Save) -> NetworkStatus:
    """Make links, rules and names anew, with the addresses that the container has. Raises NetworkError."""
    netns = bridge.open_netns(pid)
    home = -1
    try:
        with netavark.lock(request.uplink):
            home = bridge.open_uplink(request)
            body = {**status.netavark, "networks": {}}
            for name, options in status.netavark["networks"].items():
                mac = status.networks.get(name, {}).get("MacAddress")
                body["networks"][name] = {**options, "static_mac": mac} if mac else options
            try:
                netavark.call(status.command, "teardown", body, netns=netns, home=home, uplink=status.uplink)
            except NetworkError:
                pass  # that something is missing is why one reloads
            status = bridge.connect(request, status, body, netns, home)
            if request.uplink and request.ports:
                bridge.lead(request, status)
    finally:
        _close(netns, home)
    save(status)
    return status


def tell_servers(request: NetworkRequest, name: str, servers: list[str]) -> None:
    """Tell a running aardvark-dns whom to ask for the other names of a network. Raises NetworkError."""
    from pypod.network import aardvark

    words = netavark.command(request)
    with netavark.lock(request.uplink):
        if not aardvark.pid(words[words.index("--config") + 1]):
            return
        netavark.update(words, name, servers, request.uplink)


def _names(request: NetworkRequest, before: NetworkStatus, status: NetworkStatus) -> None:
    """The name files of the container, in which others may have written meanwhile."""
    names = [request.hostname, request.name, *request.aliases]
    gone = {address for view in before.networks.values() for address in _addresses(view)}
    own = [(address, names) for view in status.networks.values() for address in _addresses(view)]
    files.amend(request, status, gone, own)


def _addresses(view: dict[str, Any]) -> list[str]:
    return [view[key] for key in ("IPAddress", "GlobalIPv6Address") if view[key]]


def _close(*descriptors: int) -> None:
    for fd in descriptors:
        if fd >= 0:
            os.close(fd)
