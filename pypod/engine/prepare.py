"""What a start does inside the mounted root file system before the OCI config is written."""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine import rootfs
from pypod.errors import PypodError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.users import User
    from storage.store import Store


@record
class Extra:
    """What the OCI config needs beside the configuration: files to bind (inside → ours) and OCI mounts."""

    files: dict[str, str] = {}
    mounts: list[dict[str, Any]] = []


def prepare(context: Context, store: Store, container: Container, root_fd: int, user: User) -> Extra:
    """Fill new volumes, make the working directory. Raises PypodError."""
    config = container.config
    try:
        if config.workdir != "/" and rootfs.is_directory(root_fd, config.workdir) is None:
            rootfs.make_directory(root_fd, config.workdir)
    except OSError as error:
        raise PypodError(f"cannot make the working directory {config.workdir}: {reason(error)}") from None
    return Extra()
