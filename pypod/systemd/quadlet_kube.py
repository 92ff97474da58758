""".kube files: what a Kubernetes YAML file describes, run by a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pypod.systemd import quadlet_keys, quadlet_unit
from pypod.systemd import quadlet_model as model
from pypod.systemd.quadlet_keys import OWN
from pypod.systemd.quadlet_references import Needs

if TYPE_CHECKING:
    from pypod.systemd.quadlet_keys import Table
    from pypod.systemd.quadlet_model import Setting, Source
    from pypod.systemd.quadlet_references import Sources

_REMAP = "say it by UserNS="

KEYS: Table = {
    "Yaml": OWN,
    "ExitCodePropagation": OWN,
    "SetWorkingDirectory": OWN,
    "KubeDownForce": OWN,
    "AutoUpdate": OWN,
    "Network": OWN,
    "ConfigMap": ("paths", "--configmap", ""),
    "LogDriver": ("value", "--log-driver", ""),
    "PublishPort": ("lines", "--publish", ""),
    "UserNS": ("value", "--userns", ""),
    "RemapUsers": ("no", _REMAP, ""),
    "RemapUid": ("no", _REMAP, ""),
    "RemapGid": ("no", _REMAP, ""),
    "RemapUidSize": ("no", _REMAP, ""),
}


def convert(source: Source, sources: Sources, setting: Setting) -> model.Service:
    """The service. What is wrong is noted in ``source``; then the service is of no use."""
    quadlet_unit.lasting(source, ("notify", "oneshot"))
    entry = source.unit.last("Service", "Type")
    needs = Needs()
    files = [quadlet_keys.absolute(source, word) for word in quadlet_keys.words(source, "Yaml")]
    if not files:
        source.lacks("[Kube] has no Yaml=")
    words = ["kube", "play", "--replace"]
    if entry is None or entry.value != "oneshot":
        words.append("--service-container=true")
    if code := source.value("ExitCodePropagation"):
        words += ["--service-exit-code-propagation", code]
    words += quadlet_keys.flags(source, KEYS)
    for place, value in quadlet_keys.lines(source, "Network"):
        words += ["--network", sources.network(source, place, value, needs)]
    for value in quadlet_keys.words(source, "AutoUpdate"):
        policy, of, name = value.rpartition("/")
        key = f"io.containers.autoupdate/{policy}" if of else "io.containers.autoupdate"
        words += ["--annotation", f"{key}={name}"]
    words += quadlet_keys.words(source, "PodmanArgs")
    before = quadlet_keys.before(source)
    down = ["kube", "down", *(["--force"] if source.flag("KubeDownForce", False) else []), *files]
    settings = [
        ("Environment", "PODMAN_SYSTEMD_UNIT=%n"),
        ("KillMode", "mixed"),
        ("Type", "notify"),
        ("NotifyAccess", "all"),
        ("SyslogIdentifier", "%N"),
        ("ExecStart", model.command(setting, [*words, *files], before)),
        ("ExecStopPost", model.command(setting, down, before)),
    ]
    if directory := _directory(source, files):
        settings.append(("WorkingDirectory", quadlet_unit.directory(directory)))
    return quadlet_unit.service(source, sources, setting, needs, settings)


def _directory(source: Source, files: list[str]) -> str:
    """The directory that relative paths in the YAML file begin at, or ""."""
    given = source.value("SetWorkingDirectory")
    if given.lower() == "unit":
        return quadlet_keys.absolute(source, ".")
    if given.lower() == "yaml":
        return files[0].rpartition("/")[0] if files else ""
    return quadlet_keys.absolute(source, given)
