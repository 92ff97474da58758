"""Sizes, times and durations as podman shows them, and durations as users type them."""

from __future__ import annotations

from pypod.errors import UsageError

_SECOND = 1_000_000_000
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 86400 * _SECOND,
}


def size(count: float, precision: int = 3) -> str:
    """Bytes in powers of 1000 with three significant digits: "2.16 MB"."""
    index = 0
    names = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
    while count >= 1000 and index < len(names) - 1:
        count /= 1000
        index += 1
    return f"{count:.{precision}g} {names[index]}"


def binary_size(count: int) -> str:
    """Bytes in powers of 1024: "1.5GiB"."""
    value = float(count)
    index = 0
    names = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    while value >= 1024 and index < len(names) - 1:
        value /= 1024
        index += 1
    return f"{value:.4g}{names[index]}"


def ago(nanoseconds: int) -> str:
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
    days = hours // 24
    if hours < 24 * 7 * 2:
        return f"{days} days"
    if hours < 24 * 30 * 2:
        return f"{days // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{days // 30} months"
    return f"{days // 365} years"


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration ("1h30m", "250ms", "1.5s"), also in days.

    Raises UsageError.
    """
    rest = text.removeprefix("-").removeprefix("+") if text[:1] in ("-", "+") else text
    sign = -1 if text.startswith("-") else 1
    if rest == "0":
        return 0
    total = 0.0
    bad = UsageError(f'time: invalid duration "{text}"', hint="a number with a unit: 300ms, 5s, 1h30m")
    if not rest or not rest.isascii() and "µ" not in rest:
        raise bad
    while rest:
        end = 0
        while end < len(rest) and rest[end] in "0123456789.":
            end += 1
        number, rest = rest[:end], rest[end:]
        end = 0
        while end < len(rest) and rest[end] not in "0123456789.":
            end += 1
        unit, rest = rest[:end], rest[end:]
        try:
            total += float(number) * _UNITS[unit]
        except (ValueError, KeyError):
            raise bad from None
    return sign * int(total)


def rfc3339(nanoseconds: int, *, local: bool = True) -> str:
    """A time as Go's JSON prints it: nanoseconds without trailing zeros, offset of the zone; 0 is Go's zero time."""
    if not nanoseconds:
        return "0001-01-01T00:00:00Z"
    return _stamp(nanoseconds, "T", "", local)


def timestamp(nanoseconds: int) -> str:
    """A time as Go's Time.String prints it: "2024-01-02 03:04:05.6 +0000 UTC"."""
    if not nanoseconds:
        return "0001-01-01 00:00:00 +0000 UTC"
    return _stamp(nanoseconds, " ", " ", True)


def _stamp(nanoseconds: int, between: str, gap: str, local: bool) -> str:
    import time

    seconds, rest = divmod(nanoseconds, _SECOND)
    parts = time.localtime(seconds) if local else time.gmtime(seconds)
    text = time.strftime(f"%Y-%m-%d{between}%H:%M:%S", parts)
    fraction = f".{rest:09}".rstrip("0").rstrip(".")
    offset = parts.tm_gmtoff
    hours, minutes = divmod(abs(offset) // 60, 60)
    sign = "-" if offset < 0 else "+"
    if gap:
        return f"{text}{fraction} {sign}{hours:02}{minutes:02} {parts.tm_zone}"
    zone = f"{sign}{hours:02}:{minutes:02}" if offset else "Z"
    return f"{text}{fraction}{zone}"


def parse_rfc3339(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time, such as the store's and the log files' times; 0 for Go's zero time.

    Raises ValueError.
    """
    import calendar

    date, _, clock = text.replace(" ", "T", 1).partition("T")
    year, month, day = (int(part) for part in date.split("-"))
    if year <= 1:
        return 0
    offset = 0
    if clock.endswith(("Z", "z")):
        clock = clock[:-1]
    else:
        for sign in "+-":
            head, found, zone = clock.rpartition(sign)
            if found:
                hours, _, minutes = zone.partition(":")
                offset = (int(hours) * 3600 + int(minutes or "0") * 60) * (1 if sign == "+" else -1)
                clock = head
                break
    whole, _, fraction = clock.partition(".")
    hour, minute, second = (int(part) for part in whole.split(":"))
    seconds = calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0)) - offset
    return seconds * _SECOND + int((fraction + "000000000")[:9] if fraction else "0")
