"""Simple signing (containers-signature(5)) by gpg."""

from __future__ import annotations

from pypod.base.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType


@record
class Claim:
    """What a verified signature says, and whose it is: the fingerprint of the primary key."""

    digest: str
    reference: str
    key: str


class Signer:
    """Signs as the user; a context manager.

    Make it before the process enters a user namespace or starts threads: the user's gpg-agent, which may know the
    passphrase, is not found from inside. Raises PolicyError if there is no such secret key.
    """

    def __init__(self, key: str, passphrase_file: str = "") -> None:
        raise NotImplementedError

    def __enter__(self) -> Signer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError

    def sign(self, digest: str, reference: str) -> bytes:
        """A signature that says: the manifest with this digest is the image ``reference``, complete with its tag.

        Raises PolicyError.
        """
        raise NotImplementedError


def verify(signature: bytes, keyrings: Sequence[bytes]) -> Claim:
    """What ``signature`` says, if it is one valid signature by a key of ``keyrings``. Raises PolicyError."""
    raise NotImplementedError
