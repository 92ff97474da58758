"""The D-Bus call that asks systemd for a scope, against a manager of our own that speaks the wire format."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypod.systemd import scope


class Reader:
    """Unmarshals what ``scope.message`` makes (D-Bus specification, "Type System")."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def align(self, boundary: int) -> None:
        self.at += -self.at % boundary

    def number(self) -> int:
        self.align(4)
        self.at += 4
        return int.from_bytes(self.data[self.at - 4 : self.at], "little")

    def text(self) -> str:
        size = self.number()
        self.at += size + 1
        assert self.data[self.at - 1] == 0
        return self.data[self.at - 1 - size : self.at - 1].decode()

    def signature(self) -> str:
        size = self.data[self.at]
        self.at += size + 2
        return self.data[self.at - 1 - size : self.at - 1].decode()

    def value(self, kind: str) -> object:
        if kind in "so":
            return self.text()
        if kind == "g":
            return self.signature()
        if kind == "b":
            return bool(self.number())
        if kind == "t":
            self.align(8)
            self.at += 8
            return int.from_bytes(self.data[self.at - 8 : self.at], "little")
        if kind == "ay":
            size = self.number()
            self.at += size
            return self.data[self.at - size : self.at]
        if kind == "a(st)":
            size = self.number()
            self.align(8)
            end = self.at + size
            pairs = []
            while self.at < end:
                self.align(8)
                pairs.append((self.text(), self.value("t")))
            assert self.at == end
            return pairs
        assert kind == "au"
        end = self.number() + self.at
        found = []
        while self.at < end:
            found.append(self.number())
        return found

    def pairs(self) -> dict[object, object]:
        """An array of (key, variant) structs."""
        size = self.number()
        self.align(8)
        end = self.at + size
        found: dict[object, object] = {}
        while self.at < end:
            self.align(8)
            key: object = self.text()
            found[key] = self.value(self.signature())
        assert self.at == end
        return found


def opened(data: bytes, member: str, signature: str) -> Reader:
    """The body of a call of a method of the manager."""
    reader = Reader(data)
    assert data[:4] == b"l\x01\x00\x01"
    reader.at = 4
    body_size, serial, fields_size = reader.number(), reader.number(), reader.number()
    assert serial == 1
    fields = {}
    end = reader.at + fields_size
    while reader.at < end:
        reader.align(8)
        code = reader.data[reader.at]
        reader.at += 1
        fields[code] = reader.value(reader.signature())
    assert fields[1] == "/org/freedesktop/systemd1"
    assert fields[3] == member
    assert fields[8] == signature
    reader.align(8)
    body = Reader(data[reader.at :])
    assert len(body.data) == body_size
    return body


def test_message() -> None:
    data = scope.message("pypod-1.scope", [7, 8], "user.slice", "what it is")
    body = opened(data, "StartTransientUnit", "ssa(sv)a(sa(sv))")
    assert (body.text(), body.text()) == ("pypod-1.scope", "fail")
    assert body.pairs() == {
        "Description": "what it is",
        "Slice": "user.slice",
        "PIDs": [7, 8],
        "Delegate": True,
        "CollectMode": "inactive-or-failed",
    }
    assert body.number() == 0
    body.align(8)
    assert body.at == len(body.data)


def test_limits_of_a_unit() -> None:
    wanted = {"MemoryMax": 64 << 20, "TasksMax": (1 << 64) - 1, "AllowedCPUs": b"\5"}
    disks = [("/dev/sda", 1), ("/dev/nvme0n1", 1 << 40)]
    wanted = {"IOReadBandwidthMax": disks, **wanted, "IOWriteIOPSMax": disks[1:]}
    body = opened(scope.properties_message("a.scope", wanted), "SetUnitProperties", "sba(sv)")
    assert (body.text(), body.number()) == ("a.scope", 1)
    assert body.pairs() == wanted
    assert body.at == len(body.data)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """A socket that answers as its list of packets says."""
    path = str(tmp_path / "private")
    answers: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            for answer in answers:
                connection.recv(4096)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield path, answers
    listener.close()
    thread.join(5)


def packet(kind: int, body: bytes = b"") -> bytes:
    return b"l" + bytes([kind, 0, 1]) + len(body).to_bytes(4, "little") + b"\1\0\0\0\0\0\0\0" + body


def test_an_error_of_the_manager(manager: tuple[str, list[bytes]]) -> None:
    path, answers = manager
    text = b"no such slice"
    signal = packet(4, b"12345678")
    answers += [b"OK 123\r\n", signal + packet(3, len(text).to_bytes(4, "little") + text + b"\0")]
    with pytest.raises(scope.ScopeError, match="no such slice"):
        scope.start(path, 0, "x.scope", [os.getpid()], slice="x.slice")


def test_refused_and_gone(manager: tuple[str, list[bytes]], tmp_path: Path) -> None:
    path, answers = manager
    answers.append(b"REJECTED\r\n")
    with pytest.raises(scope.ScopeError, match="refused"):
        scope.start(path, 0, "x.scope", [os.getpid()], slice="x.slice")
    with pytest.raises(scope.ScopeError, match="cannot talk to systemd"):
        scope.start(str(tmp_path / "none"), 0, "x.scope", [os.getpid()], slice="x.slice")


def test_waits_until_the_processes_are_there(
    manager: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, answers = manager
    answers += [b"OK 123\r\n", packet(2)]
    monkeypatch.setattr(scope, "PATIENCE", 0.05)
    with pytest.raises(scope.ScopeError, match="did not move"):
        scope.start(path, 0, "nonexistent-unit.scope", [os.getpid()], slice="x.slice")
