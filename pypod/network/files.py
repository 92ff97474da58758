"""/etc/hosts, /etc/resolv.conf and /etc/hostname of a container: text in, text out, and one writer.

Sources: podman-run(1) --add-host, --dns, --no-hosts; containers.conf(5) base_hosts_file; hosts(5), resolv.conf(5).
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.errors import NetworkError, reason
from pypod.network.records import NetworkRequest, NetworkStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

HOST_NAME = "host.containers.internal"
SYSTEMD_STUB = "127.0.0.53"
SYSTEMD_UPSTREAM = "/run/systemd/resolve/resolv.conf"
# Who asks this address is answered by pasta from the host's first name server (pasta(1) --dns-forward).
PASTA_DNS = "169.254.1.1"
# For a container that could reach none of the host's servers; podman's choice, too.
EXTERNAL_DNS = ("8.8.8.8", "8.8.4.4")


def parse_hosts(text: str) -> list[tuple[str, list[str]]]:
    """(address, names) of each line of a hosts file that has both."""
    result = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) >= 2:
            result.append((words[0], words[1:]))
    return result


def hosts(
    *,
    base: str = "",
    extra: Sequence[str] = (),
    own: Iterable[tuple[str, Sequence[str]]] = (),
    host_address: str = "",
) -> str:
    """A hosts file: --add-host's ``extra`` (NAME[;NAME]:ADDRESS), the ``base`` file without the names given there,
    the host, the container's ``own`` addresses, and localhost if nobody has named it.

    Raises NetworkError if host-gateway is asked for where the host has no address for the container.
    """
    entries: list[tuple[str, list[str]]] = []
    taken: set[str] = set()
    for item in extra:
        names_text, _, address = item.partition(":")
        if address == "host-gateway":
            if not host_address:
                raise NetworkError(
                    f'cannot add host "{item}": this network has no address by which the host can be reached',
                    hint="use slirp4netns or a bridge, or give the address",
                )
            address = host_address
        names = [name for name in names_text.split(";") if name]
        entries.append((address.strip("[]"), names))
        taken.update(names)
    for address, found in parse_hosts(base):
        names = [name for name in found if name not in taken]
        if names:
            entries.append((address, names))
    taken.update(name for _, names in entries for name in names)
    if host_address and HOST_NAME not in taken:
        entries.append((host_address, [HOST_NAME]))
    for address, own_names in own:
        if address:
            entries.append((address, [name for name in dict.fromkeys(own_names) if name]))
    lines = [f"{address}\t{' '.join(names)}\n" for address, names in entries]
    if "localhost" not in taken:
        lines += ["127.0.0.1\tlocalhost\n", "::1\tlocalhost\n"]
    return "".join(lines)


def is_loopback(server: str) -> bool:
    return server.startswith("127.") or server in ("::1", "0.0.0.0", "::")


def parse_resolv(text: str) -> tuple[list[str], list[str], list[str]]:
    """(name servers, search domains, options) of a resolv.conf."""
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver" and len(words) > 1:
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = words[1:]  # the last one counts: resolv.conf(5)
        elif words[0] == "options":
            options += words[1:]
    return servers, search, options


def resolv(
    *,
    host: str = "",
    servers: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
    network_servers: Sequence[str] = (),
    network_search: Sequence[str] = (),
    own_loopback: bool = True,
    ipv6: bool = True,
    complete: bool = False,
) -> str:
    """A resolv.conf.

    ``servers``, ``search``, ``options`` are the flags', each replacing what the host's file has; a search of "."
    means none. ``network_servers`` come first. With ``own_loopback`` the container's loopback is not the host's, so
    the host's servers that listen there are left out; if none is left, public ones take their place. ``complete``:
    the network's servers answer for all names, and nobody else knows those of containers.
    """
    host_servers, host_search, host_options = parse_resolv(host)
    if complete:
        host_servers = []
    if own_loopback:
        host_servers = [server for server in host_servers if not is_loopback(server)]
    if not ipv6:
        host_servers = [server for server in host_servers if ":" not in server]
    lines = []
    domains = list(search) if search else [*network_search, *host_search]
    domains = [domain for domain in dict.fromkeys(domains) if domain != "."]
    if domains:
        lines.append(f"search {' '.join(domains)}\n")
    chosen_servers = list(servers) or [*network_servers, *host_servers]
    if own_loopback and not chosen_servers:
        chosen_servers = list(EXTERNAL_DNS)
    for server in dict.fromkeys(chosen_servers):
        lines.append(f"nameserver {server}\n")
    chosen = list(options or host_options)
    if chosen:
        lines.append(f"options {' '.join(chosen)}\n")
    return "".join(lines)


def host_resolv() -> str:
    """The host's resolv.conf; behind systemd-resolved's stub the one with the servers that it asks."""
    try:
        text = files.read("/etc/resolv.conf").decode("utf-8", "replace")
    except OSError:
        return ""
    if parse_resolv(text)[0] == [SYSTEMD_STUB]:
        try:
            upstream = files.read(SYSTEMD_UPSTREAM).decode("utf-8", "replace")
        except OSError:
            return text
        # Search domains and options are in both.
        return upstream
    return text


def needs_forwarded_dns(request: NetworkRequest) -> bool:
    """Whether the host's name servers can only be reached through its loopback."""
    if request.dns:
        return False
    servers = parse_resolv(host_resolv())[0]
    return bool(servers) and all(is_loopback(server) for server in servers)


