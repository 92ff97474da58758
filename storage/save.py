"""``save``: images as docker-archive, OCI archive, OCI layout directory or "dir" directory.

Layers are streamed from the store to the output: their sizes are in their records. Configs go out as they are, so an
image has the same id wherever it is loaded.
"""

from __future__ import annotations

import hashlib
import os

from pypod.base import fastjson
from pypod.errors import PypodError, StorageError, UsageError
from storage import export, output
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from storage.progress import Progress
    from storage.records import Image, Layer
    from storage.store import Store

FORMATS = ("docker-archive", "oci-archive", "oci-dir", "docker-dir")

_DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_OCI = "application/vnd.oci.image.manifest.v1+json"
_OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_REF_NAME = "org.opencontainers.image.ref.name"


class _Plan:
    """One image: its config, and its layers from the base up."""

    def __init__(self, store: Store, image: Image, names: Sequence[str]) -> None:
        self.image = image
        self.names = list(names)
        self.config = store.image_data(image, f"sha256:{image.id}")
        rootfs = store.image_config(image).get("rootfs")
        diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        chain = store.chain(image.layer)[::-1] if image.layer else []
        known = [str(item) for item in diff_ids] if isinstance(diff_ids, list) else []
        if len(known) != len(chain):
            raise StorageError(
                f"cannot save image {image.id[:12]}: its config has {len(known)} layers, the store {len(chain)}"
            )
        self.layers: list[tuple[Layer, str]] = []
        for layer, digest in zip(chain, known, strict=True):
            if layer.diff_digest not in ("", digest):
                raise StorageError(
                    f"cannot save image {image.id[:12]}: layer {layer.id[:12]} is {layer.diff_digest}, "
                    f"the config says {digest}"
                )
            self.layers.append((layer, digest))


class _Save:
    def __init__(self, store: Store, progress: Progress) -> None:
        self.store = store
        self.progress = progress

    def pieces(self, layer: Layer, digest: str) -> Iterator[bytes]:
        """A layer's archive, with progress."""
        self.progress.begin(digest, f"Copying blob {digest}", layer.diff_size)
        for piece in export.layer(self.store, layer.id, digest):
            yield piece
            self.progress.advance(digest, len(piece))
        self.progress.end(digest)

    def size(self, layer: Layer, digest: str) -> int:
        """A layer's size in bytes; a record may lack it."""
        if layer.raw.get("diff-size") is not None and layer.diff_size >= 0:
            return layer.diff_size
        return sum(len(piece) for piece in export.layer(self.store, layer.id, digest))

    def small(self, out: output.Output, name: str, what: str, data: bytes) -> None:
        self.progress.begin(name, what, len(data))
        out.add(name, data)
        self.progress.advance(name, len(data))
        self.progress.end(name)


def save(
    store: Store,
    items: Sequence[tuple[Image, Sequence[str]]],
    out: str,
    format: str = "docker-archive",
    *,
    compress: bool = False,
    uncompressed: bool = False,
    progress: Progress = SILENT,
) -> None:
    """Write images, each with the names it shall have, to ``out``: a path, or "-" for standard output.

    Only docker-archive takes several images. ``compress`` is for docker-dir, ``uncompressed`` for the OCI formats,
    whose layers are gzip'ed otherwise and which have room for one name, the last. A file that is there is replaced
    when the new one is complete; to an OCI directory the image is added. Raises StorageError where a layer is
    damaged, PypodError where ``out`` cannot be written, UsageError.
    """
    if format not in FORMATS:
        raise UsageError(f'unknown format "{format}": there are {", ".join(FORMATS)}')
    if len(items) != 1 and format != "docker-archive":
        raise UsageError(f"{format} holds one image, not {len(items)}")
    if format.endswith("-dir") and out == "-":
        raise UsageError(f"cannot write {format} to standard output: it is a directory")
    plans: list[_Plan] = []
    for image, names in items:
        same = next((plan for plan in plans if plan.image.id == image.id), None)
        if same is None:
            plans.append(_Plan(store, image, names))
        else:
            same.names += [name for name in names if name not in same.names]
    work = _Save(store, progress)
    if format.endswith("-dir"):
        if os.path.lexists(out) and not os.path.isdir(out):
            raise PypodError(f"cannot write {out}: it is not a directory")
        with output.Directory(out) as directory:
            if format == "docker-dir":
                _docker_dir(work, plans[0], directory, compress)
            else:
                _oci(work, plans[0], directory, uncompressed)
        return
    from contextlib import ExitStack

    from storage.trash import Staging

    with ExitStack() as stack:
        file = stack.enter_context(output.File(out))
        # Only an OCI archive on a pipe needs room in the store: others can be saved from one that is read-only.
        archive = output.Archive(file, lambda: stack.enter_context(Staging(store.home)).new())
        if format == "oci-archive":
            _oci(work, plans[0], archive, uncompressed)
        else:
            _docker_archive(work, plans, archive)
        archive.end()


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


