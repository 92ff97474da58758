"""UDP ports that the user-mode network programs cannot publish well, relayed by a small process of ours.

Two releases that Debian 12 ships lose the answers: slirp4netns 1.2 with --disable-host-loopback, and pasta of 2023
when the container's port number is below the host's (its table of reverse mappings overflows 16 bits).
"""

from __future__ import annotations

import os
import sys

from pypod.base import process
from pypod.errors import NetworkError, reason
from pypod.linux import proc, syscalls
from pypod.network import ports as published

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.network.records import Port


def start(ports: Sequence[Port], pid: int, netns_fd: int) -> tuple[int, int]:
    """Relay ``ports`` into the network namespace for as long as process ``pid`` lives; the relay's (pid, start time).

    Raises NetworkError, also for a port in use.
    """
    sockets = []
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        words = []
        keep = []
        for protocol, address, port, inside in published.expand(ports):
            sock = published.listen(protocol, address, port)
            sockets.append(sock)
            # Above every descriptor that is being passed, so that no dup2 overwrites one that is still to come.
            number = 100 + len(sockets)
            keep.append((sock.fileno(), number))
            words.append(f"{number}:{inside}")
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "relay_main.py")
        argv = [sys.executable, "-IS", "-B", program, str(pid), *words]
        try:
            # A child starts in the network namespace that its parent is in.
            syscalls.setns(netns_fd, syscalls.CLONE_NEWNET)
            try:
                relay = process.spawn(argv, env={}, stdin=-1, stdout=-1, stderr=-1, keep=keep, new_session=True)
            finally:
                syscalls.setns(home, syscalls.CLONE_NEWNET)
        except OSError as error:
            raise NetworkError(f"cannot start the relay of UDP ports: {reason(error)}") from None
    finally:
        os.close(home)
        for sock in sockets:
            sock.close()
    return relay, proc.start_time(relay)
