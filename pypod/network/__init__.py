"""The container's network: one driver per way to make one.

    none         a network namespace with nothing but lo (the runtime brings that up)
    host         no network namespace
    container,ns another's
    pasta        user-mode networking, attached to the namespace of the created container
    slirp4netns  the older one
    bridge       netavark's bridge

The engine calls ``prepare`` before the runtime makes the container, ``setup`` when its process exists and has not
been started yet, and ``teardown`` with the stored status when it has ended. All three run as root in the user
namespace that containers live in.
"""

from __future__ import annotations

from pypod.network.records import NetworkRequest, NetworkStatus, Port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.network.steps import Step

__all__ = [
    "NetworkRequest",
    "NetworkStatus",
    "Port",
    "default_mode",
    "plan",
    "planned",
    "prepare",
    "setup",
    "teardown",
]


def default_mode(rootless: bool, helper_dirs: Sequence[str] = (), preferred: str = "") -> str:
    """What --network private means here.

    Rootless: pasta, else slirp4netns (``preferred`` is containers.conf's default_rootless_network_cmd). Root: the
    bridge.
    Raises NetworkError, naming the package to install, if what it takes is not there.
    """
    from pypod.base import process
    from pypod.errors import NetworkError

    if not rootless:
        if process.find("netavark", helper_dirs) is not None:
            return "bridge"
        raise NetworkError(
            "cannot set up the default network bridge: netavark is not installed",
            hint="apt-get install netavark, or choose another network: --network none, host or pasta",
        )
    order = ("slirp4netns", "pasta") if preferred == "slirp4netns" else ("pasta", "slirp4netns")
    for name in order:
        if process.find(name) is not None:
            return name
    raise NetworkError(
        "cannot set up the default network: neither pasta nor slirp4netns is installed",
        hint="apt-get install passt, or choose another network: --network none or host",
    )


def prepare(request: NetworkRequest) -> None:
    """Look for what would fail later, while nothing has been made: programs, options, ports in use.

    Raises NetworkError, UsageError.
    """
    mode = request.mode
    if mode == "pasta":
        from pypod.network import pasta

        pasta.prepare(request)
    elif mode == "slirp4netns":
        from pypod.network import slirp

        slirp.prepare(request)
    elif mode == "bridge":
        from pypod.network import bridge

        bridge.prepare(request)


def plan(request: NetworkRequest) -> list[Step]:
    """What ``setup`` would start and ask for, in order, after ``prepare``. Nothing is done.

    The addresses are those that are free now. Raises NetworkError, UsageError.
    """
    mode = request.mode
    if mode == "pasta":
        from pypod.network import pasta

        return pasta.plan(request)
    if mode == "slirp4netns":
        from pypod.network import slirp

        return slirp.plan(request)
    if mode == "bridge":
        from pypod.network import bridge

        return bridge.plan(request)
    return []


def planned(request: NetworkRequest) -> dict[str, Any]:
    """What to store before ``setup`` is called: by it ``teardown`` undoes a set-up that was killed half-way."""
    if request.mode in ("pasta", "slirp4netns", "bridge"):
        return {"driver": request.mode, "id": request.id, "rundir": request.rundir}
    return {}


def setup(request: NetworkRequest, pid: int) -> NetworkStatus | None:
    """Connect the network namespace of the created process ``pid``; None if there is nothing to undo later.

    Also fills the container's hosts, resolv.conf and hostname. Raises NetworkError; then nothing of the attempt is
    left.
    """
    mode = request.mode
    status: NetworkStatus | None = None
    if mode == "pasta":
        from pypod.network import pasta

        status = pasta.setup(request, pid)
    elif mode == "slirp4netns":
        from pypod.network import slirp

        status = slirp.setup(request, pid)
    elif mode == "bridge":
        from pypod.network import bridge

        status = bridge.setup(request, pid)
    from pypod.network import files

    try:
        files.write(request, status)
    except BaseException:
        if status is not None:
            teardown(status.__dict__)
        raise
    return status


def teardown(status: Mapping[str, Any]) -> None:
    """Undo ``setup`` from the stored status alone. Idempotent. Raises NetworkError for what could not be undone."""
    if status.get("driver"):
        from pypod.network import down

        down.teardown(status)
