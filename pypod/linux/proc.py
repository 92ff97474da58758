"""Processes by pid and start time, so that a recycled pid is never taken for the one that was meant (proc(5))."""

from __future__ import annotations

from pypod.base import files


def start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat, in clock ticks since boot; 0 if there is no such process, or only a zombie."""
    if pid <= 0:
        return 0
    try:
        text = files.read(f"/proc/{pid}/stat")
    except OSError:
        return 0
    # The command name may hold blanks and parentheses: fields are counted from its last one.
    fields = text[text.rindex(b")") + 2 :].split()
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def alive(pid: int, started: int) -> bool:
    """Whether the process that had ``pid`` when it started at ``started`` still runs."""
    return started != 0 and start_time(pid) == started


def parent(pid: int) -> int:
    """The pid of a process's parent; 0 if there is no such process."""
    try:
        text = files.read(f"/proc/{pid}/stat")
    except OSError:
        return 0
    return int(text[text.rindex(b")") + 2 :].split()[1])


def children(pid: int) -> list[int]:
    """The pids of a process's children, of its main thread."""
    try:
        return [int(word) for word in files.read(f"/proc/{pid}/task/{pid}/children").split()]
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """A process's children, theirs, and so on."""
    found: list[int] = []
    pending = children(pid) if pid > 0 else []
    while pending:
        found += pending
        pending = [child for parent in pending for child in children(parent)]
    return found


def boot_time() -> int:
    """When this boot began, in nanoseconds since 1970, to the second (proc(5), /proc/stat)."""
    for line in files.read("/proc/stat").splitlines():
        if line.startswith(b"btime "):
            return int(line.split()[1]) * 1_000_000_000
    return 0
