"""TLS files of registries: containers-certs.d(5)."""

from __future__ import annotations

import os

from pypod.errors import ConfigError, reason
from pypod.registry import places
from pypod.registry.access import Tls


def directories(host: str) -> list[str]:
    """Where files for ``host`` ("name[:port]") may be: the first that exists counts."""
    bases = (f"{places.config()}/certs.d", f"{places.SYSTEM}/certs.d", "/etc/docker/certs.d")
    return [f"{base}/{host}" for base in bases]


def tls(host: str, directory: str = "", *, verify: bool = True) -> Tls:
    """What ``directory`` (--cert-dir), else the configured ones, hold for ``host``.

    Raises ConfigError: a certificate lacks its key, or a key its certificate; or the directory cannot be read.
    """
    if directory:
        try:
            return _read(directory, verify)
        except FileNotFoundError as error:
            raise ConfigError(f"cannot read certificates {directory}: {reason(error)}") from None
    for place in directories(host):
        try:
            return _read(place, verify)
        except FileNotFoundError:
            continue
    return Tls(verify=verify)


def _read(directory: str, verify: bool) -> Tls:
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        raise
    except PermissionError:
        return Tls(verify=verify)  # another user's: the defaults count, as in containers/image
    except OSError as error:
        raise ConfigError(f"cannot read certificates {directory}: {reason(error)}") from None
    authorities = tuple(f"{directory}/{name}" for name in names if name.endswith(".crt"))
    certificate = key = ""
    for name in names:
        stem, dot, kind = name.rpartition(".")
        if not dot or kind not in ("cert", "key"):
            continue
        partner = f"{stem}.{'key' if kind == 'cert' else 'cert'}"
        if partner not in names:
            raise ConfigError(f"cannot use {directory}/{name}: missing {partner}")
        if kind == "cert" and not certificate:
            certificate, key = f"{directory}/{name}", f"{directory}/{partner}"
    return Tls(verify=verify, authorities=authorities, certificate=certificate, key=key)
