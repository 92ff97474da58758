"""What criu's files say."""

from __future__ import annotations

import struct
from pathlib import Path

from pypod.runtime import criu


def number(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def entry(key: int, value: int) -> bytes:
    return number(key << 3) + number(value)


def nested(key: int, data: bytes) -> bytes:
    return number(key << 3 | 2) + number(len(data)) + data


def statistics(path: Path, message: bytes) -> dict[str, int]:
    path.write_bytes(struct.pack("<III", 0x55105940, 0x57093306, len(message)) + message)
    return criu.statistics(str(path))


def test_statistics(tmp_path: Path) -> None:
    dump = b"".join(entry(key, 1000 * key) for key in range(1, 9))
    assert statistics(tmp_path / "s", nested(1, dump)) == {
        "freezing_time": 1000,
        "frozen_time": 2000,
        "memdump_time": 3000,
        "memwrite_time": 4000,
        "pages_scanned": 5000,
        "pages_written": 7000,
    }
    restored = b"".join(entry(key, 70_000 + key) for key in range(1, 6))
    assert statistics(tmp_path / "s", nested(2, restored)) == {
        "forking_time": 70_003,
        "restore_time": 70_004,
        "pages_restored": 70_005,
    }


def test_statistics_that_are_none(tmp_path: Path) -> None:
    assert criu.statistics(str(tmp_path / "none")) == {}
    for data in (b"", b"x" * 12, struct.pack("<III", 0x55105940, 0x57093306, 4) + b"\x0a\xff\xff\xff"):
        (tmp_path / "s").write_bytes(data)
        assert criu.statistics(str(tmp_path / "s")) == {}


def test_the_last_errors_are_the_cause(tmp_path: Path) -> None:
    log = tmp_path / "dump.log"
    assert criu.cause(str(log)) == ""
    lines = [f"(00.00000{n}) Error (criu/x.c:{n}): no {n}" for n in range(5)]
    log.write_text("(00.000000) fine\n" + "\n".join(lines) + "\n(00.1) Warn  (criu/y.c:1): never mind\n")
    assert criu.cause(str(log)) == "(criu/x.c:2): no 2; (criu/x.c:3): no 3; (criu/x.c:4): no 4"
