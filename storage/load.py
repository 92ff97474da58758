"""``load``: docker-archive, OCI archive, OCI layout directory and c/image's "dir" (containers-transports(5))."""

from __future__ import annotations

from pypod.base import fastjson
from pypod.base.record import record
from pypod.base.text import show
from pypod.errors import BadArchive, NotFound, PypodError
from pypod.oci import digest as digests
from pypod.oci import manifest
from pypod.oci import platform as platforms
from storage import limits, space
from storage.commit import Commit, layer_id
from storage.parts import Parts, open_parts
from storage.progress import SILENT, Writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    Accept = Callable[[str, str, bytes, Sequence[bytes]], None]  # transport, name, manifest, signatures

    from pypod.oci.manifest import Config, Descriptor, Manifest
    from pypod.oci.platform import Platform
    from storage.progress import Progress
    from storage.records import Image
    from storage.store import Store

_FULL_NAME = "io.containerd.image.name"
_MOST_SIGNATURES = 128  # of one manifest, as containers/image has it


def _accept_all(transport: str, name: str, manifest: bytes, signatures: Sequence[bytes]) -> None:
    """What is called where no policy decides."""


@record
class Layer:
    """A layer in the archive. ``blob`` is its digest as it is there, "" if nobody says it; ``size`` -1 likewise."""

    path: str
    diff_id: str
    blob: str = ""
    size: int = -1


@record
class Found:
    """An image in an archive: its config, its manifests (its own, then the indexes that lead to it), its names.

    A docker-archive has no manifests: its image gets one as it is stored.
    """

    kind: str  # "docker-archive", "oci" or "dir"
    data: bytes
    config: Config
    layers: tuple[Layer, ...]
    manifests: list[bytes]
    names: list[str]
    signatures: Sequence[bytes] = ()


@record
class Wanted:
    """What is wanted of an archive.

    ``normalise`` makes complete names of those in it, ``default_name`` is for an image without one. Where an index
    has several platforms, the image for ``platform`` is taken, for this machine's if it is None. ``kind`` is
    "docker-archive", "oci" or "dir", "" for whatever it is. ``reference`` chooses an image: by its name or, in a
    docker-archive, "@" and its number; "" is the only one there is, None all. ``accept`` is told of each image before
    its config and layers are read, and raises what it likes: the kind, the image's name in there, its manifest if the
    archive has one, its signatures. It may be told twice.
    """

    normalise: Callable[[str], str]
    default_name: str = ""
    platform: Platform | None = None
    kind: str = ""
    reference: str | None = None
    accept: Accept = _accept_all


def load(
    store: Store,
    source: str,
    *,
    normalise: Callable[[str], str],
    default_name: str = "",
    platform: Platform | None = None,
    kind: str = "",
    reference: str | None = None,
    accept: Accept | None = None,
    progress: Progress = SILENT,
) -> list[tuple[Image, list[str]]]:
    """Load the images of an archive or directory that ``Wanted`` describes: each with the names that it came with.

    Images loaded before a broken one stay. Raises BadArchive, StorageError, PypodError, NotFound (there is no such
    ``reference``).
    """
    wanted = Wanted(
        normalise=normalise,
        default_name=default_name,
        platform=platform,
        kind=kind,
        reference=reference,
        accept=accept or _accept_all,
    )
    parts = open_parts(store, source, progress)
    try:
        needed: dict[str, int] = {}
        kind = _kind(parts, source, wanted)
        if kind == "docker-archive":
            # All are seen before the first is loaded, and none is kept: of thousands each may have megabytes.
            for found in _find(parts, kind, wanted):
                needed |= _needed(store, parts, found)
            space.require(store.imagestore or store.graphroot, sum(needed.values()), "load the archive")
        result = []
        for found in _find(parts, kind, wanted):
            if kind != "docker-archive":
                needed = _needed(store, parts, found)
                space.require(store.imagestore or store.graphroot, sum(needed.values()), "load the archive")
            result.append((_store(store, parts, found, progress), found.names))
        return result
    finally:
        parts.close()


def peek(store: Store, source: str, wanted: Wanted) -> list[Found]:
    """What ``load`` would load. Of an archive on a pipe nobody can take a look.

    Raises as ``load``.
    """
    parts = open_parts(store, source)
    try:
        return list(_find(parts, _kind(parts, source, wanted), wanted))
    finally:
        parts.close()


