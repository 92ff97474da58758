"""Sizes and times as podman shows them to people."""

from __future__ import annotations

_SECOND = 1_000_000_000


def size(count: float, *, space: bool = True, digits: int = 3) -> str:
    """Bytes in powers of 1000 with that many significant digits: "2.16 MB" (docker/go-units' HumanSize, which has 4,
    and CustomSize)."""
    index = 0
    names = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
    while count >= 1000 and index < len(names) - 1:
        count /= 1000
        index += 1
    # 999.9 rounds to 1e+03, which is how %.3g would show it.
    number = f"{count:.0f}" if count >= 10**3 - 0.5 * 10.0 ** (3 - digits) else f"{count:.{digits}g}"
    return f"{number}{' ' if space else ''}{names[index]}"


def duration(nanoseconds: int) -> str:
    """A duration for people, without a direction: "5 minutes" (docker/go-units' HumanDuration)."""
    seconds = nanoseconds // _SECOND
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{hours // 24 // 365} years"


def ago(then: int, now: int) -> str:
    """How long before ``now`` (both ns since 1970): "5 minutes ago"."""
    return duration(now - then) + " ago"


def timestamp(nanoseconds: int) -> str:
    """A time as Go's Time.String prints it, in the local zone: "2024-01-02 03:04:05.6 +0000 UTC"."""
    if not nanoseconds:
        return "0001-01-01 00:00:00 +0000 UTC"
    import time

    seconds, rest = divmod(nanoseconds, _SECOND)
    parts = time.localtime(seconds)
    fraction = f".{rest:09}".rstrip("0").rstrip(".")
    hours, minutes = divmod(abs(parts.tm_gmtoff) // 60, 60)
    sign = "-" if parts.tm_gmtoff < 0 else "+"
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', parts)}{fraction} {sign}{hours:02}{minutes:02} {parts.tm_zone}"
