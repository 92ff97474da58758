"""--device HOST[:CONTAINER][:PERMISSIONS], and what of the host's /dev a privileged container gets."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.errors import UsageError

_PERMISSIONS = frozenset("rwm")


@record
class Device:
    """A device node of the host, and where it goes. ``kind`` is c or b."""

    source: str
    destination: str
    permissions: str
    kind: str = "c"
    major: int = 0
    minor: int = 0
    mode: int = 0o666
    uid: int = 0
    gid: int = 0


def parse(text: str) -> str:
    """The full form HOST:CONTAINER:PERMISSIONS. Raises UsageError."""
    parts = text.split(":")
    source = parts[0]
    destination = ""
    permissions = ""
    if len(parts) > 3 or not source.startswith("/"):
        raise UsageError(f"invalid device specification: {text}")
    for part in parts[1:]:
        if part and set(part) <= _PERMISSIONS and len(set(part)) == len(part) and part is parts[-1]:
            permissions = part
        elif part.startswith("/") and not destination:
            destination = os.path.normpath(part)
        else:
            raise UsageError(f"invalid device mode: {part}")
    if not os.path.exists(source):
        raise UsageError(f"stat {source}: no such file or directory")
    return f"{source}:{destination or source}:{permissions or 'rwm'}"


def expand(entry: str) -> list[Device]:
    """The devices of one full form; a directory stands for all the devices in it. Raises UsageError."""
    source, destination, permissions = entry.split(":")
    if os.path.isdir(source):
        found = [_look(path, destination + path[len(source) :], permissions) for path in _below(source)]
        devices = [device for device in found if device is not None]
        if not devices:
            raise UsageError(f"no devices found in {source}")
        return devices
    device = _look(os.path.realpath(source), destination, permissions)
    if device is None:
        raise UsageError(f"{source} is not a device node")
    return [device]


def _look(path: str, destination: str, permissions: str) -> Device | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    kind = found.st_mode & 0o170000
    if kind not in (0o020000, 0o060000):
        return None
    return Device(
        source=path,
        destination=destination,
        permissions=permissions,
        kind="c" if kind == 0o020000 else "b",
        major=os.major(found.st_rdev),
        minor=os.minor(found.st_rdev),
        mode=found.st_mode & 0o7777,
        uid=found.st_uid,
        gid=found.st_gid,
    )


def _below(directory: str) -> list[str]:
    result = []
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return []
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            # Terminals, shared memory and the like are the container's own.
            if entry.name not in ("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"):
                result += _below(entry.path)
        elif entry.name != "console" and not entry.is_symlink():
            result.append(entry.path)
    return result


def host(*, terminals: bool) -> list[Device]:
    """Every device of the host's /dev that a privileged container gets; the host's terminals only to root's."""
    result = []
    for path in _below("/dev"):
        name = path[len("/dev/") :]
        if not terminals and (name.startswith("tty") or name == "ptmx"):
            continue
        device = _look(path, path, "rwm")
        if device is not None:
            result.append(device)
    return result
