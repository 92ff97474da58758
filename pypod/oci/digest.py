"""Digests: ``sha256:`` and 64 lower-case hexadecimal digits (image-spec, descriptor.md)."""

from __future__ import annotations

_HEX = frozenset("0123456789abcdef")


def valid(text: object) -> bool:
    """Whether ``text`` is a sha256 digest."""
    return isinstance(text, str) and len(text) == 71 and text.startswith("sha256:") and _HEX.issuperset(text[7:])


def of(data: bytes) -> str:
    """The digest of ``data``."""
    import hashlib

    return "sha256:" + hashlib.sha256(data).hexdigest()
