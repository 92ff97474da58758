"""Whether an image may be used, and the signatures that are kept with it (containers-policy.json(5))."""

from __future__ import annotations

import os

from pypod.registry import policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any as Settings

    from pypod.engine.context import Context
    from pypod.oci.reference import Reference


class Trust:
    """The policy that holds for one command: ``path`` is --signature-policy.

    Raises ConfigError: there is none, or it does not parse.
    """

    def __init__(self, context: Context, path: str = "") -> None:
        self._policy = policy.load(path, context.home)

    def registry_image(self, reference: Reference, manifest: bytes, digest: str, settings: Settings) -> list[bytes]:
        """The signatures of a registry's image, which may be used; call it before its config and layers are read.

        ``reference`` is what the user named, ``manifest`` the image's own, ``digest`` its digest. Raises PolicyError,
        RegistryError, ConfigError.
        """
        from pypod.registry import lookaside

        signatures: list[bytes] = lookaside.read(reference, digest, settings)
        self._policy.check("docker", reference, manifest, lambda: signatures)
        return signatures

    def directory_image(self, path: str, manifest: bytes) -> list[bytes]:
        """The same for a directory of the "dir" transport."""
        from pypod.registry import lookaside

        signatures = lookaside.read_directory(path)
        self._policy.check("dir", os.path.abspath(path), manifest, lambda: signatures)
        return signatures

    def archive_image(self, transport: str, path: str, name: str, manifest: bytes) -> None:
        """The same for "oci", "oci-archive" and "docker-archive", which have no signatures.

        ``path`` is "-" for stdin, ``name`` what stands after the second colon.
        """
        place = path if path == "-" else os.path.abspath(path)
        scope = f"{place}:{name}" if transport != "docker-archive" or name else place
        self._policy.check(transport, scope, manifest)