def _base_hosts(request: NetworkRequest) -> str:
    path = request.base_hosts or "/etc/hosts"
    if path in ("none", "image"):
        return ""
    try:
        return files.read(path).decode("utf-8", "replace")
    except OSError as error:
        if not request.base_hosts:
            return ""
        raise NetworkError(f"cannot read base_hosts_file {path}: {reason(error)}") from None


def _host_address(request: NetworkRequest, status: NetworkStatus | None) -> str:
    """By which address the container reaches the host; "" if by none."""
    if request.host_gateway:
        return "" if request.host_gateway == "none" else request.host_gateway
    if status is not None:
        if request.mode == "bridge" and not request.uplink:
            return status.gateway
        if request.mode == "slirp4netns" and "allow_host_loopback=true" in request.options.get("slirp4netns", ()):
            return status.gateway
    from pypod.network import inspect

    found = str(inspect.addresses().get("address", ""))
    # pasta gives the container the host's own address: by that it reaches only itself.
    return "" if status is not None and found == status.address else found


def _network_servers(request: NetworkRequest, status: NetworkStatus | None) -> Sequence[str]:
    if status is None or status.dns or not request.uplink:
        return status.dns if status is not None else ()
    # A rootless user's bridge without names: whom the host asks, slirp4netns knows.
    from pypod.network import slirp

    return [str(slirp.addresses_of(slirp.options_of(request).cidr)["dns"])]


def write(request: NetworkRequest, status: NetworkStatus | None) -> None:
    """Fill those of hosts, resolv.conf and hostname that are in the container's run directory.

    In place: they are mounted into the container by now. Raises NetworkError.
    """
    if request.mode == "container":
        return
    names = [request.hostname, request.name]
    if request.mode == "host":
        own: list[tuple[str, list[str]]] = []
    elif status is None:
        own = [("127.0.0.1", names)]
    else:
        names += request.aliases if request.mode == "bridge" else []
        own = [(status.address, names), (status.address6, names)]
        for view in list(status.networks.values())[1:]:
            own += [(view["IPAddress"], names), (view["GlobalIPv6Address"], names)]
    _fill(f"{request.rundir}/hostname", request.hostname + "\n" if request.hostname else "")
    if not request.no_hosts:
        text = hosts(
            base=_base_hosts(request),
            extra=request.add_hosts,
            own=own,
            host_address=_host_address(request, status),
        )
        _fill(f"{request.rundir}/hosts", text)
    if request.dns != ["none"] and request.mode != "none":
        _write_resolv(request, status)


def _write_resolv(request: NetworkRequest, status: NetworkStatus | None) -> None:
    named = request.mode == "bridge" and status is not None and bool(status.dns)
    text = resolv(
        host=host_resolv(),
        servers=() if named else request.dns,  # aardvark-dns has been told to ask these
        search=request.dns_search,
        options=request.dns_options,
        network_servers=_network_servers(request, status),
        network_search=status.dns_search if status is not None else (),
        own_loopback=request.mode != "host",
        complete=named,
    )
    _fill(f"{request.rundir}/resolv.conf", text)


def amend(
    request: NetworkRequest, status: NetworkStatus, gone: Collection[str], own: Sequence[tuple[str, Sequence[str]]]
) -> None:
    """Change the files of a running container: in hosts the lines of the addresses ``gone`` for those of ``own``."""
    path = f"{request.rundir}/hosts"
    if not request.no_hosts and os.path.exists(path):
        lines = files.read(path).decode("utf-8", "surrogateescape").splitlines()
        kept = [line for line in lines if line.split("\t")[0] not in gone]
        kept += [f"{address}\t{' '.join(dict.fromkeys(filter(None, names)))}" for address, names in own]
        _fill(path, "".join(f"{line}\n" for line in kept))
    if request.dns != ["none"]:
        _write_resolv(request, status)


def _fill(path: str, text: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return  # not given to this container
    except OSError as error:
        raise NetworkError(f"cannot write {path}: {reason(error)}") from None
    try:
        files.write_all(fd, text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise NetworkError(f"cannot write {path}: {reason(error)}") from None
    finally:
        os.close(fd)
