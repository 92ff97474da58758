"""Word to systemd on the socket that it waits at: sd_notify(3)."""

from __future__ import annotations

import array
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
else:
    import _socket


def send(path: str, text: str, *, patience: float = 0.0) -> None:
    """Send one message, a line for each assignment. Raises OSError.

    systemd finds out by a sender's cgroup which unit it speaks for, so a sender that is gone is not heard: with
    ``patience`` (seconds) this waits so long at most until systemd has read the message (sd_notify_barrier(3)).
    """
    address = "\0" + path[1:] if path.startswith("@") else path
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        connection.connect(address)
        connection.send(text.encode())
        if patience:
            _barrier(connection, patience)
    finally:
        connection.close()


def _barrier(connection: _socket.socket, patience: float) -> None:
    """Hand over the end of a pipe, which systemd closes when it comes to this message."""
    import select

    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        rights = array.array("i", [write])
        connection.sendmsg([b"BARRIER=1"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    finally:
        os.close(write)
    poll = select.poll()
    poll.register(read, 0)  # POLLHUP comes unasked
    poll.poll(int(patience * 1000))
    os.close(read)
