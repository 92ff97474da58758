"""Sizes and durations: what Go's parsers take, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.engine import sizes

UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512m", 512 << 20),
        ("1.5g", 3 << 29),
        ("65536k", 65536 << 10),
        ("10KiB", 10240),
        ("10 kb", 10240),
        ("1G", 1 << 30),
        ("7", 7),
        (".5k", 512),
        ("2b", 2),
    ],
)
def test_size(text: str, size: int) -> None:
    assert sizes.parse_size(text) == size


@given(st.integers(0, 1 << 40), st.sampled_from(sorted(UNITS)), st.booleans())
def test_size_is_number_times_unit(number: int, unit: str, upper: bool) -> None:
    text = f"{number}{unit.upper() if upper else unit}"
    assert sizes.parse_size(text) == number * UNITS[unit]


@pytest.mark.parametrize("text", ["", "x", "m", "1x", "1.2.3k", "-1k", ".", "1 2", "1kk", "ib"])
def test_bad_size(text: str) -> None:
    with pytest.raises(ValueError, match="invalid size"):
        sizes.parse_size(text)


@given(st.text())
def test_size_never_breaks(text: str) -> None:
    try:
        assert sizes.parse_size(text) >= 0
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("30s", 30 * 10**9),
        ("1h30m", 5400 * 10**9),
        ("300ms", 300 * 10**6),
        ("1.5h", 5400 * 10**9),
        ("0", 0),
        ("-2s", -2 * 10**9),
        ("1µs", 1000),
        ("10ns", 10),
    ],
)
def test_duration(text: str, ns: int) -> None:
    assert sizes.parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "x", "5", "s", "1x", "1s2", "1..2s", "--1s", "1 s"])
def test_bad_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        sizes.parse_duration(text)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int, ms: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s{ms}ms"
    assert sizes.parse_duration(text) == ((hours * 60 + minutes) * 60 + seconds) * 10**9 + ms * 10**6


@given(st.text(alphabet="0123456789hmsnuµ.+-", max_size=12))
def test_duration_never_breaks(text: str) -> None:
    try:
        sizes.parse_duration(text)
    except ValueError:
        pass


@pytest.mark.parametrize("text", ["1_0", " 1", "", "-", "٣", "1.0"])
def test_bad_integer(text: str) -> None:
    with pytest.raises(ValueError, match="invalid number"):
        sizes.parse_integer(text)
