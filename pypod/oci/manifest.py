"""Manifests and indexes (image-spec manifest.md, image-index.md; Docker's schema 2): data from bytes.

Messages begin with "broken archive:"; who knows what was read puts its name there.
"""

from __future__ import annotations

from pypod.base.record import record
from pypod.base.text import show
from pypod.errors import BadArchive
from pypod.oci import digest as digests
from pypod.oci import image_document
from pypod.oci.platform import Platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
OCI_FOREIGN_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar"  # also with +gzip, +zstd
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
DOCKER_LAYER_ZSTD = DOCKER_LAYER + ".zstd"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar"  # also with .gzip
SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)

REF_NAME = "org.opencontainers.image.ref.name"
_DEEPEST = 4  # manifests from the first index to the image


@record
class Descriptor:
    """``size`` in bytes, -1 if it is not said; ``platform`` None if it is not said."""

    media_type: str
    digest: str
    size: int
    urls: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    platform: Platform | None = None
    artifact_type: str = ""


@record
class Manifest:
    """``layers`` from the base up."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}
    subject: Descriptor | None = None
    artifact_type: str = ""

    @property
    def is_image(self) -> bool:
        """Whether it is an image's and no artifact's."""
        return self.config.media_type in (OCI_CONFIG, DOCKER_CONFIG, "")


@record
class Index:
    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}
    subject: Descriptor | None = None
    artifact_type: str = ""


def parse(data: bytes, media_type: str = "", what: str = "a manifest") -> Manifest | Index:
    """A manifest or an index. ``media_type`` is what its descriptor or the server says, for one that does not say it.

    Raises BadArchive, for a schema 1 manifest too.
    """
    document = read_object(data, what)
    said = document.get("mediaType")
    kind = said if isinstance(said, str) and said else media_type
    if kind in SCHEMA_1 or document.get("schemaVersion") == 1:
        raise BadArchive(
            f"broken archive: {what}: Docker's manifest schema 1 is not supported",
            hint="the image must be pushed again, by a tool that writes schema 2 or OCI manifests",
        )
    image_document.check_manifest(document, what)
    lists = document.get("manifests")
    is_index = "layers" not in document and (kind in INDEXES or lists is not None)
    others = MANIFESTS if is_index else INDEXES
    if kind in others or media_type in others:
        raise BadArchive(f"broken archive: {what}: it is not what its media type {show(media_type or kind, 80)} says")
    annotations = document.get("annotations") or {}
    subject = document.get("subject")
    more: dict[str, Any] = {
        "annotations": annotations,
        "subject": None if subject is None else descriptor(subject, f"the subject of {what}"),
        "artifact_type": document.get("artifactType") or "",
    }
    if is_index:
        if not isinstance(lists, list):
            raise BadArchive("broken archive: an index lists no manifests")
        manifests = tuple(descriptor(item, "a manifest in an index") for item in lists)
        return Index(media_type=kind or OCI_INDEX, manifests=manifests, **more)
    layers = document.get("layers")
    if not isinstance(layers, list):
        raise BadArchive("broken archive: a manifest has no layers")
    return Manifest(
        media_type=kind or OCI_MANIFEST,
        config=descriptor(document.get("config"), "config"),
        layers=tuple(descriptor(item, "a layer") for item in layers),
        **more,
    )


def read_object(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises BadArchive.
    """
    value = image_document.read(data, what)
    if not isinstance(value, dict):
        raise BadArchive(f"broken archive: {show(what)} is not a JSON object")
    return value


def descriptor(value: Any, what: str) -> Descriptor:
    """``value`` as a descriptor of ``what``.

    Raises BadArchive.
    """
    if not isinstance(value, dict):
        raise BadArchive(f"broken archive: the descriptor of {what} is not a JSON object")
    image_document.check_descriptor(value, what)
    digest = value.get("digest")
    if not digests.valid(digest):
        raise BadArchive(f"broken archive: the digest of {what} {str(digest)[:100]!r} is not a sha256 digest")
    size = value.get("size")
    if size is not None and size < 0:
        raise BadArchive(f"broken archive: the size of {what} is {str(size)[:40]!r}")
    platform = value.get("platform")
    return Descriptor(
        media_type=value.get("mediaType") or "",
        digest=str(digest),
        size=-1 if size is None else size,
        urls=tuple(value.get("urls") or ()),
        annotations=value.get("annotations") or {},
        platform=None
        if platform is None
        else Platform(
            os=platform.get("os") or "",
            architecture=platform.get("architecture") or "",
            variant=platform.get("variant") or "",
        ),
        artifact_type=value.get("artifactType") or "",
    )


