"""criu, as the OCI runtimes call it: why it failed, and how long it took.

Sources: criu(8); criu's images/stats.proto and lib/py/images for ``stats-dump`` and ``stats-restore``.
"""

from __future__ import annotations

import struct

from pypod.base import files

_SERVICE_MAGIC, _STATS_MAGIC = 0x55105940, 0x57093306
_DUMP, _RESTORE = 1, 2
_NAMES = {
    _DUMP: {
        1: "freezing_time",
        2: "frozen_time",
        3: "memdump_time",
        4: "memwrite_time",
        5: "pages_scanned",
        7: "pages_written",
    },
    _RESTORE: {3: "forking_time", 4: "restore_time", 5: "pages_restored"},
}
_LINES = 3  # of criu's errors that are shown


def cause(log: str) -> str:
    """The last errors of a log file of criu's, "" if there are none."""
    try:
        lines = files.read(log).decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    found = [line.partition("Error ")[2].strip() for line in lines if "Error (" in line[:40]]
    return "; ".join(found[-_LINES:])


def statistics(path: str) -> dict[str, int]:
    """What a stats-dump or stats-restore says, times in microseconds; {} if it cannot be read."""
    try:
        data = files.read(path)
        first, second, size = struct.unpack_from("<III", data)
        if (first, second) != (_SERVICE_MAGIC, _STATS_MAGIC):
            return {}
        result: dict[str, int] = {}
        for kind, inner in _fields(data[12 : 12 + size]):
            names = _NAMES.get(kind, {})
            if isinstance(inner, bytes):
                result.update(
                    {names[key]: value for key, value in _fields(inner) if key in names and type(value) is int}
                )
        return result
    except (OSError, struct.error, IndexError, ValueError):
        return {}


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a protobuf message: numbers, and the bytes of what is nested. Raises IndexError, ValueError."""
    result: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            result.append((key >> 3, value))
        elif kind == 2:
            size, at = _varint(data, at)
            result.append((key >> 3, data[at : at + size]))
            at += size
        else:
            raise ValueError("a kind of field that statistics do not have")
    return result


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
