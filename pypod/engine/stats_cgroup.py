"""A container's counters from its cgroup: v2's own files, or those of the v1 controllers (cgroups(7))."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.linux import cgroups

_NO_LIMIT = 1 << 60  # v1 writes a number near 2^63


def read(id: str, pid: int) -> dict[str, int] | None:
    """cpu (ns), memory, limit (0: none), read, written (bytes), pids; None if there is no cgroup of its own to read.

    Raises OSError if it is gone meanwhile.
    """
    places = cgroups.of(pid, id)
    if cgroups.mode() == cgroups.UNIFIED:
        path = cgroups.ROOT + places.get("", "")
        if not places.get("") or not os.path.exists(path + "/memory.current"):
            return None
        return _unified(path)
    if not all(places.get(name) for name in ("memory", "cpuacct", "pids")):
        return None
    return _legacy({name: f"{cgroups.ROOT}/{name}{path}" for name, path in places.items() if name})


def _number(path: str) -> int:
    """The number in a file; 0 for "max", and for a controller that is not there."""
    try:
        text = files.read(path).strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0


def _table(path: str) -> dict[str, int]:
    """The lines ``NAME NUMBER`` of a file."""
    try:
        words = [line.split() for line in files.read(path).decode("ascii", "replace").splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdecimal()}


def _unified(path: str) -> dict[str, int]:
    used = int(files.read(path + "/memory.current"))
    read = written = 0
    try:
        lines = files.read(path + "/io.stat").decode("ascii", "replace").split()
    except OSError:
        lines = []
    for word in lines:
        key, _, value = word.partition("=")
        if key == "rbytes":
            read += int(value)
        elif key == "wbytes":
            written += int(value)
    return {
        "cpu": _table(path + "/cpu.stat").get("usage_usec", 0) * 1000,
        "memory": max(used - _table(path + "/memory.stat").get("inactive_file", 0), 0),
        "limit": _number(path + "/memory.max"),
        "read": read,
        "written": written,
        "pids": _number(path + "/pids.current"),
    }


def _legacy(places: dict[str, str]) -> dict[str, int]:
    memory = places["memory"]
    used = int(files.read(memory + "/memory.usage_in_bytes"))
    limit = _number(memory + "/memory.limit_in_bytes")
    read, written = _block_io(places.get("blkio", ""))
    return {
        "cpu": int(files.read(places["cpuacct"] + "/cpuacct.usage")),
        "memory": max(used - _table(memory + "/memory.stat").get("total_inactive_file", 0), 0),
        "limit": 0 if limit >= _NO_LIMIT else limit,
        "read": read,
        "written": written,
        "pids": _number(places["pids"] + "/pids.current"),
    }


def _block_io(place: str) -> tuple[int, int]:
    try:
        lines = files.read(place + "/blkio.throttle.io_service_bytes_recursive").decode("ascii", "replace")
    except OSError:
        return 0, 0
    read = written = 0
    for line in lines.splitlines():
        words = line.split()  # MAJOR:MINOR Read BYTES
        if len(words) == 3 and words[1] == "Read":
            read += int(words[2])
        elif len(words) == 3 and words[1] == "Write":
            written += int(words[2])
    return read, written
