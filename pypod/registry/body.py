"""The body of a blob, which goes on where a cut connection stopped."""

from __future__ import annotations


class Body:
    """Bytes of a blob in order. Not for two readers at once; ``close`` may come from any thread."""

    def read(self, count: int) -> bytes:
        """At most ``count`` bytes, b"" at the end.

        Raises ConnectionCut when the connection broke too often without a byte in between, RegistryError when the
        blob is longer or shorter than its descriptor says, NotThere, Unauthorized.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Drop the connection; a reader in another thread ends with ConnectionCut."""
        raise NotImplementedError
