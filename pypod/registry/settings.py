"""What the command line says of registries."""

from __future__ import annotations

from pypod.base.record import record


@record
class Settings:
    """``creds``: "user[:password]". ``tls_verify`` None: as registries.conf says. ``retry_delay`` in seconds; -1: 1,
    2, 4 … up to 60. ``registries_conf`` "": where containers-registries.conf(5) says.
    """

    authfile: str = ""
    creds: str = ""
    cert_dir: str = ""
    tls_verify: bool | None = None
    retries: int = 3
    retry_delay: float = -1
    registries_conf: str = ""
