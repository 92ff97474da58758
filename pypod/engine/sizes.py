"""Sizes and durations as people type them: 512m, 1.5g; 30s, 1h30m (Go's ParseDuration)."""

from __future__ import annotations

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}

_TIMES = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}

_DIGITS = "0123456789"


def parse_size(text: str) -> int:
    """Bytes of "512m", "1.5g", "2gb", "10KiB": units are powers of 1024 and upper or lower case.

    Raises ValueError.
    """
    end = 0
    while end < len(text) and text[end] in "0123456789.":
        end += 1
    number = text[:end]
    unit = text[end:].lstrip(" ").lower()
    for tail in ("ib", "b"):
        if len(unit) > len(tail) and unit.endswith(tail):
            unit = unit[: -len(tail)]
            break
    if unit not in _UNITS or number.count(".") > 1 or not number.strip("."):
        raise ValueError(f"invalid size: '{text}'")
    whole, _, part = number.partition(".")
    size = int(whole or "0") * _UNITS[unit]
    if part:
        size += int(part) * _UNITS[unit] // 10 ** len(part)
    return size


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration: "300ms", "1.5h", "1h30m"; "0" is the only one without a unit.

    Raises ValueError.
    """
    bad = ValueError(f'invalid duration "{text}"')
    rest = text
    sign = 1
    if rest[:1] in ("+", "-"):
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise bad
    total = 0
    while rest:
        end = 0
        while end < len(rest) and rest[end] in "0123456789.":
            end += 1
        number, rest = rest[:end], rest[end:]
        end = 0
        while end < len(rest) and rest[end] not in "0123456789.":
            end += 1
        unit, rest = rest[:end], rest[end:]
        if number.count(".") > 1 or not number.strip("."):
            raise bad
        if not unit:
            raise ValueError(f'missing unit in duration "{text}"')
        if unit not in _TIMES:
            raise ValueError(f'unknown unit "{unit}" in duration "{text}"')
        whole, _, part = number.partition(".")
        total += int(whole or "0") * _TIMES[unit]
        if part:
            total += int(part) * _TIMES[unit] // 10 ** len(part)
    return sign * total


def parse_integer(text: str) -> int:
    """A decimal number with an optional sign, and nothing else (int() would take blanks and underscores).

    Raises ValueError.
    """
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not digits or any(digit not in _DIGITS for digit in digits):
        raise ValueError(f'invalid number "{text}"')
    return int(text)