def _kind(parts: Parts, source: str, wanted: Wanted) -> str:
    """What the archive is.

    Raises BadArchive: nothing that is known, or not what is wanted.
    """
    kind = ""
    if parts.find("index.json") is not None and parts.find("oci-layout") is not None:
        kind = "oci"
    elif parts.find("manifest.json") is not None:
        is_dir = parts.find("version") is not None and isinstance(parts.json("manifest.json"), dict)
        kind = "dir" if is_dir else "docker-archive"
    # Images of newer Docker are both an OCI layout and a docker-archive.
    if kind == "oci" and wanted.kind == "docker-archive" and parts.find("manifest.json") is not None:
        kind = "docker-archive"
    if kind and wanted.kind in ("", kind):
        return kind
    shown = "the archive on stdin" if source == "-" else source
    if kind:
        raise BadArchive(f"cannot read {shown}: it is of the kind {kind}, not {wanted.kind}")
    raise BadArchive(
        f"payload does not match any of the supported image formats: {shown}: it has neither manifest.json "
        "(docker-archive) nor oci-layout and index.json (OCI)",
        hint="for the archive of a root file system use pypod import",
    )


def _find(parts: Parts, kind: str, wanted: Wanted) -> Iterator[Found]:
    if kind == "oci":
        return _find_oci(parts, wanted)
    return _find_dir(parts, wanted) if kind == "dir" else _find_docker(parts, wanted)


def _needed(store: Store, parts: Parts, found: Found) -> dict[str, int]:
    """The bytes, as they are in the archive, of those layers that the store has not."""
    limits.check(store.limits, "max_layers", len(found.layers), "an image")
    known = store.layers()
    result: dict[str, int] = {}
    top = ""
    for layer in found.layers:
        top = layer_id(top, layer.diff_id)
        if result or top not in known:
            result[layer.path] = parts.open(layer.path)[1]
    return result


def _store(store: Store, parts: Parts, found: Found, seen: Progress) -> Image:
    with Commit(store) as commit:
        sizes = []
        for layer in found.layers:
            _add(commit, parts, layer, seen)
            sizes.append(commit.size_of_top())
        manifests = found.manifests or [_docker_manifest(found.data, found.config.diff_ids, sizes)]
        with Writing(seen, digests.of(found.data)):
            return commit.finish(
                config=found.data,
                manifests=manifests,
                names=found.names,
                created=found.config.created,
                signatures=found.signatures,
            )


def _add(commit: Commit, parts: Parts, layer: Layer, seen: Progress) -> None:
    """One layer, unless the store has it."""
    if commit.reuse(layer.diff_id):
        seen.begin(layer.diff_id, f"Copying blob {layer.blob or layer.diff_id}")
        seen.end(layer.diff_id, "skipped: already exists")
    elif (staged := parts.staged(layer.path)) is not None:
        commit.adopt(staged, diff_id=layer.diff_id, blob=layer.blob, size=layer.size)
    else:
        read, total = parts.open(layer.path)
        commit.add(read, diff_id=layer.diff_id, blob=layer.blob, size=layer.size, progress=seen, total=total)


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


def _names(names: Sequence[str], wanted: Wanted) -> list[str]:
    result = []
    for name in names:
        try:
            result.append(wanted.normalise(name))
        except PypodError as error:
            raise BadArchive(f"broken archive: its image name {name[:200]!r}: {error.message}") from None
    return list(dict.fromkeys(result))


# docker-archive.


def _find_docker(parts: Parts, wanted: Wanted) -> Iterator[Found]:
    items = parts.json("manifest.json")
    if not isinstance(items, list) or not items:
        raise BadArchive("broken archive: manifest.json is not a list of images")
    wanted.accept("docker-archive", wanted.reference or "", b"", ())  # its images have no manifests
    only = ""
    if wanted.reference == "" and len(items) > 1:
        raise BadArchive(f"the archive has {len(items)} images", hint="choose one by its name, or by :@0, :@1 ...")
    if wanted.reference:
        if wanted.reference.startswith("@"):
            number = wanted.reference[1:]
            if not (number.isascii() and number.isdecimal()):
                raise BadArchive(f'"{show(wanted.reference)}" is not "@" and the number of an image')
            if int(number) >= len(items):
                raise NotFound(f"there is no image {wanted.reference}: the archive has {len(items)}")
            items = [items[int(number)]]
        else:
            only = wanted.normalise(wanted.reference)
    found = False
    for item in items:
        names = _names(_strings(_object(item, "an image in manifest.json").get("RepoTags"), "RepoTags"), wanted)
        if not only or only in names:
            found = True
            yield _docker_image(parts, item, [only] if only else names, wanted)
    if not found:
        raise NotFound(f'Tag "{show(only)}" not found')


