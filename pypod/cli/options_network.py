"""The flags of the network commands. The shape is in ``options``."""

from __future__ import annotations

from pypod.cli.options import FORMAT

CREATE = (
    ("disable-dns", "bool", False, "", "No name server on the network"),
    ("driver d", "str", "bridge", "DRIVER", "The network's driver"),
    ("gateway", "str", None, "ADDRESS", "The address of the host on the network"),
    ("ignore", "bool", False, "", "A network that exists already is no error"),
    ("interface-name", "str", None, "NAME", "The name of the bridge on the host"),
    ("internal", "bool", False, "", "No way out of the network"),
    ("ip-range", "str", None, "NETWORK", "Give containers addresses of this part of the subnet"),
    ("label", "array", (), "KEY[=VALUE]", "Label the network"),
    ("opt o", "array", (), "KEY=VALUE", "Option of the driver: mtu, vlan, metric, isolate"),
    ("subnet", "str", None, "NETWORK", "The subnet, ADDRESS/PREFIX"),
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
PRUNE = (("force f", "bool", False, "", "Do not ask"),)
