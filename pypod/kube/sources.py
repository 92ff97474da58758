"""What config maps and secrets hold, for those who refer to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pypod.errors import UsageError
from pypod.kube.fields import meant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pypod.kube.objects import Reference


@dataclass(frozen=True)
class Sources:
    """Data by name. ``secret`` is asked for secrets that the file has not: None for one that does not exist."""

    config_maps: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    secret: Callable[[str], Mapping[str, bytes] | None] = lambda name: None

    def get(self, reference: Reference, path: str) -> Mapping[str, bytes] | None:
        """All that is in it; None if it is not there and need not be. Raises UsageError."""
        if reference.kind == "ConfigMap":
            found = self.config_maps.get(reference.name)
            known, what = list(self.config_maps), "config map"
        else:
            found = self.secrets.get(reference.name)
            known, what = list(self.secrets), "secret"
            if found is None:
                found = self.secret(reference.name)
        if found is None and not reference.optional:
            raise UsageError(f"{path}: no {what} {reference.name}", hint=meant(reference.name, known, 0.6))
        return found

    def value(self, reference: Reference, path: str) -> str | None:
        """The text of one key; None if it is not there and need not be. Raises UsageError."""
        found = self.get(reference, path)
        if found is None:
            return None
        content = found.get(reference.key)
        if content is None:
            if reference.optional:
                return None
            raise UsageError(
                f"{path}: {reference.name} has no key {reference.key}", hint=meant(reference.key, list(found), 0.6)
            )
        return text(content, path)


def text(content: bytes, path: str) -> str:
    """As a variable has it. Raises UsageError."""
    if b"\0" in content:
        raise UsageError(f"{path}: a zero byte, which no variable can have")
    return content.decode("utf-8", "surrogateescape")
