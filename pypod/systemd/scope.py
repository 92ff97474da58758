"""Ask systemd for a scope: a cgroup that is ours, with processes of ours in it; and for limits of scopes and slices.

One method call (org.freedesktop.systemd1(5)) on systemd's private socket, in the D-Bus wire format (D-Bus
specification, "Message Protocol"), so that neither a bus nor a library is needed.
"""

from __future__ import annotations

import time

from pypod.base import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from collections.abc import Mapping, Sequence

    Limit = int | bytes | Sequence[tuple[str, int]]  # a number, a mask, or a number for each device
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


def _properties(values: Sequence[tuple[str, str, object]]) -> bytearray:
    """An array of (name, variant), made as if it began at a multiple of 8. Kinds: s b t (64 bits) ay au a(st)."""
    array = bytearray()
    for name, kind, value in values:
        _align(array, 8)
        _text(array, name)
        _signature(array, kind)
        if kind == "s":
            _text(array, str(value))
        elif kind == "b":
            _number(array, int(bool(value)))
        elif kind == "t":
            _align(array, 8)
            array += int(str(value)).to_bytes(8, "little")
        elif isinstance(value, bytes):
            _number(array, len(value))
            array += value
        elif isinstance(value, (list, tuple)) and kind == "a(st)":
            _append(array, _pairs(value))
        elif isinstance(value, (list, tuple)):
            _number(array, 4 * len(value))
            for number in value:
                _number(array, number)
        else:
            raise TypeError(f"{name}: {kind} of {type(value).__name__}")
    return array


def _pairs(values: Sequence[tuple[str, int]]) -> bytearray:
    """The elements of an array of (text, number), made as if it began at a multiple of 8."""
    array = bytearray()
    for text, number in values:
        _align(array, 8)
        _text(array, text)
        _align(array, 8)
        array += number.to_bytes(8, "little")
    return array


def _append(body: bytearray, array: bytearray) -> None:
    """The array of structs: its length, and its elements from a multiple of 8 on; the padding does not count."""
    _number(body, len(array))
    _align(body, 8)
    body += array


def _call(member: str, signature: str, body: bytes) -> bytes:
    """The call of a method of the Manager."""
    fields = bytearray()
    for code, kind, text in (
        (1, "o", "/org/freedesktop/systemd1"),
        (2, "s", "org.freedesktop.systemd1.Manager"),
        (3, "s", member),
        (6, "s", "org.freedesktop.systemd1"),
        (8, "g", signature),
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


def _transient(unit: str, values: Sequence[tuple[str, str, object]]) -> bytes:
    body = bytearray()
    _text(body, unit)
    _text(body, "fail")
    _append(body, _properties(values))
    _number(body, 0)  # no auxiliary units
    _align(body, 8)
    return _call("StartTransientUnit", "ssa(sv)a(sa(sv))", bytes(body))


def message(unit: str, pids: Sequence[int], slice: str, description: str) -> bytes:
    """The call of Manager.StartTransientUnit."""
    return _transient(
        unit,
        [
            ("Description", "s", description),
            ("Slice", "s", slice),
            ("PIDs", "au", pids),
            ("Delegate", "b", True),
            ("CollectMode", "s", "inactive-or-failed"),
        ],
    )


def _limits(values: Mapping[str, Limit]) -> list[tuple[str, str, object]]:
    return [
        (name, "ay" if isinstance(value, bytes) else "t" if isinstance(value, int) else "a(st)", value)
        for name, value in values.items()
    ]


def properties_message(unit: str, values: Mapping[str, Limit]) -> bytes:
    """The call of Manager.SetUnitProperties, until the next boot."""
    body = bytearray()
    _text(body, unit)
    _number(body, 1)
    _append(body, _properties(_limits(values)))
    return _call("SetUnitProperties", "sba(sv)", bytes(body))


def start(socket_path: str, uid: int, unit: str, pids: Sequence[int], *, slice: str, description: str = "") -> None:
    """Make the scope ``unit`` with ``pids`` in it, and wait until they are there.

    ``socket_path`` is the manager's private socket, ``uid`` the caller as the manager sees it. Raises ScopeError.
    """
    _ask(socket_path, uid, message(unit, pids, slice, description or unit))
    deadline = time.monotonic() + PATIENCE
    while not all(_is_in(pid, unit) for pid in pids):
        if time.monotonic() > deadline:
            raise ScopeError(f"systemd did not move the processes to {unit}")
        time.sleep(0.001)


def set_properties(socket_path: str, uid: int, unit: str, values: Mapping[str, Limit]) -> None:
    """Give a unit other limits (systemd.resource-control(5), by their names on the bus). Raises ScopeError."""
    _ask(socket_path, uid, properties_message(unit, values))


def start_slice(socket_path: str, uid: int, unit: str, values: Mapping[str, Limit]) -> None:
    """Start a slice with limits; systemd does it after the answer. Raises ScopeError, also if it is there already."""
    _ask(socket_path, uid, _transient(unit, _limits(values)))


def stop(socket_path: str, uid: int, unit: str) -> None:
    """Stop a unit, and what runs in it. Raises ScopeError."""
    body = bytearray()
    _text(body, unit)
    _text(body, "replace")
    _ask(socket_path, uid, _call("StopUnit", "ss", bytes(body)))


def _ask(socket_path: str, uid: int, call: bytes) -> None:
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(socket_path)
        identity = str(uid).encode().hex()
        connection.sendall(b"\0AUTH EXTERNAL " + identity.encode() + b"\r\n")
        answer = connection.recv(4096)
        if not answer.startswith(b"OK "):
            raise ScopeError(f"systemd refused the connection: {answer[:100]!r}")
        connection.sendall(b"BEGIN\r\n" + call)
        _reply(connection)
    except OSError as error:
        raise ScopeError(f"cannot talk to systemd at {socket_path}: {error.strerror or error}") from None
    finally:
        connection.close()


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
