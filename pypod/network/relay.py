"""UDP ports that the user-mode network programs cannot publish well, relayed by a small process of ours.

Two releases that Debian 12 ships lose the answers: slirp4netns 1.2 with --disable-host-loopback, and pasta of 2023
when the container's port is another number than the host's (its table of reverse mappings overflows 16 bits, and
has room for one host port only).
"""

from __future__ import annotations

import os
import sys

from pypod.base import process
from pypod.errors import NetworkError, reason
from pypod.linux import proc, syscalls
from pypod.network import down
from pypod.network import ports as published

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.network.records import Port
    from pypod.network.steps import Step

_FIRST_FD = 100


def command(ports: Sequence[Port], pid: str) -> list[str]:
    """The relay's command line; its sockets are descriptors from 100 on."""
    # Above every descriptor that is being passed, so that no dup2 overwrites one that is still to come.
    words = [f"{_FIRST_FD + at}:{inside}" for at, (_, _, _, inside) in enumerate(published.expand(ports))]
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "relay_main.py")
    return [sys.executable, "-IS", "-B", program, pid, *words]


def plan(ports: Sequence[Port]) -> Step:
    """For --dry-run."""
    from pypod.network.steps import Step

    return Step(what="start the relay of UDP ports in the container's network namespace", argv=command(ports, "PID"))


def start(ports: Sequence[Port], pid: int, netns_fd: int, rundir: str) -> tuple[int, int]:
    """Relay ``ports`` into the network namespace for as long as process ``pid`` lives; the relay's (pid, start time).

    Raises NetworkError, also for a port in use.
    """
    sockets = []
    try:
        keep: list[tuple[int, int]] = []
        for protocol, address, port, _ in published.expand(ports):
            sock = published.listen(protocol, address, port)
            sockets.append(sock)
            keep.append((sock.fileno(), _FIRST_FD + len(keep)))
        relay = _start(command(ports, str(pid)), netns_fd, keep, rundir)
        down.note(rundir, "relay", relay)
    finally:
        for sock in sockets:
            sock.close()
    return relay, proc.start_time(relay)


def _start(argv: Sequence[str], netns_fd: int, keep: Sequence[tuple[int, int]], rundir: str) -> int:
    """Run ``argv`` in the network namespace; its pid.

    The child enters it, not we: without root there is no way back into the host's.
    """
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    try:
        child = os.fork()
        if child == 0:
            try:
                os.setsid()
                syscalls.setns(netns_fd, syscalls.CLONE_NEWNET)
                null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
                for source, number in ((null, 0), (null, 1), (null, 2), *keep):
                    os.dup2(source, number)
                os.execve(argv[0], list(argv), {down.MARK: rundir})
            except BaseException as error:
                os.write(err_write, str(error).encode())
            finally:
                os._exit(127)
        os.close(err_write)
        err_write = -1
        said = os.read(err_read, 1000)
        if said:
            process.wait(child)
            raise NetworkError(f"cannot start the relay of UDP ports: {said.decode('utf-8', 'replace')}")
    except OSError as error:
        raise NetworkError(f"cannot start the relay of UDP ports: {reason(error)}") from None
    finally:
        os.close(err_read)
        if err_write >= 0:
            os.close(err_write)
    return child
