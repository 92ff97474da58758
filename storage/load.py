"""``load``: docker-archive, OCI archive, OCI layout directory and c/image's "dir" (containers-transports(5))."""

from __future__ import annotations

from pypod.base import fastjson
from pypod.base.text import show
from pypod.errors import BadArchive, PypodError
from pypod.oci import digest as digests
from pypod.oci import manifest, platform
from storage import limits, space
from storage.commit import Commit, layer_id
from storage.parts import Parts, open_parts
from storage.progress import SILENT, Writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Accept = Callable[[str, str, bytes, Sequence[bytes]], None]  # transport, name, manifest, signatures

    from pypod.oci.manifest import Config, Descriptor, Manifest
    from pypod.oci.platform import Platform
    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store

_FULL_NAME = "io.containerd.image.name"
_MOST_SIGNATURES = 128  # of one manifest, as containers/image has it


def load(
    store: Store,
    source: str,
    *,
    normalise: Callable[[str], str],
    default_name: str = "",
    wanted: Platform | None = None,
    accept: Accept | None = None,
    progress: Progress = SILENT,
) -> list[tuple[Image, list[str]]]:
    """Load every image of an archive or directory: each with the names that it came with.

    ``normalise`` makes complete names of those in the archive. ``wanted`` is the platform, this machine's if not
    given: where an index has several, the fitting one is taken. ``default_name`` is for an
    image without a name. ``accept`` is told of each image before its config and layers are read, and raises what it
    likes: the transport ("docker-archive", "oci" or "dir"), the image's name in there, its manifest if the archive
    has one, its signatures. Images loaded before a broken one stay. Raises BadArchive, StorageError, PypodError.
    """
    accept = accept or _accept_all
    if wanted is None:
        wanted = platform.here()
    parts = open_parts(store, source, progress)
    try:
        if parts.find("index.json") is not None and parts.find("oci-layout") is not None:
            return _load_oci(store, parts, normalise, default_name, wanted, accept, progress)
        if parts.find("manifest.json") is not None:
            if parts.find("version") is not None and isinstance(parts.json("manifest.json"), dict):
                return _load_dir(store, parts, accept, progress)
            return _load_docker(store, parts, normalise, accept, progress)
    finally:
        parts.close()
    shown = "the archive on stdin" if source == "-" else source
    raise BadArchive(
        f"payload does not match any of the supported image formats: {shown}: it has neither manifest.json "
        "(docker-archive) nor oci-layout and index.json (OCI)",
        hint="for the archive of a root file system use pypod import",
    )


def _accept_all(transport: str, name: str, manifest: bytes, signatures: Sequence[bytes]) -> None:
    """What is called where no policy decides."""


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
    store: Store, parts: Parts, normalise: Callable[[str], str], accept: Accept, seen: Progress
) -> list[tuple[Image, list[str]]]:
    items = parts.json("manifest.json")
    if not isinstance(items, list) or not items:
        raise BadArchive("broken archive: manifest.json is not a list of images")
    accept("docker-archive", "", b"", ())  # its images have no identity of their own, and no manifests
    # All are seen before the first is loaded, and none is kept: each of thousands may have a config of megabytes.
    needed: dict[str, int] = {}
    for item in items:
        _, config, layers, _ = _docker_image(store, parts, item, normalise)
        needed |= _needed(store, parts, list(zip(layers, config.diff_ids, strict=True)))
    space.require(store.imagestore or store.graphroot, sum(needed.values()), "load the archive")
    result = []
    for item in items:
        data, config, layers, names = _docker_image(store, parts, item, normalise)
        with Commit(store) as commit:
            sizes = []
            for name, diff_id in zip(layers, config.diff_ids, strict=True):
                _add(commit, parts, name, diff_id, seen)
                sizes.append(commit.size_of_top())
            own = _docker_manifest(data, config.diff_ids, sizes)
            with Writing(seen, digests.of(data)):
                image = commit.finish(config=data, manifests=[own], names=names, created=config.created)
        result.append((image, names))
    return result


def _docker_image(
    store: Store, parts: Parts, item: Any, normalise: Callable[[str], str]
) -> tuple[bytes, Config, list[str], list[str]]:
    """One image of manifest.json: its config, the same parsed, its layers' paths, its names.

    Raises BadArchive.
    """
    item = _object(item, "an image in manifest.json")
    config_name = item.get("Config")
    if not isinstance(config_name, str):
        raise BadArchive("broken archive: an image in manifest.json has no Config")
    data = parts.bytes(config_name)
    config = manifest.parse_config(data, show(config_name))
    layers = _strings(item.get("Layers"), "Layers in manifest.json")
    if len(layers) != len(config.diff_ids):
        raise BadArchive(
            f"broken archive: {show(config_name)} has {len(config.diff_ids)} diff_ids, its image {len(layers)} layers"
        )
    limits.check(store.limits, "max_layers", len(layers), "an image")
    for layer in layers:
        parts.open(layer)
    return data, config, layers, _names(_strings(item.get("RepoTags"), "RepoTags"), normalise)


