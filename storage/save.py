"""``save``: images as docker-archive, OCI archive, OCI layout directory or "dir" directory.

Layers are streamed from the store to the output: their sizes are in their records. Configs go out as they are, so an
image has the same id wherever it is loaded.
"""

from __future__ import annotations

import hashlib
import os

from pypod.base import fastjson
from pypod.errors import PypodError, UsageError
from pypod.oci import manifest_write
from pypod.oci.digest import of as digest_of
from pypod.oci.manifest import REF_NAME
from pypod.oci.manifest_write import DOCKER, OCI, Blob
from storage import output, squeeze
from storage.outgoing import Outgoing
from storage.progress import SILENT
from storage.squeeze import PLAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from storage.progress import Progress
    from storage.records import Image, Layer
    from storage.squeeze import Packing
    from storage.store import Store

FORMATS = ("docker-archive", "oci-archive", "oci-dir", "docker-dir")


class _Save:
    def __init__(self, store: Store, packing: Packing, progress: Progress) -> None:
        self.store = store
        self.packing = packing
        self.progress = progress

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
    packing: Packing = PLAIN,
    kind: str = "",
    signatures: Sequence[bytes] = (),
    progress: Progress = SILENT,
) -> str:
    """Write images, each with the names it shall have, to ``out``: a path, or "-" for standard output.

    Only docker-archive takes several images; its layers are never compressed. The OCI formats have room for one name,
    the last. ``kind`` is the media type of a docker-dir's manifest, the image's own if "". ``signatures`` go into a
    docker-dir, which must then have the image's own manifest, to the byte. A file that is there is replaced when the
    new one is complete; to an OCI directory the image is added. Returns the digest of the (last) manifest. Raises
    StorageError where a layer is damaged, PypodError where ``out`` cannot be written, UsageError.
    """
    if format not in FORMATS:
        raise UsageError(f'unknown format "{format}": there are {", ".join(FORMATS)}')
    if len(items) != 1 and format != "docker-archive":
        raise UsageError(f"{format} holds one image, not {len(items)}")
    if format.endswith("-dir") and out == "-":
        raise UsageError(f"cannot write {format} to standard output: it is a directory")
    plans: list[Outgoing] = []
    for image, names in items:
        same = next((plan for plan in plans if plan.image.id == image.id), None)
        if same is None:
            plans.append(Outgoing(store, image, names))
        else:
            same.names += [name for name in names if name not in same.names]
    work = _Save(store, packing, progress)
    if format.endswith("-dir"):
        if os.path.lexists(out) and not os.path.isdir(out):
            raise PypodError(f"cannot write {out}: it is not a directory")
        with output.Directory(out) as directory:
            if format == "docker-dir":
                chosen = manifest_write.choose_kind(kind, plans[0].kind, packing.format)
                return _docker_dir(work, plans[0], directory, chosen, signatures)
            return _oci(work, plans[0], directory)
    from contextlib import ExitStack

    from storage.trash import Staging

    with ExitStack() as stack:
        file = stack.enter_context(output.File(out))
        # Only an OCI archive on a pipe needs room in the store: others can be saved from one that is read-only.
        archive = output.Archive(file, lambda: stack.enter_context(Staging(store.home)).new())
        if format == "oci-archive":
            written = _oci(work, plans[0], archive)
        else:
            written = _docker_archive(work, plans, archive)
        archive.end()
    return written


# docker-archive (moby's image-spec v1.2).


def _docker_archive(work: _Save, plans: Sequence[Outgoing], out: output.Archive) -> str:
    """The digest is that of the manifest which the last image would have with these layers, as podman tells it."""
    sizes: dict[str, int] = {}
    legacy: set[str] = set()
    manifest = []
    repositories: dict[str, dict[str, str]] = {}
    for plan in plans:
        for layer, digest in plan.layers:
            if digest not in sizes:
                size = sizes[digest] = plan.size(layer, digest)
                out.stream(_layer_file(digest), size, plan.pieces(layer, digest, work.progress))
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
    blobs = [Blob(digest=digest, size=sizes[digest]) for _, digest in plans[-1].layers]
    return digest_of(plans[-1].manifest(DOCKER, blobs))


def _layer_file(digest: str) -> str:
    return f"{digest.removeprefix('sha256:')}.tar"


