"""Ask systemd for a scope: a cgroup that is ours, with processes of ours in it (org.freedesktop.systemd1(5)).

One method call on systemd's private socket, in the D-Bus wire format (D-Bus specification, "Message Protocol"),
so that neither a bus nor a library is needed.
"""

from __future__ import annotations

import time

from pypod.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Sequence
else:
    import _socket

PATIENCE = 3.0  # seconds, for the answer and then for the processes to be moved


class ScopeError(Exception):
    """systemd did not answer, or refused; the text says which."""


def _align(data: bytearray, boundary: int) -> None:
    data += b"\0" * (-len(data) % boundary)


def _number(data: bytearray, value: int) -> None:
    _align(data, 4)
    data += value.to_bytes(4, "little")


def _text(data: bytearray, value: str) -> None:
    raw = value.encode()
    _number(data, len(raw))
    data += raw + b"\0"


def _signature(data: bytearray, value: str) -> None:
    data += bytes([len(value)]) + value.encode() + b"\0"


def message(unit: str, pids: Sequence[int], slice: str, description: str) -> bytes:
    """The call of Manager.StartTransientUnit."""
    properties: list[tuple[str, str, object]] = [
        ("Description", "s", description),
        ("Slice", "s", slice),
        ("PIDs", "au", pids),
        ("Delegate", "b", True),
        ("CollectMode", "s", "inactive-or-failed"),
    ]
    body = bytearray()
    _text(body, unit)
    _text(body, "fail")
    array = bytearray()
    for name, kind, value in properties:
        _align(array, 8)
        _text(array, name)
        _signature(array, kind)
        if kind == "s":
            _text(array, str(value))
        elif kind == "b":
            _number(array, int(bool(value)))
        else:
            numbers = list(pids)
            _number(array, 4 * len(numbers))
            for number in numbers:
                _number(array, number)
    _number(body, len(array))
    # The elements of an array of structs begin at a multiple of 8; the padding does not count. ``array`` was made
    # as if it began there.
    _align(body, 8)
    body += array
    _number(body, 0)  # no auxiliary units
    _align(body, 8)

    fields = bytearray()
    for code, kind, text in (
        (1, "o", "/org/freedesktop/systemd1"),
        (2, "s", "org.freedesktop.systemd1.Manager"),
        (3, "s", "StartTransientUnit"),
        (6, "s", "org.freedesktop.systemd1"),
        (8, "g", "ssa(sv)a(sa(sv))"),
    ):
        _align(fields, 8)
        fields.append(code)
        _signature(fields, kind)
        if kind == "g":
            _signature(fields, text)
        else:
            _text(fields, text)
    header = bytearray(b"l\x01\x00\x01")  # little endian, method call, no flags, version 1
    _number(header, len(body))
    _number(header, 1)  # serial
    _number(header, len(fields))
    header += fields
    _align(header, 8)
    return bytes(header + body)


def start(socket_path: str, uid: int, unit: str, pids: Sequence[int], *, slice: str, description: str = "") -> None:
    """Make the scope ``unit`` with ``pids`` in it, and wait until they are there.

    ``socket_path`` is the manager's private socket, ``uid`` the caller as the manager sees it. Raises ScopeError.
    """
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(socket_path)
        identity = str(uid).encode().hex()
        connection.sendall(b"\0AUTH EXTERNAL " + identity.encode() + b"\r\n")
        answer = connection.recv(4096)
        if not answer.startswith(b"OK "):
            raise ScopeError(f"systemd refused the connection: {answer[:100]!r}")
        connection.sendall(b"BEGIN\r\n" + message(unit, pids, slice, description or unit))
        _reply(connection)
    except OSError as error:
        raise ScopeError(f"cannot talk to systemd at {socket_path}: {error.strerror or error}") from None
    finally:
        connection.close()
    deadline = time.monotonic() + PATIENCE
    while not all(_is_in(pid, unit) for pid in pids):
        if time.monotonic() > deadline:
            raise ScopeError(f"systemd did not move the processes to {unit}")
        time.sleep(0.001)


def _is_in(pid: int, unit: str) -> bool:
    try:
        return unit.encode() in files.read(f"/proc/{pid}/cgroup")
    except OSError:
        return True  # it is gone: nothing to wait for


def _exactly(connection: _socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ScopeError("systemd closed the connection")
        data += part
    return data


def _reply(connection: _socket.socket) -> None:
    """Read up to the answer to our call; signals may come before it. Raises ScopeError for an error."""
    while True:
        header = _exactly(connection, 16)
        if header[0] != 0x6C:
            raise ScopeError("systemd answers in another byte order")
        body = int.from_bytes(header[4:8], "little")
        fields = int.from_bytes(header[12:16], "little")
        rest = _exactly(connection, fields + -fields % 8 + body)
        if header[1] == 2:  # method return
            return
        if header[1] == 3:  # error: its body begins with the text
            content = rest[len(rest) - body :]
            size = int.from_bytes(content[:4], "little")
            raise ScopeError(content[4 : 4 + size].decode("utf-8", "replace") or "systemd refused")
