"""Calls of systemd's manager (org.freedesktop.systemd1(5)) on its private socket.

In the D-Bus wire format (D-Bus specification, "Message Protocol"), so that neither a bus nor a library is needed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Iterator, Sequence
    from typing import Any
else:
    import _socket

PATIENCE = 3.0  # seconds, for each answer

Properties = list[tuple[str, tuple[str, object]]]  # a unit's, by their names on the bus: (name, (type, value))

_ALIGNMENTS = {"(": 8, "t": 8, "g": 1, "v": 1, "y": 1}  # of the others: 4


class BusError(Exception):
    """systemd did not answer, or refused; the text says which."""


def _align(data: bytearray, boundary: int) -> None:
    data += b"\0" * (-len(data) % boundary)


def _types(signature: str) -> Iterator[str]:
    """The complete types in a row of them."""
    begin = at = depth = 0
    while at < len(signature):
        depth += {"(": 1, ")": -1}.get(signature[at], 0)
        at += 1
        if not depth and signature[at - 1] != "a":
            yield signature[begin:at]
            begin = at


def _put(data: bytearray, kind: str, value: Any) -> None:
    """One value of a complete type; ``data`` begins at a multiple of 8. A variant is a pair of type and value."""
    _align(data, _ALIGNMENTS.get(kind[0], 4))
    if kind == "y":
        data.append(value)
    elif kind in "bu":
        data += int(value).to_bytes(4, "little")
    elif kind == "i":
        data += value.to_bytes(4, "little", signed=True)
    elif kind == "t":
        data += value.to_bytes(8, "little")
    elif kind in "so":
        try:
            raw = value.encode()
        except UnicodeEncodeError:
            raise BusError(f"{value!r} is no UTF-8") from None
        data += len(raw).to_bytes(4, "little") + raw + b"\0"
    elif kind == "g":
        data += bytes([len(value)]) + value.encode() + b"\0"
    elif kind == "v":
        _put(data, "g", value[0])
        _put(data, *value)
    elif kind[0] == "(":
        _put_all(data, kind[1:-1], value)
    else:
        at = len(data)
        data += bytes(4)
        _align(data, _ALIGNMENTS.get(kind[1], 4))  # which does not count
        begin = len(data)
        for item in value:
            _put(data, kind[1:], item)
        data[at : at + 4] = (len(data) - begin).to_bytes(4, "little")


def _put_all(data: bytearray, signature: str, values: Sequence[object]) -> None:
    for kind, value in zip(_types(signature), values, strict=True):
        _put(data, kind, value)


def call(member: str, signature: str, *values: object) -> bytes:
    """The call of a method of the Manager. Raises BusError for a text that cannot be sent."""
    body = bytearray()
    _put_all(body, signature, values)
    message = bytearray(b"l\x01\x00\x01")  # little endian, method call, no flags, version 1
    _put(message, "u", len(body))
    _put(message, "u", 1)  # serial
    fields = [
        (1, ("o", "/org/freedesktop/systemd1")),
        (2, ("s", "org.freedesktop.systemd1.Manager")),
        (3, ("s", member)),
        (6, ("s", "org.freedesktop.systemd1")),
        (8, ("g", signature)),
    ]
    _put(message, "a(yv)", fields)
    _align(message, 8)
    return bytes(message + body)


def transient(unit: str, values: Properties, others: Sequence[tuple[str, Properties]] = ()) -> bytes:
    """The call of StartTransientUnit, which fails if there is a ``unit``; the ``others`` are made and not started."""
    return call("StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", values, others)


def ask(socket_path: str, uid: int, *calls: bytes) -> None:
    """Make calls, one after the other, each whatever came of those before.

    ``socket_path`` is the manager's private socket, ``uid`` the caller as the manager sees it. Raises BusError: for
    the first that was refused, when all were made.
    """
    refused: BusError | None = None
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(socket_path)
        # BEGIN with the rest: systemd looks at what it has read together with it only when more comes.
        identity = str(uid).encode().hex()
        connection.sendall(b"\0AUTH EXTERNAL " + identity.encode() + b"\r\nBEGIN\r\n")
        answer = _line(connection)
        if not answer.startswith(b"OK "):
            raise BusError(f"systemd refused the connection: {answer[:100]!r}")
        for number, message in enumerate(calls, 1):
            connection.sendall(message[:8] + number.to_bytes(4, "little") + message[12:])
            text = _reply(connection)
            if text and refused is None:
                refused = BusError(text)
    except OSError as error:
        raise BusError(f"cannot talk to systemd at {socket_path}: {error.strerror or error}") from None
    finally:
        connection.close()
    if refused is not None:
        raise refused


def _line(connection: _socket.socket) -> bytes:
    """One line of the authentication, and nothing of the signals that may come right behind it."""
    data = b""
    while not data.endswith(b"\n") and len(data) < 4096:
        data += _exactly(connection, 1)
    return data


def _exactly(connection: _socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise BusError("systemd closed the connection")
        data += part
    return data


def _reply(connection: _socket.socket) -> str:
    """Read up to the answer to our call; signals may come before it. "", or why it was refused."""
    while True:
        header = _exactly(connection, 16)
        if header[0] != 0x6C:
            raise BusError("systemd answers in another byte order")
        body = int.from_bytes(header[4:8], "little")
        fields = int.from_bytes(header[12:16], "little")
        rest = _exactly(connection, fields + -fields % 8 + body)
        if header[1] == 2:  # method return
            return ""
        if header[1] == 3:  # error: its body begins with the text
            content = rest[len(rest) - body :]
            size = int.from_bytes(content[:4], "little")
            return content[4 : 4 + size].decode("utf-8", "replace") or "systemd refused"