# docker-archive (moby's image-spec v1.2).


def _docker_archive(work: _Save, plans: Sequence[_Plan], out: output.Archive) -> None:
    written: set[str] = set()
    legacy: set[str] = set()
    manifest = []
    repositories: dict[str, dict[str, str]] = {}
    for plan in plans:
        for layer, digest in plan.layers:
            if digest not in written:
                written.add(digest)
                out.stream(_layer_file(digest), work.size(layer, digest), work.pieces(layer, digest))
        config = f"{plan.image.id}.json"
        work.small(out, config, f"Copying config sha256:{plan.image.id}", plan.config)
        top = ""
        for top, digest, document in _legacy(plan):
            if top not in legacy:
                legacy.add(top)
                out.link(f"{top}/layer.tar", f"../{_layer_file(digest)}")
                out.add(f"{top}/VERSION", b"1.0")
                out.add(f"{top}/json", document)
        manifest.append(
            {"Config": config, "RepoTags": plan.names, "Layers": [_layer_file(digest) for _, digest in plan.layers]}
        )
        for name in plan.names:
            repository, _, tag = name.rpartition(":")
            repositories.setdefault(repository, {})[tag] = top
    work.small(out, "manifest.json", "Writing manifest to image destination", fastjson.dumps(manifest).encode())
    ordered = {key: dict(sorted(tags.items())) for key, tags in sorted(repositories.items())}
    out.add("repositories", fastjson.dumps(ordered).encode())


def _layer_file(digest: str) -> str:
    return f"{digest.removeprefix('sha256:')}.tar"


