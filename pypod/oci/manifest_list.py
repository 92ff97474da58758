"""Lists of images that are made here: an OCI index, or Docker's manifest list, changed as a document.

What other tools wrote into a list and nobody here knows stays in it.
"""

from __future__ import annotations

from pypod.base import fastjson
from pypod.errors import BadArchive, NotFound
from pypod.oci import image_document, manifest
from pypod.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, INDEXES, OCI_INDEX, Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Document = dict[str, Any]

_OCI_ORDER = ("mediaType", "artifactType", "digest", "size", "urls", "annotations", "data", "platform")
_DOCKER_ORDER = ("mediaType", "size", "digest", "urls", "platform")
_PLATFORM_ORDER = ("architecture", "os", "os.version", "os.features", "variant", "features")


def new(annotations: Mapping[str, str] | None = None) -> Document:
    """A list of nothing."""
    document: Document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    if annotations:
        document["annotations"] = dict(annotations)
    return document


def is_list(data: bytes) -> bool:
    """Whether a manifest is a list of others. Raises BadArchive."""
    document = manifest.read_object(data, "a manifest")
    return "layers" not in document and ("manifests" in document or document.get("mediaType") in INDEXES)


def read(data: bytes) -> Document:
    """A list out of its bytes; an empty one may have null for nothing, as Go writes it.

    Raises BadArchive.
    """
    document = manifest.read_object(data, "a list")
    if not is_list(data):
        raise BadArchive("broken archive: a list lists no manifests")
    if document.get("manifests") is None:
        document["manifests"] = []
    image_document.check_manifest(document, "a list")
    descriptors(document)
    return document


def descriptors(document: Document) -> list[Descriptor]:
    """Raises BadArchive."""
    return [manifest.descriptor(item, "a manifest in a list") for item in document["manifests"]]


def entry(document: Document, digest: str) -> Document:
    """What a list says of one image.

    Raises NotFound.
    """
    for item in document["manifests"]:
        if item["digest"] == digest:
            found: Document = item
            return found
    raise NotFound(f'no instance matching digest "{digest}" found in manifest list')


def put(document: Document, item: Document) -> None:
    """Add an image; one with the same digest gives way in its place."""
    entries = document["manifests"]
    for number, old in enumerate(entries):
        if old["digest"] == item["digest"]:
            entries[number] = item
            return
    entries.append(item)


def remove(document: Document, digest: str) -> None:
    """Raises NotFound."""
    document["manifests"].remove(entry(document, digest))


def describe(media_type: str, digest: str, size: int, config: Mapping[str, Any] | None) -> Document:
    """The entry for an image whose configuration says its platform."""
    item: Document = {"mediaType": media_type, "digest": digest, "size": size}
    if config is not None:
        found: Document = {}
        for key, kind in (("architecture", str), ("os", str), ("os.version", str), ("os.features", list)):
            value = config.get(key)
            if value and isinstance(value, kind):
                found[key] = value
        if isinstance(config.get("variant"), str) and config["variant"]:
            found["variant"] = config["variant"]
        item["platform"] = {"architecture": "", "os": "", **found}
    return item


def annotate(
    item: Document,
    *,
    os: str = "",
    architecture: str = "",
    variant: str = "",
    os_version: str = "",
    os_features: Sequence[str] = (),
    features: Sequence[str] = (),
    annotations: Mapping[str, str] | None = None,
) -> None:
    """Change what an entry says; what is empty stays as it is."""
    wanted = {
        "architecture": architecture,
        "os": os,
        "os.version": os_version,
        "os.features": list(os_features),
        "variant": variant,
        "features": list(features),
    }
    said = {key: value for key, value in wanted.items() if value}
    if said:
        old = item.get("platform")
        found = {**(old if isinstance(old, dict) else {"architecture": "", "os": ""}), **said}
        order = [*_PLATFORM_ORDER, *(key for key in found if key not in _PLATFORM_ORDER)]
        item["platform"] = {key: found[key] for key in order if key in found}
    if annotations:
        old = item.get("annotations")
        item["annotations"] = {**(old if isinstance(old, dict) else {}), **annotations}


def kind_of(document: Document) -> str:
    """The media type that holds all that a list says: Docker's if all its images are Docker's."""
    entries = document["manifests"]
    for item in entries:
        if item.get("mediaType") != DOCKER_MANIFEST or item.get("annotations") or item.get("artifactType"):
            return OCI_INDEX
    if not entries or any(document.get(key) for key in ("annotations", "subject", "artifactType")):
        return OCI_INDEX
    return DOCKER_LIST


def dump(document: Document, kind: str = "") -> bytes:
    """The bytes of a list as ``kind``, DOCKER_LIST or OCI_INDEX; as what fits if "".

    Docker's has no room for annotations and artifacts, an index none for a processor's features.
    """
    stored = not kind
    kind = kind or kind_of(document)
    result: Document = {"schemaVersion": 2, "mediaType": kind}
    docker = kind == DOCKER_LIST
    result["manifests"] = [_entry(item, docker=docker, features=docker or stored) for item in document["manifests"]]
    if not docker:
        for key, value in document.items():
            if key not in result:
                result[key] = value
    return fastjson.dumps(result).encode()


def _entry(item: Document, *, docker: bool, features: bool) -> Document:
    order = _DOCKER_ORDER if docker else _OCI_ORDER
    result = {key: item[key] for key in order if key in item}
    if not docker:
        result.update({key: value for key, value in item.items() if key not in result})
    said = result.get("platform")
    if not features and isinstance(said, dict) and "features" in said:
        result["platform"] = {key: value for key, value in said.items() if key != "features"}
    return result
