"""A relay of published UDP ports, run as a program of its own inside the container's network namespace.

    python3 -IS relay_main.py PID FD:PORT...

Each FD is an inherited socket that is bound in the host's namespace; datagrams go to 127.0.0.1:PORT in here, from
one socket per sender, and answers go back. It ends when process PID, the container's first, ends.
"""

from __future__ import annotations

import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket

    Sender = tuple[str, int]
    Link = tuple[_socket.socket, _socket.socket, Sender]  # the socket in here, the one outside, who sent
else:
    import _socket

IDLE_SENDERS = 512  # beyond so many senders the one that was silent longest is forgotten


def main(words: list[str]) -> None:
    epoll = select.epoll()
    watch = os.pidfd_open(int(words[0]))
    epoll.register(watch, select.EPOLLIN)
    outer = {}
    for word in words[1:]:
        number, _, port = word.partition(":")
        sock = _socket.socket(fileno=int(number))
        sock.setblocking(False)
        outer[int(number)] = (sock, int(port))
        epoll.register(int(number), select.EPOLLIN)
    inner: dict[int, Link] = {}  # by the descriptor of the socket in here
    senders: dict[tuple[int, Sender], int] = {}  # (outer descriptor, sender) → descriptor, the most recent last
    while True:
        for fd, _ in epoll.poll():
            if fd == watch:
                return
            if fd in outer:
                receive(fd, outer[fd], inner, senders, epoll)
            elif fd in inner:
                answer(inner[fd])


def receive(
    fd: int,
    bound: tuple[_socket.socket, int],
    inner: dict[int, Link],
    senders: dict[tuple[int, Sender], int],
    epoll: select.epoll,
) -> None:
    """Pass on what came from outside, at most 64 datagrams so that no sender starves the others."""
    sock, port = bound
    for _ in range(64):
        try:
            data, sender = sock.recvfrom(65535)
        except OSError:
            return
        key = (fd, sender)
        number = senders.pop(key, -1)
        if number < 0:
            if len(senders) >= IDLE_SENDERS:
                oldest = next(iter(senders))
                inner.pop(senders.pop(oldest))[0].close()
            made = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK)
            made.connect(("127.0.0.1", port))
            number = made.fileno()
            inner[number] = (made, sock, sender)
            epoll.register(number, select.EPOLLIN)
        senders[key] = number
        try:
            inner[number][0].send(data)
        except OSError:
            pass  # nobody listens: datagrams may be lost


def answer(link: Link) -> None:
    """Pass on what came from the container."""
    made, sock, sender = link
    for _ in range(64):
        try:
            data = made.recv(65535)
        except OSError:
            return
        try:
            sock.sendto(data, sender)
        except OSError:
            pass


if __name__ == "__main__":
    main(sys.argv[1:])
    os._exit(0)
