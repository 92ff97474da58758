"""``image inspect`` of an image that is not in the store: in a registry, an archive or a directory."""

from __future__ import annotations

from pypod.base.record import record
from pypod.base.text import show
from pypod.engine import image_names, image_view, pull, pull_registry, rootless
from pypod.errors import BadArchive, NotFound
from pypod.oci import digest as digests
from pypod.oci import manifest
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.context import Context
    from pypod.engine.pull import Request
    from pypod.engine.transports import Transport
    from pypod.oci.manifest import Config
    from storage.store import Store


@record
class Described:
    """An image from what its manifest and config say.

    ``raw`` is what the reference leads to: a manifest, or an index. ``size``: bytes to fetch, -1 if nobody says it.
    """

    raw: bytes
    own: bytes
    data: bytes
    config: Config
    size: int
    tags: list[str] = []
    digests: list[str] = []


def describe(context: Context, store: Store, where: Transport, request: Request) -> Described:
    """The image that ``where`` leads to; ``request`` says how registries are reached, and for which platform.

    Nothing of it is stored, so no policy is asked. Raises RegistryError, BadArchive, NotFound, PypodError.
    """
    if where.kind == "docker":
        return _registry(store, where, request)
    return _archive(context, store, where, request)


def inspect(found: Described) -> dict[str, Any]:
    """The same with podman's JSON keys, as far as it is known before a pull."""
    return image_view.document(
        id=digests.of(found.data)[7:],
        digest=digests.of(found.raw) if found.raw else "",
        tags=found.tags,
        repo_digests=found.digests,
        config=found.config.document,
        manifest=manifest.read_object(found.own, "a manifest") if found.own else {},
        size=max(found.size, 0),
    )


def _registry(store: Store, where: Transport, request: Request) -> Described:
    reference = pull.whole(where.rest, where)
    work = pull_registry.Work(store, request, None, SILENT)
    try:
        found = work.remote(reference)
    finally:
        work.close()
    sizes = [layer.size for layer in found.own.layers]
    return Described(
        raw=found.manifests[-1],
        own=found.manifests[0],
        data=found.data,
        config=found.config,
        size=-1 if -1 in sizes else sum(sizes),
        tags=[] if reference.digest else [str(reference)],
        digests=sorted({f"{reference.name}@{digests.of(item)}" for item in found.manifests}),
    )


def _archive(context: Context, store: Store, where: Transport, request: Request) -> Described:
    from storage import load

    source = pull.check_path(where)
    rootless.enter_user(context)  # a compressed archive is unpacked to be read
    wanted = load.Wanted(
        normalise=image_names.new_name,
        platform=request.platform,
        kind=pull.kind_of(where),
        reference=where.reference,
    )
    try:
        [found] = load.peek(store, source, wanted)
    except (BadArchive, NotFound) as error:
        error.message = f"{show(str(where))}: {error.message}"
        raise
    sizes = [layer.size for layer in found.layers]
    return Described(
        raw=found.manifests[-1] if found.manifests else b"",
        own=found.manifests[0] if found.manifests else b"",
        data=found.data,
        config=found.config,
        size=-1 if -1 in sizes else sum(sizes),
        tags=found.names,
    )
