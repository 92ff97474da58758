"""What a manager of systemd's reads: D-Bus messages taken apart (D-Bus specification, "Type System")."""

from __future__ import annotations

from typing import Any

_ALIGNMENTS = {"y": 1, "g": 1, "v": 1, "(": 8, "t": 8}


class Reader:
    """Values from a body, in their order."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def align(self, boundary: int) -> None:
        padding = self.data[self.at : self.at + -self.at % boundary]
        assert not any(padding)
        self.at += len(padding)

    def bytes(self, count: int) -> bytes:
        self.at += count
        assert self.at <= len(self.data)
        return self.data[self.at - count : self.at]

    def value(self, kind: str) -> Any:
        """One of a complete type; a variant is (type, value)."""
        first = kind[0]
        self.align(_ALIGNMENTS.get(first, 4))
        if first == "y":
            return self.bytes(1)[0]
        if first in "bui":
            return int.from_bytes(self.bytes(4), "little", signed=first == "i")
        if first == "t":
            return int.from_bytes(self.bytes(8), "little")
        if first in "sog":
            size = self.bytes(1)[0] if first == "g" else int.from_bytes(self.bytes(4), "little")
            text = self.bytes(size + 1)
            assert text[-1] == 0
            return text[:-1].decode()
        if first == "v":
            kind = self.value("g")
            return kind, self.value(kind)
        if first == "(":
            return self.values(kind[1:-1])
        size = int.from_bytes(self.bytes(4), "little")
        self.align(_ALIGNMENTS.get(kind[1], 4))
        end = self.at + size
        found = []
        while self.at < end:
            found.append(self.value(kind[1:]))
        assert self.at == end
        return bytes(found) if kind == "ay" else found

    def values(self, signature: str) -> tuple[Any, ...]:
        found = []
        while signature:
            size = _first(signature)
            found.append(self.value(signature[:size]))
            signature = signature[size:]
        return tuple(found)


def _first(signature: str) -> int:
    """The length of the first complete type."""
    if signature[0] == "a":
        return 1 + _first(signature[1:])
    if signature[0] != "(":
        return 1
    depth = at = 0
    while True:
        depth += {"(": 1, ")": -1}.get(signature[at], 0)
        at += 1
        if not depth:
            return at


def opened(data: bytes, member: str, signature: str) -> tuple[Any, ...]:
    """The arguments of a call of a method of the manager, all of it read."""
    reader = Reader(data)
    assert reader.bytes(4) == b"l\x01\x00\x01"
    body_size, serial, fields = reader.values("uua(yv)")
    assert serial == 1
    assert dict(fields) == {
        1: ("o", "/org/freedesktop/systemd1"),
        2: ("s", "org.freedesktop.systemd1.Manager"),
        3: ("s", member),
        6: ("s", "org.freedesktop.systemd1"),
        8: ("g", signature),
    }
    reader.align(8)
    body = Reader(data[reader.at :])
    assert len(body.data) == body_size
    found = body.values(signature)
    assert body.at == body_size
    return found


def packet(kind: int, body: bytes = b"") -> bytes:
    """A message of the manager: 2 an answer, 3 an error, 4 a signal."""
    return b"l" + bytes([kind, 0, 1]) + len(body).to_bytes(4, "little") + b"\1\0\0\0\0\0\0\0" + body


def refusal(text: str) -> bytes:
    raw = text.encode()
    return packet(3, len(raw).to_bytes(4, "little") + raw + b"\0")
