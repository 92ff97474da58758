"""Who may be trusted: containers-policy.json(5)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.oci.reference import Reference


def _none() -> Sequence[bytes]:
    return ()


class Policy:
    """A policy file, understood."""

    def check(
        self,
        transport: str,
        scope: Reference | str,
        manifest: bytes,
        signatures: Callable[[], Sequence[bytes]] = _none,
    ) -> None:
        """Whether the image may be used. Call it before anything else of the image is read.

        ``transport`` is "docker", "dir", "oci", "oci-archive", "docker-archive", "containers-storage" …; ``scope``
        the reference as the user named it ("docker", before mirrors and rewriting), the path ("dir") or
        "path:name" (the other ones). ``manifest``: of the image itself, not of the index it was chosen from.
        ``signatures()`` fetches those of that manifest; it is called only if the policy asks for one.

        Raises PolicyError "Source image rejected: …", RegistryError (signatures cannot be fetched).
        """
        raise NotImplementedError


def load(path: str = "") -> Policy:
    """The policy in ``path`` (--signature-policy), else the user's, else the system's.

    Raises ConfigError: there is none, or it does not parse.
    """
    raise NotImplementedError
