"""A container's counters from its processes: where it has no cgroup, as rootless on cgroup v1 (proc(5)).

What a process used that has ended counts with the one that waited for it. Memory is the proportional set size: what
several processes share counts once.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.engine import top

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.container import Container


def read(container: Container, first: int) -> dict[str, int]:
    """cpu (ns), memory, limit (0: none), read, written (bytes), pids (threads too) of all processes."""
    total = {"cpu": 0, "memory": 0, "limit": 0, "read": 0, "written": 0, "pids": 0}
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    page = os.sysconf("SC_PAGE_SIZE")
    for pid in top.members(container, first):
        try:
            words = files.read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        except OSError:
            continue
        # After the state: utime, stime, cutime, cstime are fields 14 to 17, threads 20, rss 24.
        total["cpu"] += sum(int(word) for word in words[11:15]) * tick
        total["pids"] += int(words[17])
        total["memory"] += _memory(pid, int(words[21]) * page)
        total["read"] += _io(pid, b"read_bytes:")
        total["written"] += _io(pid, b"write_bytes:")
    return total


def _memory(pid: int, resident: int) -> int:
    found = _field(f"/proc/{pid}/smaps_rollup", b"Pss:")
    return resident if found is None else found * 1024


def _io(pid: int, key: bytes) -> int:
    return _field(f"/proc/{pid}/io", key) or 0


def _field(path: str, key: bytes) -> int | None:
    try:
        for line in files.read(path).splitlines():
            if line.startswith(key):
                return int(line.split()[1])
    except OSError:
        pass
    return None
