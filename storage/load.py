"""``load``: docker-archive, OCI archive, OCI layout directory and c/image's "dir" (containers-transports(5))."""

from __future__ import annotations

import hashlib

from pypod.base import fastjson
from pypod.errors import BadArchive, PypodError
from pypod.oci import image_document
from storage import archive, limits, space
from storage.commit import Commit, check_digest, layer_id
from storage.parts import Parts, open_parts, parse, show
from storage.progress import SILENT, Writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_INDEXES = (OCI_INDEX, DOCKER_LIST)
_REF_NAME = "org.opencontainers.image.ref.name"
_FULL_NAME = "io.containerd.image.name"


def load(
    store: Store,
    source: str,
    *,
    normalise: Callable[[str], str],
    default_name: str = "",
    platform: tuple[str, str, str] | None = None,
    progress: Progress = SILENT,
) -> list[tuple[Image, list[str]]]:
    """Load every image of an archive or directory: each with the names that it came with.

    ``normalise`` makes complete names of those in the archive. ``platform`` is (os, architecture, variant), this
    machine's if not given: where an index has several, the fitting one is taken. ``default_name`` is for an
    image without a name. Images loaded before a broken one stay. Raises BadArchive, StorageError, PypodError.
    """
    if platform is None:
        platform = ("linux", *archive.architecture())
    parts = open_parts(store, source, progress)
    try:
        if parts.find("index.json") is not None and parts.find("oci-layout") is not None:
            return _load_oci(store, parts, normalise, default_name, platform, progress)
        if parts.find("manifest.json") is not None:
            if parts.find("version") is not None and isinstance(parts.json("manifest.json"), dict):
                return _load_dir(store, parts, progress)
            return _load_docker(store, parts, normalise, progress)
    finally:
        parts.close()
    shown = "the archive on stdin" if source == "-" else source
    raise BadArchive(
        f"payload does not match any of the supported image formats: {shown}: it has neither manifest.json "
        "(docker-archive) nor oci-layout and index.json (OCI)",
        hint="for the archive of a root file system use pypod import",
    )


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadArchive(f"broken archive: {what} is not a JSON object")
    return value


