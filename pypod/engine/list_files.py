"""A directory in the place of a registry, for a list that is pushed there: an OCI layout, or c/image's "dir"."""

from __future__ import annotations

import os

from pypod.errors import BadArchive, PypodError, UsageError
from pypod.oci import digest as digests
from pypod.oci.manifest import DOCKER_MANIFEST, REF_NAME
from storage import output, save

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack
    from typing import Any

    from pypod.engine.transports import Transport
    from pypod.registry.endpoints import Endpoint


def endpoint(stack: ExitStack, to: Transport, kind: str) -> Endpoint:
    """What is pushed to instead of a registry; ``stack`` is left by an exception if the push fails.

    ``kind`` is the media type that image manifests shall have. Raises UsageError, PypodError.
    """
    from pypod.registry.endpoints import Endpoint

    if to.kind == "oci" and kind == DOCKER_MANIFEST:
        raise UsageError("an OCI layout holds OCI manifests: --format=v2s2 has no place there")
    out = stack.enter_context(output.Directory(os.path.abspath(to.path)))
    if to.kind == "dir":
        save.clear(out.path)
    made: Any = (_Layout if to.kind == "oci" else _Dir)(out, to.reference)
    return Endpoint(client=made, repository="", location=str(to))


class _Files:
    """The methods of registry.Client that a push calls."""

    host = ""

    def __init__(self, out: output.Directory, name: str) -> None:
        self.out = out
        self.name = name

    def place(self, digest: str) -> str:
        """The name of a blob's file."""
        raise NotImplementedError

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> str:
        """An image's manifest, or the list itself if ``reference`` is no digest."""
        raise NotImplementedError

    def has_blob(self, repository: str, digest: str) -> int:
        """Its size in bytes, -1 if it is not there."""
        try:
            return os.stat(f"{self.out.path}/{self.place(digest)}").st_size
        except OSError:
            return -1

    def mount_blob(self, repository: str, digest: str, source: str) -> bool:
        return False

    def upload_blob(
        self, repository: str, open_: Callable[[], Iterator[bytes]], *, digest: str = "", size: int = -1
    ) -> tuple[str, int]:
        """Raises BadArchive: it is not what it should be."""

        def place(found: str) -> str:
            if digest and found != digest:
                raise BadArchive(f"blob {digest} has the digest {found}")
            return self.place(found)

        return self.out.blob(place, open_())


class _Layout(_Files):
    def __init__(self, out: output.Directory, name: str) -> None:
        super().__init__(out, name)
        out.directory("blobs")
        out.directory("blobs/sha256")

    def place(self, digest: str) -> str:
        return "blobs/" + digest.replace(":", "/", 1)

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> str:
        from pypod.base import fastjson

        digest = digests.of(data)
        self.out.add(self.place(digest), data)
        if digests.valid(reference):
            return digest
        descriptor: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": len(data)}
        if self.name:
            descriptor["annotations"] = {REF_NAME: self.name}
        entries = [*save.others(self.out.path, descriptor), descriptor]
        self.out.add("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        self.out.add("index.json", fastjson.dumps({"schemaVersion": 2, "manifests": entries}).encode())
        return digest


class _Dir(_Files):
    def place(self, digest: str) -> str:
        return digest.partition(":")[2]

    def put_manifest(self, repository: str, reference: str, data: bytes, media_type: str) -> str:
        digest = digests.of(data)
        if digests.valid(reference):
            self.out.add(f"{self.place(digest)}.manifest.json", data)
        else:
            self.out.add("version", b"Directory Transport Version: 1.1\n")
            self.out.add("manifest.json", data)
        return digest


def refuse(to: Transport, signed: bool) -> None:
    """What has no place in files. Raises UsageError, PypodError."""
    if to.kind not in ("oci", "dir"):
        raise UsageError(f"cannot push a list to {to}: registries, oci: and dir: hold lists")
    if signed:
        raise PypodError(f"--sign-by is for registries: signatures have no place in {to.kind}:")
