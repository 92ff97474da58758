"""``save``: images into archives and directories, each under the names that the user gave."""

from __future__ import annotations

import os

from pypod.engine import image_names, images, rootless
from pypod.errors import InUse, UsageError
from storage import save, space, squeeze
from storage.progress import SILENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.context import Context
    from storage.progress import Progress
    from storage.records import Image
    from storage.squeeze import Packing
    from storage.store import Store

FORMATS = ("oci-dir", "oci-archive", "docker-dir", "docker-archive")


def items(store: Store, names: Sequence[str], *, several: bool) -> list[tuple[Image, list[str]]]:
    """Each image with the names that it gets in the archive.

    Without ``several`` there is one image, and what follows it are more names for it (podman-save(1)). An image that
    was called by its id has no name of its own there. Raises NoSuchImage, PypodError.
    """
    result: list[tuple[Image, list[str]]] = []
    for name in names if several else names[:1]:
        image = store.find_image(name, lists=True)
        called = images.resolved_name(image, name)
        by_id = called not in image.names or image.id.startswith(name.removeprefix("sha256:"))
        if image.is_list:
            from storage import lists

            image = lists.instance(store, image)
        result.append((image, [] if by_id or "@" in name else [called]))
    if not several:
        own = result[0][1]
        more = [image_names.new_name(name) for name in names[1:]]
        result[0] = (result[0][0], list(dict.fromkeys([*more, *own])))
    return result


def write(
    context: Context,
    store: Store,
    wanted: Sequence[tuple[Image, Sequence[str]]],
    path: str,
    format: str,
    *,
    packing: Packing | None = None,
    kind: str = "",
    signatures: Sequence[bytes] = (),
    progress: Progress = SILENT,
) -> str:
    """Write what ``items`` gave to ``path``, "-" for stdout; see ``storage.save.save``.

    Enters the user namespace. Returns the digest of the last image's manifest. Raises UsageError, InUse (an archive
    is there already), StorageError; the output is then as it was.
    """
    if format not in FORMATS:
        raise UsageError(f"format value must be one of {' '.join(FORMATS)}")
    if format == "docker-archive" and os.path.isfile(path) and os.path.getsize(path):
        raise InUse(f"cannot write {path}: docker-archive doesn't support modifying existing images")
    rootless.enter_user(context)
    if packing is None:
        packing = squeeze.GZIP if format.startswith("oci") else squeeze.PLAIN
    if path != "-" and (not os.path.exists(path) or os.path.isdir(path) or os.path.isfile(path)):
        layers = {layer.id: layer for image, _ in wanted if image.layer for layer in store.chain(image.layer)}
        # How well data compress is not known before.
        needed = 0 if packing.format else sum(layer.diff_size for layer in layers.values())
        space.require(os.path.dirname(os.path.abspath(path)), needed, f"save to {path}")
    return save.save(
        store, wanted, path, format, packing=packing, kind=kind, signatures=signatures, progress=progress
    )
