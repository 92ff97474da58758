"""Manifests of images that go out (image-spec manifest.md; Docker's schema 2): which media type a layer gets."""

from __future__ import annotations

from pypod.base.record import record
from pypod.errors import UsageError
from pypod.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_FOREIGN_LAYER,
    DOCKER_LAYER,
    OCI_CONFIG,
    OCI_FOREIGN_LAYER,
    OCI_LAYER,
)
from pypod.oci.manifest import DOCKER_MANIFEST as DOCKER
from pypod.oci.manifest import OCI_MANIFEST as OCI

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["DOCKER", "OCI", "Blob", "build", "choose_kind", "compression_of", "compressions", "is_foreign"]

_OCI_ENDINGS = {"": "", "gzip": "+gzip", "zstd": "+zstd", "zstd:chunked": "+zstd"}
_DOCKER_ENDINGS = {"": "", "gzip": ".gzip"}


@record
class Blob:
    """A layer as a manifest tells of it: ``size`` in bytes, ``compression`` "", gzip, zstd or zstd:chunked.

    ``foreign``: a layer that is not to be distributed, and has ``urls`` instead.
    """

    digest: str
    size: int
    compression: str = ""
    annotations: dict[str, str] = {}
    urls: tuple[str, ...] = ()
    foreign: bool = False


def compressions(kind: str) -> frozenset[str]:
    """How the layers of a manifest of this kind may be compressed."""
    return frozenset(_DOCKER_ENDINGS if kind == DOCKER else _OCI_ENDINGS)


def choose_kind(wanted: str, own: str, compression: str) -> str:
    """The kind of the manifest that is written: the ``wanted`` one, if any, else the image's ``own`` if it can have
    layers of this compression.

    Raises UsageError.
    """
    if compression in compressions(wanted or own):
        return wanted or own
    if wanted:
        raise UsageError(f"{compression} layers need an OCI manifest, not Docker's schema 2")
    return OCI


def compression_of(media_type: str) -> str:
    """What a layer's media type says: "", gzip or zstd."""
    ending = media_type.rpartition("tar")[2]
    return {"+gzip": "gzip", ".gzip": "gzip", "+zstd": "zstd"}.get(ending, "")


def is_foreign(descriptor: Mapping[str, Any]) -> bool:
    """Whether a layer's descriptor says that it is fetched from elsewhere and not to be distributed."""
    media_type = descriptor.get("mediaType")
    urls = descriptor.get("urls")
    return (
        isinstance(media_type, str)
        and media_type.startswith((OCI_FOREIGN_LAYER, DOCKER_FOREIGN_LAYER))
        and bool(urls)
    )


def _layer_type(kind: str, blob: Blob) -> str:
    if kind == DOCKER:
        return (DOCKER_FOREIGN_LAYER if blob.foreign else DOCKER_LAYER) + _DOCKER_ENDINGS[blob.compression]
    return (OCI_FOREIGN_LAYER if blob.foreign else OCI_LAYER) + _OCI_ENDINGS[blob.compression]


def build(
    kind: str, config: tuple[str, int], blobs: Sequence[Blob], annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The manifest of a config (digest, size in bytes) and of layers, lowest first.

    A Docker manifest has no room for annotations, and none for zstd: see ``compressions``.
    """
    docker = kind == DOCKER

    def descriptor(media: str, digest: str, size: int) -> dict[str, Any]:
        if docker:
            return {"mediaType": media, "size": size, "digest": digest}
        return {"mediaType": media, "digest": digest, "size": size}

    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": kind}
    document["config"] = descriptor(DOCKER_CONFIG if docker else OCI_CONFIG, *config)
    layers = document["layers"] = []
    for blob in blobs:
        layer = descriptor(_layer_type(kind, blob), blob.digest, blob.size)
        if blob.urls:
            layer["urls"] = list(blob.urls)
        if blob.annotations and not docker:
            layer["annotations"] = blob.annotations
        layers.append(layer)
    if annotations and not docker:
        document["annotations"] = dict(annotations)
    return document
