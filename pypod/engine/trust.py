"""Whether an image may be used, and the signatures that are kept with it (containers-policy.json(5))."""

from __future__ import annotations

import os

from pypod.registry import policy, signing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.context import Context
    from pypod.oci.reference import Reference
    from pypod.registry.endpoints import Endpoint
    from pypod.registry.settings import Settings
    from storage.load import Accept


class Trust:
    """The policy that holds for one command: ``path`` is --signature-policy.

    Raises ConfigError: there is none, or it does not parse.
    """

    def __init__(self, context: Context, path: str = "") -> None:
        self._policy = policy.load(path, context.home)

    def registry_image(
        self, reference: Reference, manifest: bytes, digest: str, settings: Settings, endpoint: Endpoint
    ) -> list[bytes]:
        """The signatures of a registry's image, which may be used; call it before its config and layers are read.

        ``reference`` is what the user named, ``manifest`` the image's own, ``digest`` its digest,
        ``endpoint`` where it comes from. Raises PolicyError, RegistryError, ConfigError.
        """
        from pypod.registry import lookaside, registries_d, sigstore

        signatures: list[bytes] = lookaside.read(reference, digest, settings)
        if registries_d.load().attachments(reference):
            signatures += sigstore.fetch(endpoint.client, endpoint.repository, digest)
        self._policy.check("docker", reference, manifest, lambda: signatures)
        return signatures

    def accepts(self, source: str) -> Accept:
        """What storage.load asks before it reads an image of the archive or directory ``source``, "-" for stdin.

        It raises PolicyError.
        """
        place = source if source == "-" else os.path.abspath(source)
        directory = os.path.isdir(place)

        def accept(transport: str, name: str, manifest: bytes, signatures: Sequence[bytes]) -> None:
            if transport == "oci":
                transport, scope = "oci" if directory else "oci-archive", f"{place}:{name}"
            else:
                scope = place
                for number, signature in enumerate(signatures, 1):
                    signing.check_format(signature, f"{place}/signature-{number}")
            self._policy.check(transport, scope, manifest, lambda: signatures)

        return accept

    def tarball(self, source: str) -> None:
        """Whether a root file system's archive may become an image. Raises PolicyError."""
        self._policy.check("tarball", source, b"")