def _go_json(value: dict[str, Any]) -> bytes:
    """As Go writes a map of raw messages: its keys are sorted, not theirs; <, > and & are escaped."""
    import json

    text = json.dumps(dict(sorted(value.items())), separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _legacy(plan: _Plan) -> Iterator[tuple[str, str, bytes]]:
    """What docker before 1.10 reads: for each layer an id, its digest and its own ``json``."""
    chain = parent = ""
    config = fastjson.loads(plan.config)
    for number, (_, digest) in enumerate(plan.layers):
        document: dict[str, Any] = {"parent": parent} if parent else {}
        if number == len(plan.layers) - 1:
            for key in ("architecture", "config", "container", "container_config", "created", "docker_version", "os"):
                document[key] = config.get(key)
        chain = digest if not chain else _sha256(f"{chain} {digest}".encode())
        id = hashlib.sha256(_go_json({**document, "layer_id": chain})).hexdigest()
        yield id, digest, _go_json({**document, "id": id})
        parent = id


# OCI image layout.


def _blob_path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _layer_blob(work: _Save, layer: Layer, digest: str, out: output.Output, place: Any, packed: bool) -> Any:
    if packed:
        from storage import deflate

        return out.blob(place, deflate.gzip(work.pieces(layer, digest)))
    size = work.size(layer, digest)
    out.stream(place(digest), size, work.pieces(layer, digest))
    return digest, size


def _blobs(work: _Save, plan: _Plan, out: output.Output, place: Any, packed: bool) -> list[tuple[str, int]]:
    done: dict[str, tuple[str, int]] = {}
    for layer, digest in plan.layers:
        if digest not in done:
            done[digest] = _layer_blob(work, layer, digest, out, place, packed)
    return [done[digest] for _, digest in plan.layers]


def _oci(work: _Save, plan: _Plan, out: output.Output, uncompressed: bool) -> None:
    out.directory("blobs")
    out.directory("blobs/sha256")
    blobs = _blobs(work, plan, out, _blob_path, not uncompressed)
    id = f"sha256:{plan.image.id}"
    work.small(out, _blob_path(id), f"Copying config {id}", plan.config)
    manifest = _manifest(work.store, plan, blobs, _OCI, not uncompressed)
    digest = _sha256(manifest)
    work.small(out, _blob_path(digest), "Writing manifest to image destination", manifest)
    descriptor: dict[str, Any] = {"mediaType": _OCI, "digest": digest, "size": len(manifest)}
    if plan.names:
        descriptor["annotations"] = {_REF_NAME: plan.names[-1]}
    descriptors = [descriptor]
    if isinstance(out, output.Directory):
        descriptors = [*_others(out.path, descriptor), descriptor]
    out.add("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    out.add("index.json", fastjson.dumps({"schemaVersion": 2, "manifests": descriptors}).encode())


def _others(path: str, descriptor: dict[str, Any]) -> list[dict[str, Any]]:
    """What a layout directory has already, without an image of the same name."""
    from pypod.base import files

    try:
        index = files.read_json(f"{path}/index.json")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise PypodError(f"cannot add to {path}: index.json: {error}") from None
    found = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise PypodError(f"cannot add to {path}: index.json lists no manifests")
    name = (descriptor.get("annotations") or {}).get(_REF_NAME)
    return [
        item
        for item in found
        if (item.get("annotations") or {}).get(_REF_NAME) != name
        or (name is None and item.get("digest") != descriptor["digest"])
    ]


def _manifest(store: Store, plan: _Plan, blobs: Sequence[tuple[str, int]], kind: str, packed: bool) -> bytes:
    """The manifest of what has been written: the image's own, to the byte, where it says the same."""
    data = store.image_data(plan.image, "manifest")
    try:
        own = fastjson.loads(data)
    except fastjson.BadJson:
        own = None
    own = own if isinstance(own, dict) else {}
    docker = kind == _DOCKER
    if (own.get("mediaType") or _OCI) == kind:
        layers = own.get("layers")
        config = own.get("config")
        if (
            isinstance(layers, list)
            and isinstance(config, dict)
            and config.get("digest") == f"sha256:{plan.image.id}"
        ):
            said = [(item.get("digest"), item.get("size")) for item in layers if isinstance(item, dict)]
            if said == list(blobs):
                return data
    kind_of_layer = (
        _DOCKER_LAYER + (".gzip" if packed else "") if docker else _OCI_LAYER + ("+gzip" if packed else "")
    )

    def descriptor(media: str, digest: str, size: int) -> dict[str, Any]:
        if docker:
            return {"mediaType": media, "size": size, "digest": digest}
        return {"mediaType": media, "digest": digest, "size": size}

    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": kind}
    document["config"] = descriptor(
        _DOCKER_CONFIG if docker else _OCI_CONFIG, f"sha256:{plan.image.id}", len(plan.config)
    )
    document["layers"] = [descriptor(kind_of_layer, digest, size) for digest, size in blobs]
    if not docker and isinstance(own.get("annotations"), dict):
        document["annotations"] = own["annotations"]
    return fastjson.dumps(document).encode()


# c/image's "dir" (containers-transports(5)).


def _docker_dir(work: _Save, plan: _Plan, out: output.Directory, compress: bool) -> None:
    def place(digest: str) -> str:
        return digest.removeprefix("sha256:")

    _clear(out.path)
    blobs = _blobs(work, plan, out, place, compress)
    id = f"sha256:{plan.image.id}"
    work.small(out, plan.image.id, f"Copying config {id}", plan.config)
    manifest = _manifest(work.store, plan, blobs, _DOCKER, compress)
    out.add("version", b"Directory Transport Version: 1.1\n")
    work.small(out, "manifest.json", "Writing manifest to image destination", manifest)


def _clear(path: str) -> None:
    """Only what such a directory holds is replaced by another image.

    Raises PypodError where there is something else.
    """
    names = os.listdir(path)
    if not names:
        return
    if "version" not in names:
        raise PypodError(f"cannot write {path}: it is not empty, and not of this format")
    for name in names:
        if name in ("version", "manifest.json") or name.startswith("signature-") or len(name) == 64:
            os.unlink(f"{path}/{name}")