def _docker_image(parts: Parts, item: dict[str, Any], names: list[str], wanted: Wanted) -> Found:
    """One image of manifest.json.

    Raises BadArchive.
    """
    config_name = item.get("Config")
    if not isinstance(config_name, str):
        raise BadArchive("broken archive: an image in manifest.json has no Config")
    data = parts.bytes(config_name)
    config = manifest.parse_config(data, show(config_name))
    paths = _strings(item.get("Layers"), "Layers in manifest.json")
    if len(paths) != len(config.diff_ids):
        raise BadArchive(
            f"broken archive: {show(config_name)} has {len(config.diff_ids)} diff_ids, its image {len(paths)} layers"
        )
    for path in paths:
        parts.open(path)
    layers = tuple(Layer(path=path, diff_id=diff_id) for path, diff_id in zip(paths, config.diff_ids, strict=True))
    return Found(kind="docker-archive", data=data, config=config, layers=layers, manifests=[], names=names)


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


def _find_oci(parts: Parts, wanted: Wanted) -> Iterator[Found]:
    layout = _object(parts.json("oci-layout"), "oci-layout")
    if not str(layout.get("imageLayoutVersion", "")).startswith("1."):
        raise BadArchive(f"cannot read OCI layout version {str(layout.get('imageLayoutVersion'))[:40]!r}")
    index = manifest.parse(parts.bytes("index.json"), manifest.OCI_INDEX, "index.json")
    if not isinstance(index, manifest.Index) or not index.manifests:
        raise BadArchive("broken archive: index.json lists no manifests")
    groups: dict[str, list[Descriptor]] = {}
    for descriptor in index.manifests:
        name = descriptor.annotations.get(manifest.REF_NAME) or ""
        if wanted.reference and name == wanted.reference:
            groups.setdefault(name, []).append(descriptor)
            continue
        full = descriptor.annotations.get(_FULL_NAME) or ""
        if full and "/" not in name:
            name = full  # some writers put only the tag into ref.name
        if wanted.reference in (None, "", name):
            groups.setdefault(name, []).append(descriptor)
    if wanted.reference and not groups:
        raise NotFound(f'no descriptor found for reference "{show(wanted.reference)}"')
    if wanted.reference == "" and len(groups) > 1:
        raise BadArchive(f"there are {len(groups)} images", hint="choose one by its name")
    plans = []
    for name, group in groups.items():
        best = manifest.best(group, wanted.platform or platforms.here())
        if best is not None:
            plans.append((name, best))
    if not plans:
        raise manifest.no_platform(index.manifests, wanted.platform or platforms.here())

    def get(item: Descriptor) -> bytes:
        return parts.bytes(_path(item.digest))

    for name, descriptor in plans:
        names = _names([name or wanted.default_name] if name or wanted.default_name else [], wanted)
        data = manifest.check(get(descriptor), descriptor, "manifest")
        own, manifests = manifest.resolve(data, descriptor.media_type, wanted.platform or platforms.here(), get)
        wanted.accept("oci", name, manifests[0], ())
        yield _image(parts, "oci", own, manifests, names, _path)


def _find_dir(parts: Parts, wanted: Wanted) -> Iterator[Found]:
    """What ``save --format docker-dir`` and skopeo's dir: write: manifest.json, and each blob by its digest."""

    def place(digest: str) -> str:
        return digest.partition(":")[2]

    def get(item: Descriptor) -> bytes:
        return parts.bytes(f"{place(item.digest)}.manifest.json")  # of an index that skopeo copied as a whole

    data = parts.bytes("manifest.json")
    signatures: list[bytes] = []
    while parts.find(f"signature-{len(signatures) + 1}") is not None:
        signatures.append(parts.bytes(f"signature-{len(signatures) + 1}"))
        if len(signatures) > _MOST_SIGNATURES:
            raise BadArchive(f"broken archive: more than {_MOST_SIGNATURES} signatures")
    own, manifests = manifest.resolve(data, "", wanted.platform or platforms.here(), get)
    wanted.accept("dir", "", manifests[0], signatures if len(manifests) == 1 else ())
    yield _image(parts, "dir", own, manifests, [], place, signatures)  # there are no names in it


def _image(
    parts: Parts,
    kind: str,
    own: Manifest,
    manifests: list[bytes],
    names: list[str],
    place: Callable[[str], str],
    signatures: Sequence[bytes] = (),
) -> Found:
    """The image of a manifest. ``place`` says where the blob of a digest is."""
    manifest.check_image(own)
    data = manifest.check(parts.bytes(place(own.config.digest)), own.config, "config")
    config = manifest.parse_config(data)
    manifest.match_layers(config, own)
    layers = tuple(
        Layer(path=place(layer.digest), diff_id=diff_id, blob=layer.digest, size=layer.size)
        for layer, diff_id in zip(own.layers, config.diff_ids, strict=True)
    )
    for layer in layers:
        parts.open(layer.path)
    return Found(
        kind=kind, data=data, config=config, layers=layers, manifests=manifests, names=names, signatures=signatures
    )
