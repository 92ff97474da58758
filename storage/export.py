"""A layer's archive out of the store, to the bit as it came in."""

from __future__ import annotations

import hashlib
import os

from pypod.errors import StorageError
from storage import pack, tarsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.records import Layer
    from storage.store import Store


def layer(store: Store, layer_id: str, digest: str = "") -> Iterator[bytes]:
    """The uncompressed archive of a layer in pieces, rebuilt from its tar-split file.

    A layer without such a file is packed anew. The end comes only when the whole has the digest that the layer's
    record says, or else ``digest``; a container's layer has none. Raises StorageError, at the end too: who writes a
    file from the pieces must not keep it then.
    """
    found = store.layer(layer_id)
    wanted = found.diff_digest or digest
    sum = hashlib.sha256()
    size = 0
    for piece in _pieces(store, found):
        sum.update(piece)
        size += len(piece)
        yield piece
    got = f"sha256:{sum.hexdigest()}"
    if wanted and got != wanted:
        how = "rebuilt" if os.path.exists(store.tar_split(found)) else "packed anew, as it has no tar-split file,"
        raise StorageError(
            f"cannot export layer {layer_id[:12]}: {how} it has the digest {got}, its record says {wanted}",
            hint="pypod system check says what else is damaged; load or pull the image again",
        )


def _pieces(store: Store, found: Layer) -> Iterator[bytes]:
    own = store.files_path(found.home, found.id)
    lowers = store.lower_directories(found.id)
    split = store.tar_split(found)
    if os.path.exists(split):
        yield from tarsplit.rebuild(split, [own, *lowers])
        return
    with open_layer(store, found.id) as tree:
        yield from tree


def open_layer(store: Store, layer_id: str, *, uid_map: pack.Map = (), gid_map: pack.Map = ()) -> pack.Pack:
    """What a layer changes, packed from its files: a container's layer, as ``commit`` needs it.

    The maps are the container's, if it has any of its own. Raises StorageError.
    """
    from storage import mounting, overlay

    found = store.layer(layer_id)
    own = store.files_path(found.home, found.id)
    if store.driver == "vfs":
        parent = store.layer(found.parent) if found.parent else None
        return pack.open_tree(
            own,
            parent=store.files_path(parent.home, parent.id) if parent is not None else "",
            uid_map=uid_map,
            gid_map=gid_map,
        )
    return pack.open_tree(
        own,
        lowers=store.lower_directories(layer_id),
        userns=overlay.in_user_namespace(),
        fuse=bool(mounting.mount_program(store)),
        uid_map=uid_map,
        gid_map=gid_map,
    )
