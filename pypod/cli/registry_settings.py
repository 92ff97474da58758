"""What the flags in ``options_registry`` say of how a registry is reached."""

from __future__ import annotations

import os

from pypod.engine import sizes
from pypod.errors import PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.registry.settings import Settings


def of(options: Mapping[str, Any]) -> Settings:
    """The settings for a command with the flags ACCESS, and maybe CREDS and RETRY.

    Raises UsageError; PypodError for a file that is not there.
    """
    from pypod.registry.settings import Settings

    authfile = options.get("authfile") or ""
    if authfile and not os.path.exists(authfile):
        raise PypodError(f"cannot read {authfile}: No such file or directory")
    creds = options.get("creds") or ""
    delay = options.get("retry_delay")
    retries = options.get("retry")
    return Settings(
        authfile=authfile,
        creds=creds,
        cert_dir=options.get("cert_dir") or "",
        tls_verify=options.get("tls_verify"),
        retries=3 if retries is None else retries,
        retry_delay=-1 if delay is None else _seconds(delay),
    )


def _seconds(text: str) -> float:
    try:
        return sizes.parse_duration(text) / 1e9
    except (ValueError, UsageError):
        raise UsageError(f'invalid duration "{text}" for --retry-delay') from None
