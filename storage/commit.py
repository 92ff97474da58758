"""New image layers: staged where nobody sees them, flushed once, then made visible by one write of each JSON file."""

from __future__ import annotations

import hashlib
import os
import re

from pypod.base import files
from pypod.errors import BadArchive, StorageError, reason
from storage import extract, images, limits, overlay, stream, trash
from storage._native import lib
from storage.trash import Staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Any

    from storage.records import Image, Row
    from storage.store import Store

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")


def layer_id(parent: str, diff_id: str) -> str:
    """The id of the layer with this diffID on ``parent`` ("" for none)."""
    hexadecimal = diff_id.removeprefix("sha256:")
    if not parent:
        return hexadecimal
    return hashlib.sha256(f"{parent}+{hexadecimal}".encode()).hexdigest()


def sync_filesystem(path: str) -> None:
    """syncfs(2). Raises StorageError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        result = lib.st_syncfs(fd)
    finally:
        os.close(fd)
    if result:
        raise StorageError(f"cannot flush {path}: {os.strerror(-result)}")


class Commit:
    """The layers of one image on their way into the store; a context manager.

    Call ``add`` (or ``reuse``) for each layer from the base up, then ``finish``. Leaving without ``finish`` leaves
    nothing behind.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.limits = store.limits
        store.prepare()
        if store.driver != "vfs":
            _say_native(store)
        self._staging = Staging(store.home)
        self._splits = Staging(store.layers_dir, "tmp")
        self._known = store.layers()
        self._rows: list[tuple[Row, str, str]] = []  # the record, its staged directory, its tar-split
        self._lowers: list[str] = []  # nearest first
        self.top = ""
        self._userns = overlay.in_user_namespace()
        self._vfs = store.driver == "vfs"

    def __enter__(self) -> Commit:
        # What killed processes have left takes the room that this image needs.
        trash.clean(self.store.home)
        trash.clean(self.store.layers_dir, "tmp")
        self._staging.__enter__()
        try:
            self._splits.__enter__()
        except BaseException:
            self._staging.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._splits.__exit__(None, None, None)
        self._staging.__exit__(None, None, None)

    def reuse(self, diff_id: str) -> bool:
        """Whether the store has this layer on the present top already; then it is taken."""
        id = layer_id(self.top, diff_id)
        known = self._known.get(id)
        if known is None or self._rows or (known.raw.get("flags") or {}).get("incomplete"):
            return False
        self._lowers.insert(0, self.store.files_path(known.home, id))
        self.top = id
        return True

    def add(self, read: stream.Read, *, diff_id: str = "", blob: str = "", size: int = -1) -> Row:
        """Unpack one layer, compressed or not, from ``read``; its record.

        ``diff_id``, ``blob`` and ``size`` say what it must be. Raises BadArchive, StorageError.
        """
        limits.check(self.limits, "max_layers", len(self._lowers) + 1, "an image")
        source = stream.Source(read)
        kind = stream.compression_of(source.peek(6))
        pieces = limits.watched(stream.chunks(source, kind), source, self.limits, "a layer", "max_layer_size")
        buffer = stream.Buffer(pieces, hashed=kind != stream.PLAIN)
        directory = self._staging.new()
        split = self._splits.new()
        tree = self._new_tree(directory)
        extractor = extract.Extractor(
            tree,
            lowers=[] if self._vfs else self._lowers,
            tar_split=split,
            shadow=self._staging.new(),
            in_user_namespace=self._userns,
            whiteouts="apply" if self._vfs else "keep" if self.store.mount_program else "convert",
            limits=self.limits,
        )
        extractor.run(buffer)
        source.drain()
        found_blob = source.sha256
        found = found_blob if kind == stream.PLAIN else buffer.sha256
        total = source.size if kind == stream.PLAIN else buffer.size
        if blob and found_blob != blob:
            raise BadArchive(f"broken archive: layer {blob} has the digest {found_blob}")
        if size >= 0 and source.size != size:
            raise BadArchive(f"broken archive: layer {blob} has {source.size} bytes, its manifest says {size}")
        if diff_id and found != diff_id:
            raise BadArchive(f"broken archive: layer {diff_id} has the uncompressed digest {found}")
        if not self._vfs:
            self._root_mode(tree)
        id = layer_id(self.top, found)
        row: Row = {"id": id}
        if self.top:
            row["parent"] = self.top
        row["created"] = ""
        row["compressed-diff-digest"] = found_blob
        row["compressed-size"] = source.size
        row["diff-digest"] = found
        row["diff-size"] = total
        if kind != stream.PLAIN:
            row["compression"] = kind
        row["uidset"], row["gidset"] = sorted(extractor.uids), sorted(extractor.gids)
        self._rows.append((row, directory, split))
        self._lowers.insert(0, tree)
        self.top = id
        return row

    def _new_tree(self, directory: str) -> str:
        """Where the next layer's files go; a vfs layer begins as a copy of the one below it."""
        if self._vfs and self._lowers:
            from storage import vfs

            vfs.copy(self._lowers[0], directory)
            return directory
        try:
            if self._vfs:
                os.mkdir(directory, 0o755)
                os.chmod(directory, 0o755)
                return directory
            os.mkdir(directory, 0o700)
            os.mkdir(f"{directory}/diff", 0o700)
        except OSError as error:
            raise StorageError(f"cannot unpack the image: {reason(error)}") from None
        return f"{directory}/diff"

    def size_of_top(self) -> int:
        """The uncompressed size of the layer that came last, in bytes."""
        if self._rows and self._rows[-1][0]["id"] == self.top:
            return int(self._rows[-1][0]["diff-size"])
        return self._known[self.top].diff_size

    def _root_mode(self, diff: str) -> None:
        """A base layer's root is 0555, the others' as their parent's, as containers/storage has it."""
        mode, uid, gid = 0o555, 0, 0
        if self._lowers:
            found = os.stat(self._lowers[0])
            mode, uid, gid = found.st_mode & 0o7777, found.st_uid, found.st_gid
        if uid or gid:
            os.chown(diff, uid, gid)
        os.chmod(diff, mode)

    def finish(
        self,
        *,
        config: bytes,
        manifests: Sequence[bytes],
        names: Sequence[str],
        created: str,
    ) -> Image:
        """Make the layers and the image visible. ``manifests``: the image's own, then those it came from.

        Raises StorageError.
        """
        store = self.store
        if self._rows:
            sync_filesystem(store.graphroot)
        id = hashlib.sha256(config).hexdigest()
        data: list[tuple[str, bytes, str]] = [(f"sha256:{id}", config, f"sha256:{id}")]
        for content in manifests:
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
            data.append((f"manifest-{digest}", content, digest))
        main = data[1][2]
        data.insert(2, ("manifest", manifests[0], main))
        metadata = f'{{"signatures-sizes":{{"{main}":[]}}}}'
        with store.layers_lock() as lock:
            made = self._place(lock)
            try:
                if self.top and store._layer_row(self.top) is None:
                    raise StorageError(f"cannot finish image {id[:12]}: its layers have been removed meanwhile")
                return images.add(
                    store, id=id, names=names, layer=self.top, created=created, data=data, metadata=metadata
                )
            except StorageError:
                self._take_back(made, lock)
                raise

    def _place(self, lock: Any) -> list[str]:
        from storage import records

        store = self.store
        # An incomplete layer is what a killed podman 4 has left: any writer may replace it.
        rows = [row for row in store.layer_table.rows() if not (row.get("flags") or {}).get("incomplete")]
        there = {row["id"] for row in rows}
        homes: dict[str, str] = {item.id: item.home for item in store.layers().values()}
        made: list[str] = []
        try:
            for row, directory, split in self._rows:
                id, parent = row["id"], row.get("parent") or ""
                if id in there:
                    continue
                if parent and parent not in homes:
                    raise StorageError(
                        f"cannot add layer {id[:12]}: its parent {parent[:12]} has been removed meanwhile"
                    )
                store.take_layer(id, self._staging)  # a leftover without a record
                os.rename(directory, store.layer_path(id))
                made.append(id)
                lower = "" if self._vfs else overlay.lower_text(homes[parent], parent) if parent else ""
                ancestors = []
                by_id = {item["id"]: item for item in rows}
                at = parent
                while at:
                    ancestors.append(at)
                    at = (by_id[at].get("parent") if at in by_id else store.layer(at).parent) or ""
                if not self._vfs:
                    overlay.furnish(store.home, id, lower, ":".join(ancestors), durable=True)
                os.rename(split, f"{store.layers_dir}/{id}.tar-split.gz")
                rows.append({**row, "created": records.now()})
                there.add(id)
                homes[id] = store.home
            if made:
                for id in made:
                    files.sync_directory(store.layer_path(id))
                files.sync_directory(f"{store.home}/dir" if self._vfs else f"{store.home}/l")
                files.sync_directory(store.home)
                files.sync_directory(store.layers_dir)
                store.layer_table.save(rows, lock, durable=True)
        except BaseException as error:
            self._drop(made)
            if isinstance(error, OSError):
                raise StorageError(f"cannot add layers to {store.home}: {reason(error)}") from None
            raise
        return made

    def _drop(self, made: Sequence[str]) -> None:
        for id in reversed(made):
            self.store.take_layer(id, self._staging)
            files.remove_tree(f"{self.store.layers_dir}/{id}.tar-split.gz")

    def _take_back(self, made: Sequence[str], lock: Any) -> None:
        if made:
            kept = [row for row in self.store.layer_table.rows() if row["id"] not in made]
            self.store.layer_table.save(kept, lock, durable=True)
            self._drop(made)


def check_digest(value: object, what: str) -> str:
    """``value`` as a digest.

    Raises BadArchive.
    """
    if not isinstance(value, str) or not _SHA256.match(value):
        raise BadArchive(f"broken archive: {what} {str(value)[:100]!r} is not a sha256 digest")
    return value


def _say_native(store: Store) -> None:
    """Record for other tools whether this store's layers are made for native overlay or for a mount program."""
    path = f"{store.home}/.has-mount-program"
    if not os.path.exists(path):
        try:
            files.replace(path, b"true" if store.mount_program else b"false")
        except OSError as error:
            raise StorageError(f"cannot write {path}: {reason(error)}") from None
