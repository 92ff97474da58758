"""The JSON of inspect as a template sees it: objects that are Go structs there, and times."""

from __future__ import annotations

from pypod.cli.gotemplate import Struct, Time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TYPES = {
    "container": "define.InspectContainerData",
    "image": "libimage.ImageData",
    "volume": "define.VolumeConfigResponse",
    "pod": "define.InspectPodData",
}

# Maps from names that users or networks choose; everything else is a struct.
_MAPS = frozenset(
    "Annotations Data DriverOpts ExposedPorts Labels Options PortBindings Ports Sysctls Tmpfs Volumes".split()
)
# What podman's JSON leaves out while it is empty, but templates may name.
_HIDDEN: dict[str, dict[str, Any]] = {
    "define.InspectContainerData": {
        "SizeRw": None,
        "SizeRootFs": 0,
        "UseImageHosts": False,
        "UseImageHostname": False,
    },
    "NetworkSettings": {"Networks": {}, "AdditionalMacAddresses": None},
    "Config": {
        "Cmd": [],
        "Entrypoint": [],
        "Env": [],
        "Labels": {},
        "OnBuild": [],
        "StopSignal": "",
        "User": "",
        "Volumes": {},
        "WorkingDir": "",
        "Healthcheck": None,
        "ExposedPorts": {},
        "Secrets": None,
        "SystemdMode": False,
        "Timezone": "",
    },
    "HostConfig": {"IDMappings": None, "AutoRemoveImage": False},
    "Mounts": {"Name": "", "SubPath": ""},
    "State": {"ConmonPid": 0, "CgroupPath": "", "Healthcheck": None},
    "libimage.ImageData": {"Healthcheck": None},
    "define.InspectPodData": {
        "Namespace": "",
        "Labels": {},
        "CgroupPath": "",
        "InfraContainerID": "",
        "InfraConfig": None,
        "SharedNamespaces": [],
        "Containers": [],
        "Mounts": [],
        "Devices": [],
        "SecurityOpts": [],
        "VolumesFrom": [],
        "RestartPolicy": "",
    },
    "define.VolumeConfigResponse": {"UID": 0, "GID": 0, "Anonymous": False, "Status": None, "Timeout": 0},
}
_POINTERS = frozenset("Healthcheck IDMappings IPAMConfig SizeRw Status".split())
_TIMES = frozenset("Created StartedAt FinishedAt CheckpointedAt RestoredAt CreatedAt created".split())


def fields(value: dict[str, Any], kind: str) -> Struct:
    """The top of an object of ``kind``: container, image, volume."""
    found = _wrap(value, _TYPES.get(kind, kind))
    assert isinstance(found, Struct)
    return found


def _wrap(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        if name == "Networks":
            return {key: _wrap(item, "InspectAdditionalNetwork") for key, item in value.items()}
        if name in _MAPS:
            return {key: _wrap(item, "InspectHostPort") for key, item in value.items()}
        inner = {key: _wrap(item, key) for key, item in value.items()}
        return Struct(inner, name, _HIDDEN.get(name))
    if isinstance(value, list):
        return [_wrap(item, name) for item in value]
    if value is None and name not in _POINTERS:
        return {} if name in _MAPS else []  # Go's nil maps and slices are empty ones
    if isinstance(value, str) and name in _TIMES and "T" in value:
        return Time(value)
    return value
