""".pod files: one pod, whose service pulls in those of the containers that name it by Pod=."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pypod.systemd import quadlet_keys, quadlet_unit
from pypod.systemd import quadlet_model as model
from pypod.systemd.quadlet_keys import OWN
from pypod.systemd.quadlet_references import Needs, resource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.systemd.quadlet_keys import Table
    from pypod.systemd.quadlet_model import Setting, Source
    from pypod.systemd.quadlet_references import Sources

_REMAP = "say it by UserNS=, UIDMap= and GIDMap="
_NO_NAMES = "pod create has no such flag here: give UIDMap= or GIDMap="

KEYS: Table = {
    "PodName": OWN,
    "Network": OWN,
    "Volume": OWN,
    "ExitPolicy": OWN,
    "StopTimeout": OWN,
    "AddHost": ("lines", "--add-host", ""),
    "DNS": ("lines", "--dns", ""),
    "DNSOption": ("lines", "--dns-option", ""),
    "DNSSearch": ("lines", "--dns-search", ""),
    "HostName": ("value", "--hostname", ""),
    "IP": ("value", "--ip", ""),
    "IP6": ("value", "--ip6", ""),
    "Label": ("pairs", "--label", ""),
    "NetworkAlias": ("lines", "--network-alias", ""),
    "PublishPort": ("lines", "--publish", ""),
    "ShmSize": ("value", "--shm-size", ""),
    "UserNS": ("value", "--userns", ""),
    "UIDMap": ("words", "--uidmap", ""),
    "GIDMap": ("words", "--gidmap", ""),
    "SubUIDMap": ("no", _NO_NAMES, ""),
    "SubGIDMap": ("no", _NO_NAMES, ""),
    "RemapUsers": ("no", _REMAP, ""),
    "RemapUid": ("no", _REMAP, ""),
    "RemapGid": ("no", _REMAP, ""),
    "RemapUidSize": ("no", _REMAP, ""),
}
_ID_FILE = "--pod-id-file=%t/%N.pod-id"
_PID_FILE = "%t/%N.pid"


def convert(source: Source, sources: Sources, setting: Setting, members: Sequence[str]) -> model.Service:
    """The service; ``members`` are those of the containers that start with it, without .service."""
    quadlet_unit.lasting(source, ("forking",))
    needs = Needs()
    words = ["pod", "create", f"--infra-conmon-pidfile={_PID_FILE}", _ID_FILE]
    words += ["--exit-policy", source.value("ExitPolicy") or "stop", "--replace"]
    words += ["--name", source.value("PodName") or resource(source)]
    words += quadlet_keys.flags(source, KEYS)
    for entry, value in quadlet_keys.lines(source, "Network"):
        words += ["--network", sources.network(source, entry, value, needs)]
    for entry, value in quadlet_keys.lines(source, "Volume"):
        words += ["--volume", sources.volume(source, entry, value, needs)]
    words += quadlet_keys.words(source, "PodmanArgs")

    def pypod(*rest: str) -> str:
        return model.command(setting, rest, quadlet_keys.before(source))

    settings = [
        ("Environment", "PODMAN_SYSTEMD_UNIT=%n"),
        ("ExecStartPre", f"/bin/rm -f {_PID_FILE} %t/%N.pod-id"),
        ("ExecStartPre", pypod(*words)),
        ("ExecStart", pypod("pod", "start", _ID_FILE)),
        ("ExecStop", pypod("pod", "stop", _ID_FILE, "--ignore", "--time", source.value("StopTimeout") or "10")),
        ("ExecStopPost", pypod("pod", "rm", _ID_FILE, "--ignore", "--force")),
        ("Type", "forking"),
        ("PIDFile", _PID_FILE),
        ("KillMode", "mixed"),
        ("Restart", "on-failure"),
        ("SyslogIdentifier", "%N"),
        # The infra container dies of SIGTERM.
        ("SuccessExitStatus", "143"),
    ]
    unit = [line for name in members for line in (("Wants", f"{name}.service"), ("Before", f"{name}.service"))]
    return quadlet_unit.service(source, sources, setting, needs, settings, unit=unit)
