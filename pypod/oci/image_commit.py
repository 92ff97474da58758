"""What ``commit`` writes about a new image: a container's configuration in the OCI and in Docker's form.

Sources: image-spec config.md and manifest.md; Docker's image-spec v1.2 for the fields that OCI does not have.
"""

from __future__ import annotations

from pypod.errors import UsageError
from pypod.oci import image_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Config = dict[str, Any]

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_MEDIA_TYPES = {
    # manifest, config, layer: in the store layers are uncompressed.
    "oci": (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.layer.v1.tar",
    ),
    "docker": (
        DOCKER_MANIFEST,
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar",
    ),
}
FORMATS = tuple(_MEDIA_TYPES)
# Of a Docker image's configuration, what an OCI image has no place for.
_ONLY_DOCKER = ("Healthcheck", "OnBuild", "Shell")
_TYPES: dict[str, Any] = {
    "User": str,
    "ExposedPorts": dict,
    "Env": list,
    "Entrypoint": list,
    "Cmd": list,
    "Volumes": dict,
    "WorkingDir": str,
    "Labels": dict,
    "StopSignal": str,
    "OnBuild": list,
    "Shell": list,
    "Healthcheck": dict,
}


def from_container(
    base: Config,
    *,
    entrypoint: Sequence[str],
    command: Sequence[str],
    env: Sequence[str],
    ports: Sequence[str],
    labels: dict[str, str],
    user: str,
    volumes: Sequence[str],
    workdir: str,
) -> Config:
    """The image's ``config`` object ``base`` after what a container of it says, as podman merges them.

    Entrypoint and command are the container's alone; of all else nothing is taken away.
    """
    result = {key: value for key, value in base.items() if key not in ("Entrypoint", "Cmd")}
    result["Entrypoint"] = list(entrypoint)
    result["Cmd"] = list(command)
    result["Env"] = merge_env(_list(base, "Env"), env)
    result["ExposedPorts"] = _sorted({**_dict(base, "ExposedPorts"), **{port: {} for port in ports}})
    result["Volumes"] = _sorted({**_dict(base, "Volumes"), **{volume: {} for volume in volumes}})
    result["Labels"] = {**_dict(base, "Labels"), **labels}
    if user:
        result["User"] = user
    if workdir:
        result["WorkingDir"] = workdir
    return image_config.ordered(result)


def _list(config: Config, key: str) -> list[str]:
    found = config.get(key)
    return list(found) if isinstance(found, list) else []


def _dict(config: Config, key: str) -> Config:
    found = config.get(key)
    return dict(found) if isinstance(found, dict) else {}


def _sorted(found: Config) -> Config:
    return {key: found[key] for key in sorted(found)}


