"""RFC 3339 text as Go writes it."""

from __future__ import annotations

import pytest

from pypod.base import times

SECOND = 1_000_000_000
MOMENT = 1_767_323_045 * SECOND  # 2026-01-02T03:04:05Z


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (MOMENT, "2026-01-02T03:04:05Z"),
        (MOMENT + 600_000_000, "2026-01-02T03:04:05.6Z"),
        (MOMENT + 717_010_000, "2026-01-02T03:04:05.71701Z"),
        (MOMENT + 10, "2026-01-02T03:04:05.00000001Z"),
        (MOMENT + 1, "2026-01-02T03:04:05.000000001Z"),
        (MOMENT + 15 * SECOND, "2026-01-02T03:04:20Z"),  # not a zero of the seconds
        (-SECOND // 2, "1969-12-31T23:59:59.5Z"),
    ],
)
def test_the_fraction_has_no_zeros_at_its_end(ns: int, text: str) -> None:
    assert times.rfc3339(ns) == times.since_1970(ns) == times.trimmed(text) == text
    assert times.parse_rfc3339(text) == ns


def test_zero_is_no_time_where_a_time_may_be_missing() -> None:
    assert times.rfc3339(0) == times.NEVER and times.parse_rfc3339(times.NEVER) == 0
    assert times.since_1970(0) == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("2026-01-02T03:04:05.717010000Z", "2026-01-02T03:04:05.71701Z"),
        ("2026-01-02T03:04:05.000000000Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:50Z", "2026-01-02T03:04:50Z"),
        ("2026-01-02T03:04:05.10+10:00", "2026-01-02T03:04:05.10+10:00"),
        ("", ""),
    ],
)
def test_what_has_been_stored_with_zeros(stored: str, text: str) -> None:
    assert times.trimmed(stored) == text


def test_texts_of_any_length_are_in_the_order_of_their_times() -> None:
    moments = [MOMENT + more for more in (0, 1, 10, 100_000_000, 110_000_000, 110_000_001, 900_000_000, SECOND)]
    texts = [times.rfc3339(moment) for moment in moments]
    assert sorted(texts) != texts
    assert sorted(texts, key=times.order) == texts
