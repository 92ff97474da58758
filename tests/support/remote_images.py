"""Images put straight into a registry, by plain HTTP: of any platform, and as odd as a test wants them.

remote = Remote(registry.port)
one = remote.image("a", "1", [{"etc/x": b"y"}])
remote.index("a", "multi", [(one, "linux/amd64"), …])
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Image:
    """What a registry holds: a manifest or an index, and of an image its config's digest and its layers' blobs."""

    repository: str
    digest: str
    size: int
    media_type: str
    data: bytes
    config: str = ""
    layers: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.config.removeprefix("sha256:")


def tar(files: Mapping[str, bytes]) -> bytes:
    """A layer: directories have names that end with a slash."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            entry.mode, entry.size = 0o755, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


class Remote:
    """A registry on a port of the loopback, without TLS and passwords."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, method: str, path: str, body: bytes = b"", media_type: str = "") -> dict[str, str]:
        """The headers of a good answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request(method, path, body, {"Content-Type": media_type} if media_type else {})
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status < 300, (method, path, answer.status, text)
            return {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def blob(self, repository: str, data: bytes) -> str:
        """Upload a blob; its digest."""
        where = self.ask("POST", f"/v2/{repository}/blobs/uploads/")["location"]
        path = "/" + where.partition("//")[2].partition("/")[2]
        self.ask("PUT", f"{path}{'&' if '?' in path else '?'}digest={digest(data)}", data, "application/octet-stream")
        return digest(data)

    def manifest(self, repository: str, reference: str, document: Mapping[str, Any]) -> Image:
        """Upload a manifest or an index under a tag, or under its digest if that is ""."""
        data = json.dumps(document).encode()
        kind = str(document["mediaType"])
        self.ask("PUT", f"/v2/{repository}/manifests/{reference or digest(data)}", data, kind)
        return Image(repository, digest(data), len(data), kind, data)

    def image(
        self,
        repository: str,
        tag: str,
        layers: Sequence[bytes | Mapping[str, bytes]],
        *,
        platform: str = "linux/amd64",
        config: Mapping[str, Any] | None = None,
        **manifest: Any,
    ) -> Image:
        """An OCI image. A layer is a tar, or its files."""
        system, architecture, *variant = platform.split("/")
        tars = [item if isinstance(item, bytes) else tar(item) for item in layers]
        document: dict[str, Any] = {
            "architecture": architecture,
            "os": system,
            "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [digest(item) for item in tars]},
        }
        if variant:
            document["variant"] = variant[0]
        described = json.dumps(document).encode()
        packed = [gzip.compress(item, 1, mtime=0) for item in tars]
        for blob in (described, *packed):
            self.blob(repository, blob)
        made = self.manifest(
            repository,
            tag,
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": OCI_CONFIG, "digest": digest(described), "size": len(described)},
                "layers": [
                    {"mediaType": OCI_LAYER_GZIP, "digest": digest(item), "size": len(item)} for item in packed
                ],
                **manifest,
            },
        )
        return Image(
            repository,
            made.digest,
            made.size,
            made.media_type,
            made.data,
            digest(described),
            [digest(item) for item in packed],
        )

    def index(self, repository: str, tag: str, images: Sequence[tuple[Image, str]]) -> Image:
        """An index of images of the same repository, each with its platform."""
        return self.manifest(
            repository, tag, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries(images)}
        )


def entries(images: Sequence[tuple[Image, str]]) -> list[dict[str, Any]]:
    """The descriptors in an index."""
    found: list[dict[str, Any]] = []
    for image, platform in images:
        item: dict[str, Any] = {"mediaType": image.media_type, "digest": image.digest, "size": image.size}
        if platform:
            system, architecture, *variant = platform.split("/")
            item["platform"] = {"os": system, "architecture": architecture}
            if variant:
                item["platform"]["variant"] = variant[0]
        found.append(item)
    return found
