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
)
from pypod.systemd.quadlet_references import Sources
from pypod.systemd.quoting import Unrepresentable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pypod.systemd.quadlet_model import Service, Setting, Source

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
        if not source.service.strip("@").isprintable() or "/" in source.service or " " in source.service:
            source.bad(source.entry("ServiceName"), f"{source.service!r} cannot be the name of a unit")
        if other := makers.get(service.name):
            source.bad(source.entry("ServiceName"), f"{service.name} is what {other.path} becomes", "ServiceName=")
        if source.failed:
            continue
        makers[service.name] = source
        found[filename] = service
        if source.kind == "container" and (pod := quadlet_container.pod_of(source)):
            members.setdefault(pod, []).append(source.service)
    return found
