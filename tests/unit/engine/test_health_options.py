"""--health-* and HEALTHCHECK."""

from __future__ import annotations

from typing import Any

import pytest

from pypod.engine import health_options
from pypod.engine.config import HealthCheck
from pypod.errors import UsageError

SECOND = 1_000_000_000
IMAGE = {"Test": ["CMD", "check"], "Interval": 5 * SECOND, "Retries": 7}


def parse(image: dict[str, Any] | None = None, **options: Any) -> HealthCheck | None:
    return health_options.parse(options, image)


def test_none() -> None:
    assert parse() is None
    assert parse({"Test": ["NONE"]}) is None
    assert parse(IMAGE, no_healthcheck=True) is None
    assert parse(IMAGE, health_cmd="none") is None


def test_from_the_image() -> None:
    assert parse(IMAGE) == HealthCheck(test=["CMD", "check"], interval=5 * SECOND, retries=7)
    found = parse(IMAGE, health_interval="1m", health_on_failure="kill")
    assert found is not None
    assert (found.interval, found.retries, found.on_failure) == (60 * SECOND, 7, "kill")


def test_from_flags() -> None:
    found = parse(IMAGE, health_cmd="a && b", health_timeout="2s", health_start_period="1h", health_retries=1)
    assert found == HealthCheck(
        test=["CMD-SHELL", "a && b"], timeout=2 * SECOND, start_period=3600 * SECOND, retries=1
    )
    words = parse(health_cmd='["a", "b c"]')
    assert words is not None and words.test == ["CMD", "a", "b c"]
    off = parse(health_cmd="a", health_interval="disable")
    assert off is not None and off.interval == 0


@pytest.mark.parametrize(
    "options",
    [
        {"health_interval": "x"},
        {"health_timeout": "100ms"},
        {"health_retries": 0},
        {"health_on_failure": "explode"},
        {"no_healthcheck": True},
        {"health_startup_cmd": "b", "health_startup_timeout": "1ms"},
    ],
)
def test_nonsense(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        parse(health_cmd="a", **options)


def test_the_startup_check() -> None:
    found = parse(
        IMAGE,
        health_startup_cmd="b",
        health_startup_interval="1s",
        health_startup_retries=4,
        health_startup_success=2,
    )
    assert found is not None
    assert (found.test, found.startup_test) == (["CMD", "check"], ["CMD-SHELL", "b"])
    assert (found.startup_interval, found.startup_timeout) == (SECOND, 30 * SECOND)
    assert (found.startup_retries, found.startup_success) == (4, 2)
    off = parse(IMAGE, health_startup_cmd="b", health_startup_interval="disable")
    assert off is not None and off.startup_interval == 0
    with pytest.raises(UsageError, match="needs a health check"):
        parse(health_startup_cmd="b")