def check(data: bytes, wanted: Descriptor, what: str) -> bytes:
    """``data`` if it is what the descriptor says.

    Raises BadArchive.
    """
    found = digests.of(data)
    if found != wanted.digest:
        raise BadArchive(f"broken archive: {what} {wanted.digest} has the digest {found}")
    if wanted.size >= 0 and wanted.size != len(data):
        raise BadArchive(
            f"broken archive: {what} {wanted.digest} has {len(data)} bytes, its descriptor says {wanted.size}"
        )
    return data


def best(descriptors: Sequence[Descriptor], platform: Platform) -> Descriptor | None:
    """The first of those that fit best; one that does not say its platform does if nothing else does."""
    chosen: Descriptor | None = None
    most = -1
    for item in descriptors:
        fits = 0 if item.platform is None else platform.fits(item.platform) or -1
        if fits > most:
            chosen, most = item, fits
    return chosen


def choose(index: Index, platform: Platform) -> Descriptor:
    """The manifest of an index for ``platform``.

    Raises BadArchive.
    """
    if not index.manifests:
        raise BadArchive("broken archive: an index lists no manifests")
    found = best(index.manifests, platform)
    if found is None:
        raise no_platform(index.manifests, platform)
    return found


def no_platform(descriptors: Sequence[Descriptor], platform: Platform) -> BadArchive:
    """The error that nothing fits."""
    there = sorted({str(item.platform) for item in descriptors if item.platform is not None} - {"unknown/unknown"})
    known = ", ".join(there[:10]) + (", …" if len(there) > 10 else "")
    return BadArchive(f"no image is for {platform}" + (f": there is {known}" if there else ""))


def resolve(
    data: bytes, media_type: str, platform: Platform, get: Callable[[Descriptor], bytes]
) -> tuple[Manifest, list[bytes]]:
    """The image's manifest for ``platform``, and the bytes of all on the way: its own first, then its index.

    ``data`` is the first manifest or index; ``get`` returns the bytes of another, checked here. Raises BadArchive.
    """
    found: list[bytes] = [data]
    for _ in range(_DEEPEST):
        manifest = parse(data, media_type)
        if isinstance(manifest, Manifest):
            return manifest, found
        chosen = choose(manifest, platform)
        data, media_type = check(get(chosen), chosen, "manifest"), chosen.media_type
        found.insert(0, data)
    raise BadArchive("broken archive: indexes within indexes")


def check_image(manifest: Manifest) -> None:
    """Raises BadArchive if it is an artifact's: there is nothing to run in it."""
    if not manifest.is_image:
        kind = show(manifest.artifact_type or manifest.config.media_type, 100)
        raise BadArchive(f"it is no image but an artifact of the type {kind}")


@record
class Config:
    """An image's configuration: its parsed JSON, its layers' diff_ids from the base up, RFC 3339."""

    document: dict[str, Any]
    diff_ids: tuple[str, ...]
    created: str


def parse_config(data: bytes, what: str = "the image's config") -> Config:
    """Raises BadArchive."""
    document = read_object(data, what)
    image_document.check_config(document)
    rootfs = document.get("rootfs")
    if not isinstance(rootfs, dict):
        raise BadArchive("broken archive: rootfs in the image's config is not a JSON object")
    diff_ids = tuple(rootfs.get("diff_ids") or ())
    for item in diff_ids:
        if not digests.valid(item):
            raise BadArchive(f"broken archive: a diff_id {str(item)[:100]!r} is not a sha256 digest")
    return Config(document=document, diff_ids=diff_ids, created=document.get("created") or "0001-01-01T00:00:00Z")


def match_layers(config: Config, manifest: Manifest) -> None:
    """Whether config and manifest speak of the same number of layers.

    Raises BadArchive.
    """
    if len(config.diff_ids) != len(manifest.layers):
        raise BadArchive(
            f"broken archive: the config has {len(config.diff_ids)} diff_ids, "
            f"the manifest {len(manifest.layers)} layers"
        )
