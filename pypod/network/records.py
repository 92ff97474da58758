"""What goes into a network driver and what comes out of it: plain data."""

from __future__ import annotations

from pypod.base.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@record
class Port:
    """One published port, or ``range`` of them in a row. ``host_ip`` "" means every address of the host."""

    host_ip: str = ""
    host_port: int
    container_port: int
    range: int = 1
    protocol: str = "tcp"  # tcp, udp, sctp


@record
class NetworkRequest:
    """All that a driver has to know about one container."""

    id: str
    name: str
    hostname: str = ""
    mode: str  # none, host, pasta, slirp4netns, bridge, container, ns
    options: dict[str, list[str]] = {}  # of the mode or of each bridge network ("" is the default one), in order
    ports: list[Port] = []
    static_ip: str = ""
    static_ip6: str = ""
    static_mac: str = ""
    aliases: list[str] = []
    dns: list[str] = []  # "none" alone: leave the image's resolv.conf
    dns_search: list[str] = []
    dns_options: list[str] = []
    add_hosts: list[str] = []  # NAME:ADDRESS
    no_hosts: bool = False
    base_hosts: str = ""  # containers.conf's base_hosts_file: "", "image", "none" or a path
    host_gateway: str = ""  # containers.conf's host_containers_internal_ip
    rootless: bool = False
    rundir: str  # the container's volatile directory: pid files, sockets, hosts, resolv.conf, hostname
    state_dir: str = ""  # where networks/NAME.json are
    config_dir: str = ""  # --network-config-dir
    helper_dirs: list[str] = []  # where netavark and aardvark-dns are looked for
    command: str = ""  # --network-cmd-path: the slirp4netns to run
    command_options: list[str] = []  # containers.conf's defaults for the chosen program
    uplink: str = ""  # the directory of the network namespace that a rootless user's bridges are in
    bare: bool = False  # disconnected from all bridge networks
    mounts: int = -1  # a mount namespace without mounts of containers, for programs that outlive this one


@record
class NetworkStatus:
    """What a set-up network is. Stored in state.json; ``teardown`` needs nothing else."""

    driver: str = ""
    pid: int = 0  # pasta or slirp4netns
    pid_start: int = 0
    relay_pid: int = 0  # our own relay of UDP ports
    relay_start: int = 0
    interface: str = ""
    address: str = ""  # IPv4
    prefix: int = 0
    address6: str = ""
    prefix6: int = 0
    gateway: str = ""
    gateway6: str = ""
    mac: str = ""
    dns: list[str] = []  # name servers that the network offers
    dns_search: list[str] = []
    rundir: str = ""  # where its files are: pid files, logs, netavark's request
    networks: dict[str, Any] = {}  # of a bridge, by name: podman-inspect(1)'s NetworkSettings.Networks
    netavark: dict[str, Any] = {}  # its request, for the way down
    command: list[str] = []  # netavark's command line up to the verb
    leases: list[str] = []  # files in which addresses are noted
    uplink: str = ""  # the directory of a rootless user's bridges
    id: str = ""


def empty_view(name: str) -> dict[str, Any]:
    """One of NetworkSettings.Networks before anything is known of it (podman-inspect(1))."""
    return {
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "MacAddress": "",
        "NetworkID": name,
        "DriverOpts": None,
        "IPAMConfig": None,
        "Links": None,
        "Aliases": [],
    }