def _docker_manifest(config: bytes, diff_ids: Sequence[str], sizes: Sequence[int]) -> bytes:
    """The manifest of an archive that has none: its layers as they are in the store (as podman makes it)."""
    document = {
        "schemaVersion": 2,
        "mediaType": manifest.DOCKER_MANIFEST,
        "config": {"mediaType": manifest.DOCKER_CONFIG, "size": len(config), "digest": digests.of(config)},
        "layers": [
            {"mediaType": manifest.DOCKER_LAYER_GZIP, "size": size, "digest": digest}
            for digest, size in zip(diff_ids, sizes, strict=True)
        ],
    }
    return fastjson.dumps(document).encode()


# OCI.


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _load_oci(
    store: Store,
    parts: Parts,
    normalise: Callable[[str], str],
    default_name: str,
    wanted: Platform,
    accept: Accept,
    seen: Progress,
) -> list[tuple[Image, list[str]]]:
    layout = _object(parts.json("oci-layout"), "oci-layout")
    if not str(layout.get("imageLayoutVersion", "")).startswith("1."):
        raise BadArchive(f"cannot read OCI layout version {str(layout.get('imageLayoutVersion'))[:40]!r}")
    index = manifest.parse(parts.bytes("index.json"), manifest.OCI_INDEX, "index.json")
    if not isinstance(index, manifest.Index) or not index.manifests:
        raise BadArchive("broken archive: index.json lists no manifests")
    groups: dict[str, list[Descriptor]] = {}
    for descriptor in index.manifests:
        name = descriptor.annotations.get(manifest.REF_NAME) or ""
        full = descriptor.annotations.get(_FULL_NAME) or ""
        if full and "/" not in name:
            name = full  # some writers put only the tag into ref.name
        groups.setdefault(name, []).append(descriptor)
    plans = []
    for name, group in groups.items():
        best = manifest.best(group, wanted)
        if best is not None:
            plans.append((name, best))
    if not plans:
        raise manifest.no_platform(index.manifests, wanted)
    result = []
    for name, descriptor in plans:
        names = _names([name or default_name] if name or default_name else [], normalise)
        own = _oci_manifest(parts, descriptor, wanted)
        accept("oci", name, own[1][0], ())
        result.append((_load_image(store, parts, *own, names, _path, seen), names))
    return result


def _oci_manifest(parts: Parts, descriptor: Descriptor, wanted: Platform) -> tuple[Manifest, list[bytes]]:
    def get(item: Descriptor) -> bytes:
        return parts.bytes(_path(item.digest))

    data = manifest.check(get(descriptor), descriptor, "manifest")
    return manifest.resolve(data, descriptor.media_type, wanted, get)


def _load_dir(store: Store, parts: Parts, accept: Accept, seen: Progress) -> list[tuple[Image, list[str]]]:
    """What ``save --format docker-dir`` and skopeo's dir: write: manifest.json, and each blob by its digest."""
    data = parts.bytes("manifest.json")
    signatures: list[bytes] = []
    while parts.find(f"signature-{len(signatures) + 1}") is not None:
        signatures.append(parts.bytes(f"signature-{len(signatures) + 1}"))
        if len(signatures) > _MOST_SIGNATURES:
            raise BadArchive(f"broken archive: more than {_MOST_SIGNATURES} signatures")
    accept("dir", "", data, signatures)
    own = manifest.parse(data, what="manifest.json")
    if not isinstance(own, manifest.Manifest):
        raise BadArchive("broken archive: a manifest has no layers")
    image = _load_image(store, parts, own, [data], [], lambda digest: digest.partition(":")[2], seen, signatures)
    return [(image, [])]  # there are no names in it


def _load_image(
    store: Store,
    parts: Parts,
    own: Manifest,
    manifests: list[bytes],
    names: list[str],
    place: Callable[[str], str],
    seen: Progress,
    signatures: Sequence[bytes] = (),
) -> Image:
    """The image of a manifest. ``place`` says where the blob of a digest is."""
    data = manifest.check(parts.bytes(place(own.config.digest)), own.config, "config")
    config = manifest.parse_config(data)
    manifest.match_layers(config, own)
    paths = [place(layer.digest) for layer in own.layers]
    for path in paths:
        parts.open(path)
    limits.check(store.limits, "max_layers", len(paths), "an image")
    needed = _needed(store, parts, list(zip(paths, config.diff_ids, strict=True)))
    space.require(store.imagestore or store.graphroot, sum(needed.values()), "load the archive")
    with Commit(store) as commit:
        for layer, path, diff_id in zip(own.layers, paths, config.diff_ids, strict=True):
            _add(commit, parts, path, diff_id, seen, blob=layer.digest, size=layer.size)
        with Writing(seen, own.config.digest):
            return commit.finish(
                config=data, manifests=manifests, names=names, created=config.created, signatures=signatures
            )
