"""aardvark-dns, the name server of bridges: netavark starts it and tells it what it has to know."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PORT = 53
_PATIENCE = 200  # × 5 ms


def _pid_file(config: str) -> str:
    return f"{config}/aardvark-dns/aardvark.pid"


def pid(config: str) -> int:
    """The one that serves netavark's directory ``config``; 0 if none runs."""
    try:
        found = int(files.read(_pid_file(config)))
        if f"{config}/".encode() in files.read(f"/proc/{found}/cmdline") and proc.start_time(found):
            return found
    except (OSError, ValueError):
        pass
    return 0


def forget_dead(config: str) -> None:
    """Remove the pid of one that was killed: while it is a zombie, netavark would take it for a living one."""
    if not pid(config):
        try:
            os.unlink(_pid_file(config))
        except FileNotFoundError:
            pass


def wait(config: str, addresses: Sequence[str]) -> None:
    """Wait until it hears at these addresses, as the container's first question may come at once."""
    if not addresses:
        return
    import time

    wanted = {address for address in addresses if ":" not in address}
    for _ in range(_PATIENCE):
        server = pid(config)
        if server and wanted <= _heard(server):
            return
        time.sleep(0.005)


def _heard(server: int) -> set[str]:
    """The IPv4 addresses at whose port 53 somebody in the server's network namespace hears (proc_pid_net(5))."""
    from pypod.network.inspect import dotted

    found: set[str] = set()
    try:
        lines = files.read(f"/proc/{server}/net/udp").decode("ascii", "replace").splitlines()[1:]
    except OSError:
        return found
    for line in lines:
        address, _, port = line.split()[1].partition(":")
        if int(port, 16) == _PORT:
            found.add(dotted(address))
    return found
