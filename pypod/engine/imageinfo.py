"""What a container takes from its image."""

from __future__ import annotations

from pypod.base.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@record
class ImageInfo:
    """``config`` is the whole image config document (image-spec, config.md)."""

    id: str
    name: str = ""  # the name as resolved: localhost/x:latest
    raw_name: str = ""  # the name as typed
    config: dict[str, Any] = {}

    @property
    def run(self) -> dict[str, Any]:
        """The ``config`` object inside: Env, Cmd, Entrypoint, User, …"""
        found = self.config.get("config")
        return found if isinstance(found, dict) else {}
