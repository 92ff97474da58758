"""The flags of the network commands. The shape is in ``options``."""

from __future__ import annotations

from pypod.cli.options import FORMAT

CREATE = (
    ("disable-dns", "bool", False, "", "No name server on the network"),
    ("dns", "array", (), "ADDRESS", "A name server that the network's own asks"),
    ("driver d", "str", "bridge", "DRIVER", "The network's driver: bridge or macvlan"),
    ("gateway", "list", (), "ADDRESS", "The address of the host on the network, one per subnet"),
    ("ignore", "bool", False, "", "A network that exists already is no error"),
    ("interface-name", "str", None, "NAME", "The name of the bridge on the host"),
    ("internal", "bool", False, "", "No way out of the network"),
    ("ip-range", "array", (), "NETWORK", "Give containers addresses of this part of the subnet, one per subnet"),
    ("ipam-driver", "str", None, "DRIVER", "Who gives addresses: host-local or none"),
    ("ipv6", "bool", False, "", "An IPv6 subnet, too"),
    ("label", "array", (), "KEY[=VALUE]", "Label the network"),
    ("opt o", "array", (), "KEY=VALUE", "Option of the driver: mtu, vlan, metric, isolate, parent, mode"),
    ("route", "array", (), "ROUTE", "A route that containers get: DESTINATION,GATEWAY[,METRIC]"),
    ("subnet", "array", (), "NETWORK", "A subnet, ADDRESS/PREFIX"),
)
LS = (
    ("filter f", "array", (), "KEY=VALUE", "Only networks that this describes"),
    ("format", "str", None, "FORMAT", "json, or a Go template; table TEMPLATE adds headings"),
    ("no-trunc", "bool", False, "", "Show IDs in full"),
    ("noheading n", "bool", False, "", "No headings"),
    ("quiet q", "bool", False, "", "Only the names"),
)
RM = (
    ("force f", "bool", False, "", "Remove the containers that are on it too"),
    ("time t", "uint", None, "SECONDS", "Wait this long before killing those containers (default 10)"),
)
INSPECT = FORMAT
PRUNE = (
    ("filter", "array", (), "KEY=VALUE", "Only networks that this describes: label, label!, until"),
    ("force f", "bool", False, "", "Do not ask"),
)
CONNECT = (
    ("alias", "list", (), "NAME", "Another name of the container on the network"),
    ("ip", "str", None, "ADDRESS", "The IPv4 address that it gets"),
    ("ip6", "str", None, "ADDRESS", "The IPv6 address that it gets"),
    ("mac-address", "str", None, "MAC", "The MAC address that it gets"),
)
DISCONNECT = (("force f", "bool", False, "", "Whatever the state of the container"),)
RELOAD = (
    ("all a", "bool", False, "", "Every container that runs"),
    ("latest l", "bool", False, "", "The container that was created last"),
)
UPDATE = (
    ("dns-add", "list", (), "ADDRESS", "Ask this name server, too"),
    ("dns-drop", "list", (), "ADDRESS", "Ask this name server no more"),
)
