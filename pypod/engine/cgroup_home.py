"""Where we and the monitors live in the cgroup tree, on a host that systemd manages with cgroup v2.

A login session's cgroup belongs to root: a rootless process in it may not move one of its own into a container's
cgroup, as ``exec`` must, and at logout all that is in it may be killed. So a rootless pypod asks the user's systemd
for a scope, and each monitor gets one beside its container's; podman does both. Where somebody supervises the monitor
by its cgroup, --cgroups=no-conmon leaves it where it is, and so does a start that systemd itself asked for by a unit.
--cgroups=split keeps the container in the unit's cgroup as well.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.engine import limits
from pypod.errors import PypodError, reason
from pypod.linux import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pypod.engine.config import ContainerConfig
    from pypod.engine.context import Context


def _own() -> str:
    try:
        return cgroups.own()
    except OSError:
        return ""


def enter(context: Context, config: ContainerConfig | None = None) -> bool:
    """Move this process to a cgroup of the user's, if it is not in one. True if it was moved.

    To the scope of the monitor of ``config`` that it is about to start, if there is one. It does not fail: where
    there is no systemd to ask, or nothing to gain, all stays as it is.
    """
    if not context.rootless or cgroups.mode() != cgroups.UNIFIED:
        return False
    if os.access(f"{cgroups.ROOT}{_own()}/cgroup.procs", os.W_OK) or not limits.systemd_answers(context):
        return False
    # The scope's last monitor may still be on its way out: then there is one of that name.
    if config is not None and config.cgroups == "enabled" and _scope(context, _unit(config), quiet=True):
        return True
    return _scope(context, f"pypod-{os.getpid()}.scope")


def monitor(context: Context, config: ContainerConfig) -> Callable[[int], None] | None:
    """What moves a monitor that has not begun to its scope; None if it is to stay in our cgroup."""
    if config.cgroups != "enabled" or cgroups.mode() != cgroups.UNIFIED or limits.manager(context) != "systemd":
        return None
    unit = _unit(config)
    here = _own()
    # The restart policy's start is in the last monitor's scope already, and its child will be too.
    if unit in here or os.path.basename(here) == f"pypod-{os.getpid()}.scope":
        return None
    parent = os.path.basename(config.cgroup_parent)
    if not parent or config.pod:  # what a pod may use is for its containers
        parent = "user.slice" if context.rootless else "machine.slice"

    def move(pid: int) -> None:
        _scope(context, unit, pid, parent)

    return move


def _unit(config: ContainerConfig) -> str:
    return f"libpod-conmon-{config.id}.scope"


def _scope(context: Context, unit: str, pid: int = 0, parent: str = "user.slice", *, quiet: bool = False) -> bool:
    from pypod.engine import scope_limits
    from pypod.systemd import bus, scope

    try:
        scope.start(scope_limits.socket(context), context.uid, unit, [pid or os.getpid()], slice=parent)
    except bus.BusError as error:
        if not quiet:
            from pypod.base import report

            report.warning(f"cannot make the cgroup {unit}: {error}")
        return False
    return True


def split() -> None:
    """--cgroups=split: move all processes of our unit into ``supervisor`` in it, beside the container's cgroup.

    The kernel wants a cgroup to hold either processes or other cgroups with controllers. Raises PypodError.
    """
    unit = limits.unit_cgroup()
    place = f"{cgroups.ROOT}{unit}"
    try:
        files.make_directory(place + "/supervisor", 0o755)
        for pid in files.read(place + "/cgroup.procs").split():
            try:
                _write(place + "/supervisor/cgroup.procs", pid)
            except ProcessLookupError:
                continue  # it has ended
    except OSError as error:
        raise PypodError(
            f"cannot split the cgroup {unit}: {reason(error)}",
            hint="--cgroups=split is for units with Delegate=yes",
        ) from None


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