def _strings(value: Any, what: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadArchive(f"broken archive: {what} is not a list of strings")
    return value


def _diff_ids(config: dict[str, Any]) -> list[str]:
    image_document.check_config(config)
    rootfs = _object(config.get("rootfs"), "rootfs in the image's config")
    return [check_digest(item, "a diff_id") for item in _strings(rootfs.get("diff_ids"), "diff_ids")]


def _created(config: dict[str, Any]) -> str:
    value: str | None = config.get("created")
    return value or "0001-01-01T00:00:00Z"  # it is a time: check_config has seen it


def _names(names: Sequence[str], normalise: Callable[[str], str]) -> list[str]:
    result = []
    for name in names:
        try:
            result.append(normalise(name))
        except PypodError as error:
            raise BadArchive(f"broken archive: its image name {name[:200]!r}: {error.message}") from None
    return list(dict.fromkeys(result))


# docker-archive.


def _needed(store: Store, parts: Parts, layers: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The bytes, as they are in the archive, of those ``layers`` (path, diff_id) that the store has not."""
    known = store.layers()
    result: dict[str, int] = {}
    top = ""
    for path, diff_id in layers:
        top = layer_id(top, diff_id)
        if result or top not in known:
            result[path] = parts.open(path)[1]
    return result


def _add(
    commit: Commit, parts: Parts, path: str, diff_id: str, seen: Progress, *, blob: str = "", size: int = -1
) -> None:
    """One layer, unless the store has it."""
    if commit.reuse(diff_id):
        seen.begin(diff_id, f"Copying blob {blob or diff_id}")
        seen.end(diff_id, "skipped: already exists")
    elif (staged := parts.staged(path)) is not None:
        commit.adopt(staged, diff_id=diff_id, blob=blob, size=size)
    else:
        read, total = parts.open(path)
        commit.add(read, diff_id=diff_id, blob=blob, size=size, progress=seen, total=total)


def _load_docker(
    store: Store, parts: Parts, normalise: Callable[[str], str], seen: Progress
) -> list[tuple[Image, list[str]]]:
    items = parts.json("manifest.json")
    if not isinstance(items, list) or not items:
        raise BadArchive("broken archive: manifest.json is not a list of images")
    # All are seen before the first is loaded, and none is kept: each of thousands may have a config of megabytes.
    needed: dict[str, int] = {}
    for item in items:
        _, _, layers, diff_ids, _ = _docker_image(store, parts, item, normalise)
        needed |= _needed(store, parts, list(zip(layers, diff_ids, strict=True)))
    space.require(store.imagestore or store.graphroot, sum(needed.values()), "load the archive")
    result = []
    for item in items:
        config, document, layers, diff_ids, names = _docker_image(store, parts, item, normalise)
        with Commit(store) as commit:
            descriptors = []
            for name, diff_id in zip(layers, diff_ids, strict=True):
                _add(commit, parts, name, diff_id, seen)
                descriptors.append(commit.size_of_top())
            manifest = _docker_manifest(config, diff_ids, descriptors)
            with Writing(seen, f"sha256:{hashlib.sha256(config).hexdigest()}"):
                image = commit.finish(config=config, manifests=[manifest], names=names, created=_created(document))
        result.append((image, names))
    return result


def _docker_image(
    store: Store, parts: Parts, item: Any, normalise: Callable[[str], str]
) -> tuple[bytes, dict[str, Any], list[str], list[str], list[str]]:
    """One image of manifest.json: its config, the same parsed, its layers' paths and diff_ids, its names.

    Raises BadArchive.
    """
    item = _object(item, "an image in manifest.json")
    config_name = item.get("Config")
    if not isinstance(config_name, str):
        raise BadArchive("broken archive: an image in manifest.json has no Config")
    config = parts.bytes(config_name)
    document = _object(parse(config, config_name), show(config_name))
    layers = _strings(item.get("Layers"), "Layers in manifest.json")
    diff_ids = _diff_ids(document)
    if len(layers) != len(diff_ids):
        raise BadArchive(
            f"broken archive: {show(config_name)} has {len(diff_ids)} diff_ids, its image {len(layers)} layers"
        )
    limits.check(store.limits, "max_layers", len(layers), "an image")
    for layer in layers:
        parts.open(layer)
    return config, document, layers, diff_ids, _names(_strings(item.get("RepoTags"), "RepoTags"), normalise)


def _docker_manifest(config: bytes, diff_ids: Sequence[str], sizes: Sequence[int]) -> bytes:
    """The manifest of an archive that has none: its layers as they are in the store (as podman makes it)."""
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(config),
            "digest": "sha256:" + hashlib.sha256(config).hexdigest(),
        },
        "layers": [
            {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": size, "digest": digest}
            for digest, size in zip(diff_ids, sizes, strict=True)
        ],
    }
    return fastjson.dumps(document).encode()


# OCI.


def _blob(parts: Parts, descriptor: Any, what: str, place: Callable[[str], str] | None = None) -> tuple[bytes, str]:
    """A small blob, and its digest, checked.

    Raises BadArchive.
    """
    descriptor = _object(descriptor, f"the descriptor of {what}")
    digest = check_digest(descriptor.get("digest"), f"the digest of {what}")
    data = parts.bytes((place or _path)(digest))
    found = "sha256:" + hashlib.sha256(data).hexdigest()
    if found != digest:
        raise BadArchive(f"broken archive: {what} {digest} has the digest {found}")
    size = _size(descriptor, what)
    if size >= 0 and size != len(data):
        raise BadArchive(f"broken archive: {what} {digest} has {len(data)} bytes, its descriptor says {size}")
    return data, digest


def _size(descriptor: dict[str, Any], what: str) -> int:
    """The size that a descriptor claims, -1 if it does not.

    Raises BadArchive.
    """
    size = descriptor.get("size")
    if size is None:
        return -1
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise BadArchive(f"broken archive: the size of {what} is {str(size)[:40]!r}")
    return size


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _fits(descriptor: dict[str, Any], platform: tuple[str, str, str]) -> int:
    """How well a descriptor's platform fits: 0 not at all, more is better."""
    wanted = descriptor.get("platform")
    if not isinstance(wanted, dict):
        return 1
    system, architecture, variant = platform
    if wanted.get("os") != system or wanted.get("architecture") != architecture:
        return 0
    return 3 if (wanted.get("variant") or "") == variant else 2


def _load_oci(
    store: Store,
    parts: Parts,
    normalise: Callable[[str], str],
    default_name: str,
    platform: tuple[str, str, str],
    seen: Progress,
) -> list[tuple[Image, list[str]]]:
    layout = _object(parts.json("oci-layout"), "oci-layout")
    if not str(layout.get("imageLayoutVersion", "")).startswith("1."):
        raise BadArchive(f"cannot read OCI layout version {str(layout.get('imageLayoutVersion'))[:40]!r}")
    index = _object(parts.json("index.json"), "index.json")
    image_document.check_manifest(index, "index.json")
    descriptors = index.get("manifests")
    if not isinstance(descriptors, list) or not descriptors:
        raise BadArchive("broken archive: index.json lists no manifests")
    groups: dict[str, list[dict[str, Any]]] = {}
    for descriptor in descriptors:
        descriptor = _object(descriptor, "a manifest in index.json")
        annotations = descriptor.get("annotations")
        annotations = annotations if isinstance(annotations, dict) else {}
        name = annotations.get(_REF_NAME) or ""
        full = annotations.get(_FULL_NAME) or ""
        if isinstance(full, str) and full and "/" not in str(name):
            name = full  # some writers put only the tag into ref.name
        groups.setdefault(str(name), []).append(descriptor)
    plans = []
    for name, group in groups.items():
        best = max(group, key=lambda item: _fits(item, platform))
        if not _fits(best, platform):
            if len(groups) > 1:
                continue
            raise _no_platform(platform)
        plans.append((name, best))
    result = []
    for name, descriptor in plans:
        names = _names([name or default_name] if name or default_name else [], normalise)
        result.append((_load_manifest(store, parts, descriptor, names, platform, seen), names))
    if not result:
        raise _no_platform(platform)
    return result


def _no_platform(platform: tuple[str, str, str]) -> BadArchive:
    return BadArchive(f"no image in the archive is for {platform[0]}/{platform[1]}")


def _load_manifest(
    store: Store,
    parts: Parts,
    descriptor: dict[str, Any],
    names: list[str],
    platform: tuple[str, str, str],
    seen: Progress,
) -> Image:
    manifests: list[bytes] = []
    for _ in range(4):
        data, digest = _blob(parts, descriptor, "manifest")
        manifests.insert(0, data)
        manifest = _object(parse(data, digest), "a manifest")
        image_document.check_manifest(manifest, f"manifest {digest}")
        inner = manifest.get("manifests")
        kind = manifest.get("mediaType") or descriptor.get("mediaType")
        if kind not in _INDEXES and not (inner is not None and "layers" not in manifest):
            break
        if not isinstance(inner, list) or not inner:
            raise BadArchive("broken archive: an index lists no manifests")
        choices = [_object(item, "a manifest in an index") for item in inner]
        descriptor = max(choices, key=lambda item: _fits(item, platform))
        if not _fits(descriptor, platform):
            raise _no_platform(platform)
    else:
        raise BadArchive("broken archive: indexes within indexes")
    return _load_image(store, parts, manifest, manifests, names, _path, seen)


def _load_dir(store: Store, parts: Parts, seen: Progress) -> list[tuple[Image, list[str]]]:
    """What ``save --format docker-dir`` and skopeo's dir: write: manifest.json, and each blob by its digest."""
    data = parts.bytes("manifest.json")
    manifest = _object(parse(data, "manifest.json"), "manifest.json")
    image_document.check_manifest(manifest, "manifest.json")
    image = _load_image(store, parts, manifest, [data], [], lambda digest: digest.partition(":")[2], seen)
    return [(image, [])]  # there are no names in it


def _load_image(
    store: Store,
    parts: Parts,
    manifest: dict[str, Any],
    manifests: list[bytes],
    names: list[str],
    place: Callable[[str], str],
    seen: Progress,
) -> Image:
    """The image of a manifest. ``place`` says where the blob of a digest is."""
    config, config_digest = _blob(parts, manifest.get("config"), "config", place)
    document = _object(parse(config, "the image's config"), "the image's config")
    layers = manifest.get("layers")
    if not isinstance(layers, list):
        raise BadArchive("broken archive: a manifest has no layers")
    diff_ids = _diff_ids(document)
    if len(diff_ids) != len(layers):
        raise BadArchive(
            f"broken archive: the config has {len(diff_ids)} diff_ids, the manifest {len(layers)} layers"
        )
    checked = []
    for layer in layers:
        layer = _object(layer, "a layer's descriptor")
        digest = check_digest(layer.get("digest"), "the digest of a layer")
        checked.append((digest, _size(layer, f"layer {digest}")))
        parts.open(place(digest))
    limits.check(store.limits, "max_layers", len(checked), "an image")
    paths = [place(digest) for digest, _ in checked]
    needed = _needed(store, parts, list(zip(paths, diff_ids, strict=True)))
    space.require(store.imagestore or store.graphroot, sum(needed.values()), "load the archive")
    with Commit(store) as commit:
        for (digest, size), diff_id in zip(checked, diff_ids, strict=True):
            _add(commit, parts, place(digest), diff_id, seen, blob=digest, size=size)
        with Writing(seen, config_digest):
            return commit.finish(config=config, manifests=manifests, names=names, created=_created(document))
