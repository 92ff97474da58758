"""All Quadlet files of one run become services. A file with a fatal problem becomes none, the others do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pypod.systemd import (
    quadlet_build,
    quadlet_container,
    quadlet_image,
    quadlet_keys,
    quadlet_kube,
    quadlet_network,
    quadlet_pod,
    quadlet_volume,
    unit_name,
)
from pypod.systemd.quadlet_references import Sources
from pypod.systemd.quoting import Unrepresentable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pypod.systemd.quadlet_model import Service, Setting, Source
    from pypod.systemd.quadlet_references import Target

_KINDS = {
    "container": quadlet_container,
    "volume": quadlet_volume,
    "network": quadlet_network,
    "kube": quadlet_kube,
    "image": quadlet_image,
    "build": quadlet_build,
}
# What a kind of unit runs, where that may not be there.
_COMMANDS = {"kube": "kube play", "build": "build"}
TABLES = {"pod": quadlet_pod.KEYS, **{kind: module.KEYS for kind, module in _KINDS.items()}}


def convert(sources: Mapping[str, Source], setting: Setting) -> dict[str, Service]:
    """The services by the names of the files. What is wrong is noted in the sources."""
    known = Sources(sources)
    found: dict[str, Service] = {}
    makers: dict[str, Source] = {}
    members: dict[str, list[str]] = {}
    for filename in sorted(
        sources, key=lambda name: (name.endswith(".pod"), name)
    ):  # pods last: they name the others
        source = sources[filename]
        quadlet_keys.check(source, TABLES[source.kind])
        command = _COMMANDS.get(source.kind, "")
        if command and command not in setting.commands:
            source.bad(None, f"a .{source.kind} file needs `pypod {command}`, which this pypod does not have")
        try:
            if source.kind == "pod":
                service = quadlet_pod.convert(source, known, setting, members.get(filename, ()))
            else:
                service = _KINDS[source.kind].convert(source, known, setting)
        except Unrepresentable as error:
            source.bad(None, str(error))
            continue
        if not unit_name.valid(service.name):
            source.bad(
                source.entry("ServiceName"), f"{source.service!r} cannot be the name of a unit", unit_name.RULE
            )
        if other := makers.get(service.name):
            source.bad(source.entry("ServiceName"), f"{service.name} is what {other.path} becomes", "ServiceName=")
        if source.failed:
            continue
        makers[service.name] = source
        found[filename] = service
        if source.kind == "container" and (pod := known.target(quadlet_container.pod_of(source))):
            if member := _as_member(source, pod):
                members.setdefault(pod.source.filename, []).append(member)
    _settle_aliases(sources, found, makers)
    return found


def _as_member(source: Source, pod: Target) -> str:
    """The service of a container as the service of its pod has to name it, or "": a pod of no template cannot know
    which instances of a template there will be, and a template's unit is for all of its instances.
    """
    own_template = source.templated and not source.instance
    if not own_template and not (pod.source.templated and not pod.source.instance):
        return source.service
    return source.service + "%i" if own_template and pod.service.endswith("@%i") else ""


def _settle_aliases(
    sources: Mapping[str, Source], found: Mapping[str, Service], makers: Mapping[str, Source]
) -> None:
    """A name leads to one unit: to the unit that is called so, or else to the first that has it as its alias."""
    owners = dict(makers)
    for filename, service in found.items():
        source = sources[filename]
        for alias in [link for link in service.links if "/" not in link]:
            other = owners.setdefault(alias, source)
            if other is not source:
                entry = source.unit.last("Install", "Alias")
                source.bad(entry, f"{alias} is left out: {other.path} has that name", fatal=False)
                del service.links[alias]
