"""--health-* and the image's HEALTHCHECK (podman-healthcheck-run(1))."""

from __future__ import annotations

from pypod.engine import sizes
from pypod.engine.config import HealthCheck
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_ACTIONS = ("none", "kill", "restart", "stop")


def _duration(options: Mapping[str, Any], key: str, default: int, least: int) -> int:
    text = options.get(key)
    if not text:
        return default
    flag = "--" + key.replace("_", "-")
    if key.endswith("_interval") and text == "disable":
        return 0
    try:
        value = sizes.parse_duration(str(text))
    except ValueError as error:
        raise UsageError(f"invalid {key.replace('_', '-')} {text}: time: {error}") from None
    if value < least:
        raise UsageError(
            f"{flag} must be at least {least / 1_000_000_000:g} second{'' if least == 1_000_000_000 else 's'}"
        )
    return value


def _test(text: str) -> list[str]:
    """The image-spec's form of --health-cmd: a shell line, or a JSON array of words."""
    if text.startswith("["):
        from pypod.base import fastjson

        try:
            words = fastjson.loads(text)
        except fastjson.BadJson:
            words = None
        if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
            return words if words[0] in ("NONE", "CMD", "CMD-SHELL") else ["CMD", *words]
    return ["CMD-SHELL", text]


def parse(options: Mapping[str, Any], image: Mapping[str, Any] | None) -> HealthCheck | None:
    """The check of a container; None if it has none. Raises UsageError."""
    command = options.get("health_cmd") or ""
    image = image or {}
    wanted = [key for key in options if key.startswith("health_") and options[key] and options[key] != "none"]
    if options.get("no_healthcheck"):
        if wanted:
            raise UsageError("cannot specify both --no-healthcheck and --health-cmd")
        return None
    startup = options.get("health_startup_cmd") or ""
    if command in ("none", "NONE") or (not command and (image.get("Test") or ["NONE"])[0] in ("NONE", "")):
        if startup:
            raise UsageError("--health-startup-cmd needs a health check: give --health-cmd as well")
        return None
    test = _test(command) if command else [str(word) for word in image["Test"]]
    on_failure = options.get("health_on_failure") or "none"
    if on_failure not in _ACTIONS:
        raise UsageError(
            f'invalid value "{on_failure}" for --health-on-failure: must be one of {", ".join(_ACTIONS)}'
        )
    inherited = image if not command else {}
    retries = options.get("health_retries")
    if retries is None:
        retries = int(inherited.get("Retries") or 3)
    if retries < 1:
        raise UsageError("healthcheck-retries must be greater than 0")
    second = 1_000_000_000
    return HealthCheck(
        test=test,
        interval=_duration(options, "health_interval", int(inherited.get("Interval") or 30 * second), 0),
        timeout=_duration(options, "health_timeout", int(inherited.get("Timeout") or 30 * second), second),
        start_period=_duration(options, "health_start_period", int(inherited.get("StartPeriod") or 0), 0),
        retries=int(retries),
        on_failure=on_failure,
        startup_test=_test(startup) if startup else [],
        startup_interval=_duration(options, "health_startup_interval", 30 * second, 0) if startup else 0,
        startup_timeout=_duration(options, "health_startup_timeout", 30 * second, second) if startup else 0,
        startup_retries=int(options.get("health_startup_retries") or 0) if startup else 0,
        startup_success=int(options.get("health_startup_success") or 0) if startup else 0,
    )
