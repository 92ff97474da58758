"""``unshare --rootless-netns``: a command among the bridges of a rootless user."""

from __future__ import annotations

import os

from pypod.base import files, process
from pypod.engine import netconfig
from pypod.errors import PypodError
from pypod.linux import syscalls
from pypod.network import NetworkRequest, netavark, slirp, uplink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pypod.engine.context import Context


def inside(context: Context, work: Callable[[], object]) -> int:
    """Call ``work`` in a child in the network namespace of the bridges, which is there as long; the exit status.

    The caller is in the user namespace, with mounts of its own. Raises NetworkError.
    """
    place = netconfig.uplink_directory(context)
    options = context.engine.get("network_cmd_options")
    request = NetworkRequest(
        id=f"unshare-{os.getpid()}",
        name="",
        mode="bridge",
        rundir=context.tmpdir,
        uplink=place,
        helper_dirs=context.helper_dirs,
        command=str(context.flags.get("network_cmd_path") or context.engine.get("network_cmd_path") or ""),
        command_options=[str(item) for item in options] if isinstance(options, list) else [],
    )
    program, chosen = slirp.program_of(request), slirp.options_of(request)
    try:
        with netavark.lock(place):
            uplink.join(place, request.id, os.getpid(), request.rundir)
            netns = uplink.ensure(place, program, chosen)
        child = os.fork()
        if child == 0:
            try:
                syscalls.setns(netns, syscalls.CLONE_NEWNET)
                _resolver(f"{place}/resolv.conf")
                work()
            except PypodError as error:
                os.write(2, f"Error: {error.message}\n".encode())
            finally:
                os._exit(126)
        os.close(netns)
        return process.wait(child)
    finally:
        with netavark.lock(place):
            uplink.leave(place, request.id)


def _resolver(path: str) -> None:
    target = os.path.realpath("/etc/resolv.conf")
    if os.path.isfile(target) and files.read(path):
        syscalls.mount(path, target, flags=syscalls.MS_BIND)