def _go_json(value: dict[str, Any]) -> bytes:
    """As Go writes a map of raw messages: its keys are sorted, not theirs; <, > and & are escaped."""
    import json

    text = json.dumps(dict(sorted(value.items())), separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _legacy(plan: Outgoing) -> Iterator[tuple[str, str, bytes]]:
    """What docker before 1.10 reads: for each layer an id, its digest and its own ``json``."""
    chain = parent = ""
    config = fastjson.loads(plan.config)
    for number, (_, digest) in enumerate(plan.layers):
        document: dict[str, Any] = {"parent": parent} if parent else {}
        if number == len(plan.layers) - 1:
            for key in ("architecture", "config", "container", "container_config", "created", "docker_version", "os"):
                document[key] = config.get(key)
        chain = digest if not chain else digest_of(f"{chain} {digest}".encode())
        id = hashlib.sha256(_go_json({**document, "layer_id": chain})).hexdigest()
        yield id, digest, _go_json({**document, "id": id})
        parent = id


# OCI image layout.


def _blob_path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _blobs(work: _Save, image: Outgoing, out: output.Output, place: Callable[[str], str]) -> list[Blob]:
    done: dict[str, Blob] = {}
    for layer, digest in image.layers:
        if digest not in done:
            done[digest] = _layer_blob(work, image, layer, digest, out, place)
    return [done[digest] for _, digest in image.layers]


def _layer_blob(
    work: _Save, image: Outgoing, layer: Layer, digest: str, out: output.Output, place: Callable[[str], str]
) -> Blob:
    pieces = image.pieces(layer, digest, work.progress)
    if not work.packing.format:
        size = image.size(layer, digest)
        out.stream(place(digest), size, pieces)
        return Blob(digest=digest, size=size)
    notes: dict[str, str] = {}
    written, size = out.blob(place, squeeze.packed(image, layer, pieces, work.packing, notes))
    return Blob(digest=written, size=size, compression=squeeze.compression(work.packing, notes), annotations=notes)


def _oci(work: _Save, image: Outgoing, out: output.Output) -> str:
    out.directory("blobs")
    out.directory("blobs/sha256")
    blobs = _blobs(work, image, out, _blob_path)
    id = image.config_digest
    work.small(out, _blob_path(id), f"Copying config {id}", image.config)
    manifest = image.manifest(OCI, blobs)
    digest = digest_of(manifest)
    work.small(out, _blob_path(digest), "Writing manifest to image destination", manifest)
    descriptor: dict[str, Any] = {"mediaType": OCI, "digest": digest, "size": len(manifest)}
    if image.names:
        descriptor["annotations"] = {REF_NAME: image.names[-1]}
    descriptors = [descriptor]
    if isinstance(out, output.Directory):
        descriptors = [*others(out.path, descriptor), descriptor]
    out.add("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    out.add("index.json", fastjson.dumps({"schemaVersion": 2, "manifests": descriptors}).encode())
    return digest


def others(path: str, descriptor: dict[str, Any]) -> list[dict[str, Any]]:
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
    name = (descriptor.get("annotations") or {}).get(REF_NAME)
    return [
        item
        for item in found
        if (item.get("annotations") or {}).get(REF_NAME) != name
        or (name is None and item.get("digest") != descriptor["digest"])
    ]


# c/image's "dir" (containers-transports(5)).


def _docker_dir(work: _Save, image: Outgoing, out: output.Directory, kind: str, signatures: Sequence[bytes]) -> str:
    def place(digest: str) -> str:
        return digest.removeprefix("sha256:")

    if signatures:
        plain = [Blob(digest=digest, size=image.size(layer, digest)) for layer, digest in image.layers]
        if work.packing.format or digest_of(image.manifest(kind, plain)) != image.image.manifest_digest:
            raise PypodError(
                "cannot write the image with its signatures: they are for another manifest than the one it gets here",
                hint="leave them behind with --remove-signatures",
            )
    clear(out.path)
    blobs = _blobs(work, image, out, place)
    work.small(out, image.image.id, f"Copying config {image.config_digest}", image.config)
    manifest = image.manifest(kind, blobs)
    out.add("version", b"Directory Transport Version: 1.1\n")
    work.small(out, "manifest.json", "Writing manifest to image destination", manifest)
    for number, signature in enumerate(signatures, 1):
        out.add(f"signature-{number}", signature)
    return digest_of(manifest)


def clear(path: str) -> None:
    """Only what such a directory holds is replaced by another image.

    Raises PypodError where there is something else.
    """
    names = os.listdir(path)
    if not names:
        return
    if "version" not in names:
        raise PypodError(f"cannot write {path}: it is not empty, and not of this format")
    for name in names:
        if (
            name in ("version", "manifest.json")
            or name.startswith("signature-")
            or len(name.removesuffix(".manifest.json")) == 64
        ):
            os.unlink(f"{path}/{name}")