def merge_env(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """Entries of ``new`` replace those of the same name."""
    names = {entry.partition("=")[0] for entry in new}
    return [entry for entry in old if entry.partition("=")[0] not in names] + list(new)


def override(config: Config, given: Any, source: str) -> Config:
    """``config`` after the file ``source`` of --config, Docker's container configuration as JSON.

    Lists and words replace, environment, ports, volumes and labels are added to. Raises UsageError.
    """
    if not isinstance(given, dict):
        raise UsageError(f"cannot use --config {source}: it is not a JSON object")
    result = dict(config)
    for key, value in given.items():
        kind = _TYPES.get(key)
        if kind is None or not value:
            continue
        merged: Any = value
        if not isinstance(value, kind):
            raise _wrong(source, key)
        if isinstance(value, list) or key == "Labels":
            if not all(isinstance(item, str) for item in (value if isinstance(value, list) else value.values())):
                raise _wrong(source, key)
        if key == "Env":
            merged = merge_env(_list(config, key), value)
        elif key == "Labels":
            merged = {**_dict(config, key), **value}
        elif key in ("ExposedPorts", "Volumes"):
            merged = {**_dict(config, key), **{name: {} for name in value}}
        result[key] = merged
    return image_config.ordered(result)


def _wrong(source: str, key: str) -> UsageError:
    return UsageError(f"cannot use --config {source}: {key} has the wrong type")


def for_oci(config: Config, had: Config) -> tuple[Config, list[str]]:
    """The config that an OCI image can carry, and the keys that it cannot; what an OCI base ``had`` stays."""
    left_out = [key for key in _ONLY_DOCKER if config.get(key) and config[key] != had.get(key)]
    known = (*image_config.ORDER, *_ONLY_DOCKER)
    return {key: value for key, value in config.items() if key in known and key not in left_out}, left_out


def _docker_config(config: Config, image: str) -> Config:
    """``config`` as Docker's container configuration, with the fields that Docker always writes."""
    result: Config = {"Hostname": "", "Domainname": "", "User": config.get("User") or ""}
    result |= dict.fromkeys(("AttachStdin", "AttachStdout", "AttachStderr"), False)
    if config.get("ExposedPorts"):
        result["ExposedPorts"] = config["ExposedPorts"]
    result |= dict.fromkeys(("Tty", "OpenStdin", "StdinOnce"), False)
    result["Env"] = config.get("Env") or []
    result["Cmd"] = config.get("Cmd") or []
    for key in ("Healthcheck", "ArgsEscaped"):
        if config.get(key):
            result[key] = config[key]
    result["Image"] = image
    result["Volumes"] = config.get("Volumes") or None
    result["WorkingDir"] = config.get("WorkingDir") or ""
    result["Entrypoint"] = config.get("Entrypoint") or []
    result["OnBuild"] = config.get("OnBuild") or None
    result["Labels"] = config.get("Labels") or None
    for key in ("StopSignal", "Shell"):
        if config.get(key):
            result[key] = config[key]
    return result


def document(
    kind: str,
    base: Config,
    config: Config,
    *,
    created: str,
    author: str,
    message: str,
    container: str,
    image_id: str,
    image_name: str,
    diff_ids: Sequence[str],
    squash: bool,
) -> Config:
    """The configuration document of the new image on the document ``base`` of the container's image.

    ``created`` is RFC 3339, ``kind`` oci or docker; ``diff_ids`` are those of all layers. With ``squash`` there is
    one layer, and no history but this commit.
    """
    shell = config.get("Shell")
    step: Config = {"created": created, "created_by": " ".join(shell) if isinstance(shell, list) else "/bin/sh"}
    if author:
        step["author"] = author
    step["comment"] = f"FROM {image_name}"
    before = base.get("history")
    history = [*(before if isinstance(before, list) and not squash else ()), step]
    rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
    platform = {
        key: base[key] for key in ("architecture", "variant", "os", "os.version", "os.features") if base.get(key)
    }
    platform.setdefault("os", "linux")
    result: Config = {}
    author = author or str(base.get("author") or "")
    if kind == "oci":
        result["created"] = created
        if author:
            result["author"] = author
        return {**result, **platform, "config": config, "rootfs": rootfs, "history": history}
    if message:
        result["comment"] = message
    result["created"] = created
    result["container"] = container
    docker = _docker_config(config, image_name)
    result["container_config"] = docker
    if author:
        result["author"] = author
    result["config"] = docker
    result |= platform
    if image_id and not squash:
        result["parent"] = f"sha256:{image_id}"
    return {**result, "rootfs": rootfs, "history": history}


def manifest(
    kind: str, *, digest: str, size: int, layers: Sequence[tuple[str, int]], annotations: dict[str, str]
) -> Config:
    """The manifest of a config (``digest``, ``size`` in bytes) and of ``layers`` (digest, size), lowest first."""
    name, config_type, layer_type = _MEDIA_TYPES[kind]
    result: Config = {
        "schemaVersion": 2,
        "mediaType": name,
        "config": {"mediaType": config_type, "digest": digest, "size": size},
        "layers": [{"mediaType": layer_type, "digest": item, "size": count} for item, count in layers],
    }
    if kind == "oci" and annotations:
        result["annotations"] = annotations
    return result
