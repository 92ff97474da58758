""".container files: one container, run by a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pypod.systemd import quadlet_keys, quadlet_unit
from pypod.systemd import quadlet_model as model
from pypod.systemd.quadlet_keys import OWN
from pypod.systemd.quadlet_references import Needs, resource
from pypod.systemd.units import CLEAN_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pypod.systemd.quadlet_keys import Table
    from pypod.systemd.quadlet_model import Setting, Source
    from pypod.systemd.quadlet_references import Sources

_NO_LOG = "pypod keeps the last results, as podman does by default"
_REMAP = "say it by UserNS=, UIDMap= and GIDMap="

KEYS: Table = {
    "ContainerName": OWN,
    "Image": OWN,
    "Rootfs": OWN,
    "Exec": OWN,
    "Entrypoint": ("value", "--entrypoint", ""),
    "Notify": OWN,
    "CgroupsMode": OWN,
    "Pod": OWN,
    "StartWithPod": OWN,
    "ReloadCmd": OWN,
    "ReloadSignal": OWN,
    "Network": OWN,
    "Volume": OWN,
    "Mount": OWN,
    "AddDevice": OWN,
    "User": OWN,
    "Group": OWN,
    "Pull": ("value", "--pull", ""),
    "Retry": ("value", "--retry", ""),
    "RetryDelay": ("value", "--retry-delay", ""),
    "AutoUpdate": ("value", "--label", "io.containers.autoupdate="),
    "Environment": ("pairs", "--env", ""),
    "EnvironmentFile": ("paths", "--env-file", ""),
    "EnvironmentHost": ("bool", "--env-host", ""),
    "HttpProxy": ("bool", "--http-proxy", ""),
    "Annotation": ("pairs", "--annotation", ""),
    "Label": ("pairs", "--label", ""),
    "WorkingDir": ("value", "--workdir", ""),
    "HostName": ("value", "--hostname", ""),
    "Timezone": ("value", "--tz", ""),
    "RunInit": ("bool", "--init", ""),
    "StopSignal": ("value", "--stop-signal", ""),
    "StopTimeout": ("value", "--stop-timeout", ""),
    "LogDriver": ("value", "--log-driver", ""),
    "LogOpt": ("words", "--log-opt", ""),
    "AddHost": ("lines", "--add-host", ""),
    "DNS": ("lines", "--dns", ""),
    "DNSOption": ("lines", "--dns-option", ""),
    "DNSSearch": ("lines", "--dns-search", ""),
    "IP": ("value", "--ip", ""),
    "IP6": ("value", "--ip6", ""),
    "NetworkAlias": ("lines", "--network-alias", ""),
    "PublishPort": ("lines", "--publish", ""),
    "ExposeHostPort": ("lines", "--expose", ""),
    "UserNS": ("value", "--userns", ""),
    "UIDMap": ("words", "--uidmap", ""),
    "GIDMap": ("words", "--gidmap", ""),
    "SubUIDMap": ("value", "--subuidname", ""),
    "SubGIDMap": ("value", "--subgidname", ""),
    "GroupAdd": ("lines", "--group-add", ""),
    "AddCapability": ("words", "--cap-add", ""),
    "DropCapability": ("words", "--cap-drop", ""),
    "NoNewPrivileges": ("on", "--security-opt", "no-new-privileges"),
    "SeccompProfile": ("value", "--security-opt", "seccomp="),
    "AppArmor": ("value", "--security-opt", "apparmor="),
    "SecurityLabelDisable": ("on", "--security-opt", "label=disable"),
    "SecurityLabelNested": ("on", "--security-opt", "label=nested"),
    "SecurityLabelType": ("value", "--security-opt", "label=type:"),
    "SecurityLabelFileType": ("value", "--security-opt", "label=filetype:"),
    "SecurityLabelLevel": ("value", "--security-opt", "label=level:"),
    "Mask": ("value", "--security-opt", "mask="),
    "Unmask": ("value", "--security-opt", "unmask="),
    "ReadOnly": ("bool", "--read-only", ""),
    "ReadOnlyTmpfs": ("bool", "--read-only-tmpfs", ""),
    "Tmpfs": ("lines", "--tmpfs", ""),
    "Secret": ("words", "--secret", ""),
    "ShmSize": ("value", "--shm-size", ""),
    "Memory": ("value", "--memory", ""),
    "PidsLimit": ("value", "--pids-limit", ""),
    "Sysctl": ("words", "--sysctl", ""),
    "Ulimit": ("words", "--ulimit", ""),
    "HealthCmd": ("value", "--health-cmd", ""),
    "HealthInterval": ("value", "--health-interval", ""),
    "HealthOnFailure": ("value", "--health-on-failure", ""),
    "HealthRetries": ("value", "--health-retries", ""),
    "HealthStartPeriod": ("value", "--health-start-period", ""),
    "HealthStartupCmd": ("value", "--health-startup-cmd", ""),
    "HealthStartupInterval": ("value", "--health-startup-interval", ""),
    "HealthStartupRetries": ("value", "--health-startup-retries", ""),
    "HealthStartupSuccess": ("value", "--health-startup-success", ""),
    "HealthStartupTimeout": ("value", "--health-startup-timeout", ""),
    "HealthTimeout": ("value", "--health-timeout", ""),
    "HealthLogDestination": ("no", _NO_LOG, ""),
    "HealthMaxLogCount": ("no", _NO_LOG, ""),
    "HealthMaxLogSize": ("no", _NO_LOG, ""),
    "RemapUsers": ("no", _REMAP, ""),
    "RemapUid": ("no", _REMAP, ""),
    "RemapGid": ("no", _REMAP, ""),
    "RemapUidSize": ("no", _REMAP, ""),
    "VolatileTmp": ("no", "Tmpfs=/tmp", ""),
}
_ID_PATH = "%t/%N.cid"
_CIDFILE = f"--cidfile={_ID_PATH}"


def convert(source: Source, sources: Sources, setting: Setting) -> model.Service:
    """The service. What is wrong is noted in ``source``; then the service is of no use."""
    quadlet_unit.lasting(source, ("notify", "oneshot"))
    entry = source.unit.last("Service", "Type")
    oneshot = entry is not None and entry.value == "oneshot"
    needs = Needs()
    own = source.value("ContainerName") or resource(source)
    words = ["run", "--name", own, _CIDFILE, "--replace", "--rm"]
    words += ["--cgroups", source.value("CgroupsMode") or "split"]
    if not oneshot:
        words += [f"--sdnotify={_sdnotify(source)}", "-d"]
    words += quadlet_keys.flags(source, KEYS)
    for device in quadlet_keys.words(source, "AddDevice"):
        # With a dash: if it is there when the unit is made.
        if not device.startswith("-") or setting.exists(device[1:].partition(":")[0]):
            words += ["--device", device.removeprefix("-")]
    words += _references(source, sources, needs)
    words += _user(source)
    words += quadlet_keys.words(source, "PodmanArgs")
    words += _image(source, sources, needs)
    exec_line = source.entry("Exec")
    if exec_line:
        words += quadlet_keys.split(source, exec_line)

    def pypod(*rest: str) -> str:
        return model.command(setting, rest, quadlet_keys.before(source))

    settings = [
        ("Environment", "PODMAN_SYSTEMD_UNIT=%n"),
        ("KillMode", "mixed"),
        ("Delegate", "yes"),
        ("SyslogIdentifier", "%N"),
        # A container that was killed with its monitor has left it.
        ("ExecStartPre", f"/bin/rm -f {_ID_PATH}"),
        ("ExecStart", pypod(*words)),
        ("ExecStop", pypod("rm", "-v", "-f", "-i", _CIDFILE)),
        ("ExecStopPost", "-" + pypod("rm", "-v", "-f", "-i", _CIDFILE)),
        *_reload(source, pypod),
    ]
    if not oneshot:
        settings[3:3] = [("Type", "notify"), ("NotifyAccess", "all")]
    if clean := _clean_exit(source):
        settings.append(("SuccessExitStatus", clean))
    return quadlet_unit.service(source, sources, setting, needs, settings)


def _sdnotify(source: Source) -> str:
    entry = source.entry("Notify")
    if entry and entry.value.lower() == "healthy":
        return "healthy"
    return "container" if source.flag("Notify", False) else "conmon"


def _references(source: Source, sources: Sources, needs: Needs) -> list[str]:
    """The flags whose values may name other files."""
    words = []
    for entry, value in quadlet_keys.lines(source, "Network"):
        words += ["--network", sources.network(source, entry, value, needs)]
    for entry, value in quadlet_keys.lines(source, "Volume"):
        words += ["--volume", sources.volume(source, entry, value, needs)]
    for entry in source.unit.entries(source.section, "Mount"):
        for value in quadlet_keys.split(source, entry):
            words += ["--mount", sources.mount(source, entry, value, needs)]
    if pod := source.entry("Pod"):
        if not pod.value.endswith(".pod"):
            source.bad(pod, f"must name a .pod file: {pod.value!r}", f"{pod.value}.pod?")
        elif found := sources.find(source, pod, pod.value):
            words += ["--pod-id-file", f"%t/{found.service}.pod-id"]
            needs.binds_to.append(found.service)
    return words


def _user(source: Source) -> list[str]:
    user, group = source.value("User"), source.value("Group")
    if group and not user:
        source.bad(source.entry("Group"), "needs User=")
    return ["--user", f"{user}:{group}" if group else user] if user else []


def _image(source: Source, sources: Sources, needs: Needs) -> list[str]:
    image, rootfs = source.entry("Image"), source.entry("Rootfs")
    if image and rootfs:
        source.bad(rootfs, f"and Image= cannot both be given: {image.path}:{image.line}")
    elif rootfs:
        return ["--rootfs", source.value("Rootfs")]
    elif image:
        return [sources.image(source, image, source.value("Image"), needs)]
    else:
        source.lacks("[Container] has neither Image= nor Rootfs=")
    return []


def _reload(source: Source, pypod: Callable[..., str]) -> list[tuple[str, str]]:
    command, name = source.entry("ReloadCmd"), source.value("ReloadSignal")
    if command and name:
        source.bad(command, "and ReloadSignal= cannot both be given")
    if command:
        return [("ExecReload", pypod("exec", _CIDFILE, *quadlet_keys.split(source, command)))]
    return [("ExecReload", pypod("kill", _CIDFILE, "--signal", name))] if name else []


def _clean_exit(source: Source) -> str:
    """The exit status of a container that died of its stop signal, where that death is clean to systemd."""
    name = source.value("StopSignal").upper() or "TERM"
    for number in CLEAN_SIGNALS:
        if name in (str(int(number)), number.name, number.name.removeprefix("SIG")):
            return str(128 + number)
    return ""


def pod_of(source: Source) -> str:
    """The .pod file that a container starts with, or ""."""
    entry = source.entry("Pod")
    return entry.value if entry and source.flag("StartWithPod", True) else ""
