"""Where the signatures of a registry's images are: containers-registries.d(5)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any as Settings

    from pypod.oci.reference import Reference


def read(reference: Reference, digest: str, settings: Settings) -> list[bytes]:
    """The signatures of the manifest ``digest`` of ``reference``'s repository. Raises RegistryError, ConfigError."""
    raise NotImplementedError


def write(reference: Reference, digest: str, signatures: Sequence[bytes]) -> None:
    """Add ``signatures`` to those that the manifest has. Raises RegistryError, ConfigError."""
    raise NotImplementedError
