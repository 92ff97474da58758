"""Times as nanoseconds since 1970 and as RFC 3339 text, without ``datetime`` (1 ms)."""

from __future__ import annotations

import time

NEVER = "0001-01-01T00:00:00Z"  # how Go's JSON writes a time that was not set


def now() -> int:
    return time.time_ns()


def rfc3339(ns: int) -> str:
    """UTC text as Go writes it (RFC3339Nano): the fraction has no zeros at its end. 0 is NEVER."""
    return since_1970(ns) if ns else NEVER


def since_1970(ns: int) -> str:
    """The same, where 0 is a time as any other."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    return trimmed(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z")


def trimmed(text: str) -> str:
    """UTC text that may have zeros at the end of its fraction, as Go writes it."""
    return text[:-1].rstrip("0").rstrip(".") + "Z" if "." in text and text.endswith("Z") else text


def order(text: str) -> str:
    """Sorts as the times do, for UTC texts with fractions of any length."""
    return text.removesuffix("Z")


def parse_rfc3339(text: str) -> int:
    """Nanoseconds since 1970 of RFC 3339 text; 0 for NEVER.

    Raises ValueError.
    """
    if text.startswith("0001-"):
        return 0
    date, _, rest = text.strip().replace("t", "T").replace(" ", "T", 1).partition("T")
    offset = 0
    if rest[-1:] in "Zz":
        rest = rest[:-1]
    else:
        at = max(rest.rfind("+"), rest.rfind("-"))
        if at > 0:
            hours, _, minutes = rest[at + 1 :].partition(":")
            offset = int(hours) * 3600 + int(minutes or 0) * 60
            offset = -offset if rest[at] == "-" else offset
            rest = rest[:at]
    clock, _, fraction = rest.partition(".")
    year, month, day = (int(part) for part in date.split("-"))
    hour, minute, second = (int(part) for part in clock.split(":"))
    # Days from the civil calendar (Howard Hinnant's algorithm): calendar.timegm imports datetime.
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    days = era * 146097 + day_of_era - 719468
    seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset
    return seconds * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0)
