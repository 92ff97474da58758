"""What a start does inside the mounted root file system before the OCI config is written."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.engine import rootfs
from pypod.engine.users import User
from pypod.errors import PypodError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.config import ContainerConfig
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.deeds import Deeds
    from storage.store import Store

CONTAINERENV = "/run/.containerenv"
ZONES = "/usr/share/zoneinfo"


@record
class Extra:
    """What the OCI config needs beside the configuration.

    ``user`` is the user after /etc/passwd got its line; ``files`` are to be bound (inside → ours), ``mounts`` are
    OCI mounts.
    """

    user: User
    files: dict[str, str] = {}
    mounts: list[dict[str, Any]] = []


def prepare(context: Context, store: Store, container: Container, root_fd: int, user: User, deeds: Deeds) -> Extra:
    """Fill new volumes, make the working directory, add the user to /etc/passwd. Raises PypodError, UsageError."""
    config = container.config
    if config.uid_map and not any(first <= 0 < first + count for _, first, count in config.uid_map):
        places = [container.rundir, container.userdata, os.readlink(f"/proc/self/fd/{root_fd}")]
        deeds.let_through(places + [item.source for item in config.mounts if item.type == "volume"])
    found: dict[str, str] = {}
    if config.passwd and (not user.in_passwd or config.userns.mode == "keep-id" or config.host_users):
        from pypod.engine import passwd

        prepared = passwd.prepare(context, config, root_fd, container.rundir, user, deeds)
        user = prepared.user
        found.update(prepared.files)
    _workdir(config, root_fd, user, deeds)
    if config.mounts:
        deeds.fill(context, config, root_fd, user)
    found[CONTAINERENV] = _containerenv(context, container, deeds)
    if config.timezone:
        zone = timezone(config.timezone)
        if zone:
            found["/etc/localtime"] = zone
    return Extra(user=user, files=found, mounts=_image_mounts(store, container, deeds))


def _workdir(config: ContainerConfig, root_fd: int, user: User, deeds: Deeds) -> None:
    """The image's working directory is made if it is missing; one that the user named must be there."""
    path = config.workdir
    if path == "/" or any((path + "/").startswith(item.destination + "/") for item in config.mounts):
        return
    kind = rootfs.is_directory(root_fd, path)
    if kind:
        return
    if kind is False or not config.create_workdir:
        cause = "is not a directory" if kind is False else "does not exist"
        raise UsageError(f'workdir "{path}" {cause} on container {config.id}', code=126)
    try:
        deeds.directory(root_fd, path, user.uid, user.gid)
    except OSError as error:
        raise PypodError(f"cannot make the working directory {path}: {reason(error)}") from None


def _containerenv(context: Context, container: Container, deeds: Deeds) -> str:
    """The file by which programs know that they are in a container; a privileged one learns more of itself."""
    config = container.config
    text = ""
    if config.privileged:
        from pypod import __version__

        values = (
            ("engine", f"pypod-{__version__}"),
            ("name", container.name),
            ("id", config.id),
            ("image", config.image),
            ("imageid", config.image_id),
        )
        text = "".join(f'{key}="{value}"\n' for key, value in values) + f"rootless={int(context.rootless)}\n"
    path = container.rundir + "/.containerenv"
    deeds.write(path, text.encode(), 0o644)
    return path


def timezone(name: str) -> str:
    """The host's file of a zone; "local" is the host's own zone, "" if it has none. Raises UsageError."""
    if name == "local":
        path = os.path.realpath("/etc/localtime")
        return path if os.path.isfile(path) else ""
    path = os.path.normpath(f"{ZONES}/{name}")
    if not path.startswith(ZONES + "/"):
        raise UsageError(f"invalid time zone {name}: it must be a name in {ZONES}")
    if not os.path.isfile(path):
        raise UsageError(
            f"running container create option: stat {path}: no such file or directory", hint="apt-get install tzdata"
        )
    return path


def _image_mounts(store: Store, container: Container, deeds: Deeds) -> list[dict[str, Any]]:
    """--mount type=image: the image's file system, read-only, mounted in our mount namespace and bound from there."""
    wanted = [(number, item) for number, item in enumerate(container.config.mounts) if item.type == "image"]
    if not wanted:
        return []
    from pypod.oci import spec

    result = []
    for number, item in wanted:
        image = store.find_image(item.source)
        target = f"{container.rundir}/image{number}"
        deeds.image(store, image, target, container.config)
        result.append(spec.mount(item.destination, "bind", target, ["rbind", "ro", "rprivate", "nosuid", "nodev"]))
    return result
