""".network files: a network, made by a service that is then active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pypod.systemd import quadlet_keys, quadlet_unit
from pypod.systemd import quadlet_model as model
from pypod.systemd.quadlet_keys import OWN
from pypod.systemd.quadlet_references import Needs, resource

if TYPE_CHECKING:
    from pypod.systemd.quadlet_keys import Table
    from pypod.systemd.quadlet_model import Setting, Source
    from pypod.systemd.quadlet_references import Sources

KEYS: Table = {
    "NetworkName": OWN,
    "NetworkDeleteOnStop": OWN,
    "Subnet": OWN,
    "Gateway": OWN,
    "IPRange": OWN,
    "DisableDNS": ("bool", "--disable-dns", ""),
    "DNS": ("lines", "--dns", ""),
    "Driver": ("value", "--driver", ""),
    "InterfaceName": ("value", "--interface-name", ""),
    "Internal": ("bool", "--internal", ""),
    "IPAMDriver": ("value", "--ipam-driver", ""),
    "IPv6": ("bool", "--ipv6", ""),
    "Label": ("pairs", "--label", ""),
    "Options": ("words", "--opt", ""),
}


def convert(source: Source, sources: Sources, setting: Setting) -> model.Service:
    """The service. What is wrong is noted in ``source``; then the service is of no use."""
    name = source.value("NetworkName") or resource(source)
    words = ["network", "create", "--ignore", *quadlet_keys.flags(source, KEYS), *_subnets(source)]
    words += quadlet_keys.words(source, "PodmanArgs")
    before = quadlet_keys.before(source)
    settings = quadlet_unit.oneshot(source, model.command(setting, [*words, name], before))
    if source.flag("NetworkDeleteOnStop", False):
        settings.append(("ExecStopPost", model.command(setting, ["network", "rm", name], before)))
    return quadlet_unit.service(source, sources, setting, Needs(), settings)


def _subnets(source: Source) -> list[str]:
    """Subnets, each with the gateway and the range that have its place in their lists."""
    subnets = quadlet_keys.lines(source, "Subnet")
    words: list[str] = []
    for key in ("Gateway", "IPRange"):
        given = quadlet_keys.lines(source, key)
        if len(given) > len(subnets):
            source.bad(given[len(subnets)][0], "needs a Subnet= of its own")
    for flag, key in (("--subnet", "Subnet"), ("--gateway", "Gateway"), ("--ip-range", "IPRange")):
        words += [word for _, value in quadlet_keys.lines(source, key) for word in (flag, value)]
    return words
