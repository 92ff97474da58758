"""The infra container of a pod: what it runs, and on which files.

Unless --infra-image names an image, it is one static program of the package alone in a directory: no image to pull,
none in ``images``. What a runtime mounts has its mount points there beforehand, so all infra containers share one.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.errors import NotFound, StorageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context

COMMAND = "/pause"
_DIRECTORIES = ("dev", "etc", "proc", "run", "sys", "tmp", "var/tmp")
_FILES = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "run/.containerenv")


def rootfs(context: Context) -> str:
    """The directory, made or brought up to date.

    Raises NotFound if the package was built without the program, StorageError.
    """
    program = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data", "pause")
    try:
        wanted = files.read(program)
    except OSError as error:
        raise NotFound(
            f"the program of infra containers is not in the package: {program}: {reason(error)}",
            hint="name an image with --infra-image, or make the pod with --infra=false",
        ) from None
    place = context.state_dir + "/pause"
    try:
        for name in _DIRECTORIES:
            files.make_directory(f"{place}/{name}", 0o755)
        for name in _FILES:
            if not os.path.exists(f"{place}/{name}"):
                files.replace(f"{place}/{name}", b"", mode=0o644)
        path = place + COMMAND
        if not os.path.exists(path) or files.read(path) != wanted:
            files.replace(path, wanted, mode=0o755, durable=True)
    except OSError as error:
        raise StorageError(f"cannot make the infra container's files: {error.filename}: {reason(error)}") from None
    return place


def add_name(path: str, name: str) -> None:
    """Put a member of a pod into the hosts file that all of them share: as the pod's localhost.

    The file is bound into them, so it must stay the same one. Without one (--no-hosts) nothing happens.
    """
    line = f"127.0.0.1\t{name}\n".encode()
    try:
        if line in files.read(path):
            return
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.write(fd, line)
    finally:
        os.close(fd)
