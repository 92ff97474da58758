"""Names of archive entries as paths below a root."""

from __future__ import annotations

from pypod.errors import BadArchive
from storage import tar


def clean(name: bytes) -> list[bytes]:
    """The components of an entry's name.

    Raises BadArchive for one that leads out of the root.
    """
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not parts:
                raise BadArchive(f"broken archive: {tar.show(name)}: the name leads out of the image")
            parts.pop()
            continue
        if len(part) > 255:
            raise BadArchive(f"broken archive: {tar.show(name)}: the name is too long")
        parts.append(part)
    return parts
