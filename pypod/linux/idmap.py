"""Ranges of subordinate ids (subuid(5)) and the maps made of them (user_namespaces(7))."""

from __future__ import annotations

from pypod.base import files
from pypod.base.record import record


@record
class Range:
    """``count`` ids: ``inside`` the namespace they begin at one number, ``outside`` at another."""

    inside: int
    outside: int
    count: int


def subordinate(path: str, user: str, uid: int) -> list[tuple[int, int]]:
    """The (first id, count) ranges that ``path`` (/etc/subuid or /etc/subgid) gives to a user, by name or number."""
    try:
        text = files.read(path).decode("utf-8", "replace")
    except OSError:
        return []
    ranges = []
    for line in text.splitlines():
        owner, _, rest = line.strip().partition(":")
        if owner not in (user, str(uid)):
            continue
        first, _, count = rest.partition(":")
        if first.isdecimal() and count.isdecimal() and int(count) > 0:
            ranges.append((int(first), int(count)))
    return ranges


def rootless(own: int, ranges: list[tuple[int, int]]) -> list[Range]:
    """The map of a rootless user's containers: 0 is the user, 1 and up are the subordinate ids."""
    result = [Range(inside=0, outside=own, count=1)]
    inside = 1
    for first, count in ranges:
        result.append(Range(inside=inside, outside=first, count=count))
        inside += count
    return result


def of_process(pid: int | str = "self", kind: str = "uid") -> list[Range]:
    """The map of a process's user namespace, as seen from the reader's (/proc/PID/uid_map).

    Raises OSError.
    """
    result = []
    for line in files.read(f"/proc/{pid}/{kind}_map").splitlines():
        inside, outside, count = (int(word) for word in line.split())
        result.append(Range(inside=inside, outside=outside, count=count))
    return result


def is_initial(ranges: list[Range]) -> bool:
    """Whether a map is that of the initial user namespace: every id is itself."""
    return len(ranges) == 1 and ranges[0].inside == ranges[0].outside == 0 and ranges[0].count == 4294967295


def size(ranges: list[Range]) -> int:
    """One more than the highest id that is mapped."""
    return max((item.inside + item.count for item in ranges), default=0)
