"""New image layers: staged where nobody sees them, flushed once, then made visible by one write of each JSON file."""

from __future__ import annotations

import hashlib
import os
import time

from pypod.base import files
from pypod.errors import BadArchive, StorageError, reason
from storage import boot, extract, flow, images, limits, overlay, stream, trees
from storage.progress import SILENT
from storage.trash import Staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Any

    from storage.progress import Progress
    from storage.records import Image, Layer, Row
    from storage.staged import Staged
    from storage.store import Store


def layer_id(parent: str, diff_id: str) -> str:
    """The id of the layer with this diffID on ``parent`` ("" for none)."""
    hexadecimal = diff_id.removeprefix("sha256:")
    if not parent:
        return hexadecimal
    return hashlib.sha256(f"{parent}+{hexadecimal}".encode()).hexdigest()


def verify(passed: flow.Passed, came: int, blob: str, size: int, diff_id: str) -> None:
    """Whether a layer of which ``came`` bytes have come in is what it must be; "" and -1 where that is not known.

    Raises BadArchive.
    """
    if blob and passed.blob != blob:
        raise BadArchive(f"broken archive: layer {blob} has the digest {passed.blob}")
    if size >= 0 and came != size:
        raise BadArchive(f"broken archive: layer {blob} has {came} bytes, its manifest says {size}")
    if diff_id and passed.content != diff_id:
        raise BadArchive(f"broken archive: layer {diff_id} has the uncompressed digest {passed.content}")


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
        self._staging = Staging(store.image_home)
        self._splits = Staging(store.layers_dir, "tmp")
        self._known: dict[str, Layer] = {}
        self._rows: list[tuple[Row, str, str]] = []  # the record, its staged directory, its tar-split
        self._lowers: list[str] = []  # nearest first
        self.top = ""
        self._systems: list[trees.FileSystem] = []
        self._userns = overlay.in_user_namespace()
        self._vfs = store.driver == "vfs"

    def __enter__(self) -> Commit:
        # What killed processes have left takes the room that this image needs.
        images.sweep(self.store)
        self._known = self.store.layers()
        self._staging.__enter__()
        try:
            self._splits.__enter__()
            self._systems.append(trees.FileSystem(self.store.image_home))
            if os.stat(self.store.image_home).st_dev != os.stat(self.store.layers_dir).st_dev:
                self._systems.append(trees.FileSystem(self.store.layers_dir))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for system in self._systems:
            system.__exit__()
        self._systems = []
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

    def stand_on(self, layer: str) -> None:
        """Begin on a layer that the store has, whatever its id: the top of a container's image.

        Raises StorageError if it or one below it is missing.
        """
        self._lowers = [self.store.files_path(item.home, item.id) for item in self.store.chain(layer)]
        self.top = layer

    def add(
        self,
        read: stream.Read,
        *,
        diff_id: str = "",
        blob: str = "",
        size: int = -1,
        kind: int | None = None,
        progress: Progress = SILENT,
        what: str = "",
        total: int = -1,
    ) -> Row:
        """Unpack one layer from ``read``; its record.

        ``diff_id``, ``blob`` and ``size`` say what it must be, ``kind`` how it is compressed: the content itself
        says that if it is None. Progress counts bytes as they are read, about ``total`` of them, under the heading
        ``what``. Raises BadArchive, StorageError.
        """
        limits.check(self.limits, "max_layers", len(self._lowers) + 1, "an image")
        key = blob or diff_id or f"layer {len(self._rows) + 1}"
        progress.begin(key, what or f"Copying blob {key}", size if size >= 0 else total)
        source = stream.Source(read)
        if kind is None:
            kind = stream.compression_of(source.peek(6))
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
            ignore_owners=self.store.ignore_chown_errors,
            mask=self.store.force_mask,
            limits=self.limits,
        )
        try:
            passed = flow.run(source, kind, extractor, self.limits, lambda count: progress.advance(key, count))
            extractor.seal()
            uids, gids = sorted(extractor.uids), sorted(extractor.gids)
        finally:
            extractor.close()
        row = self._take(passed, source.size, kind, diff_id, blob, size)
        row["uidset"], row["gidset"] = uids, gids
        if not self._vfs:
            self._root_mode(tree)
        self._put(row, directory, split)
        progress.end(key)
        return row

    def adopt(self, staged: Staged, *, diff_id: str = "", blob: str = "", size: int = -1) -> Row:
        """Take a layer that has been unpacked already; see ``add``."""
        limits.check(self.limits, "max_layers", len(self._lowers) + 1, "an image")
        if staged.layer:
            return self._add_again(staged, diff_id)
        row = self._take(staged.passed, staged.size, staged.kind, diff_id, blob, size)
        directory, split = self._staging.new(), self._splits.new()
        try:
            os.rename(staged.directory, directory)
            files.move(staged.split, split)
        except OSError as error:
            raise StorageError(f"cannot add layers to {self.store.home}: {reason(error)}") from None
        staged.layer = row["id"]
        tree = f"{directory}/diff"
        extractor = extract.Extractor(
            tree, lowers=self._lowers, in_user_namespace=self._userns, mask=self.store.force_mask
        )
        try:
            extractor.inherit(staged.implied)
            uids, gids = staged.uids | extractor.uids, staged.gids | extractor.gids
        finally:
            extractor.close()
        row["uidset"], row["gidset"] = sorted(uids), sorted(gids)
        self._root_mode(tree)
        self._put(row, directory, split)
        return row

    def _add_again(self, staged: Staged, diff_id: str) -> Row:
        """The content of a layer that another one has taken, of this image or of one before."""
        from storage import export, tarsplit

        own = [item for item in self._rows if item[0]["id"] == staged.layer]
        pieces = tarsplit.rebuild(own[0][2], [f"{own[0][1]}/diff"]) if own else export.layer(self.store, staged.layer)
        row = self.add(lambda count: next(pieces, b""), diff_id=diff_id, kind=stream.PLAIN)
        row["compressed-diff-digest"], row["compressed-size"] = staged.passed.blob, staged.size
        if staged.kind != stream.PLAIN:
            row["compression"] = staged.kind
        return row

    def _take(self, passed: flow.Passed, came: int, kind: int, diff_id: str, blob: str, size: int) -> Row:
        """The record of a layer that has been unpacked, if it is what it must be; ``came`` bytes of it came in.

        Raises BadArchive.
        """
        verify(passed, came, blob, size, diff_id)
        row: Row = {"id": layer_id(self.top, passed.content)}
        if self.top:
            row["parent"] = self.top
        row["created"] = ""
        row["compressed-diff-digest"] = passed.blob
        row["compressed-size"] = came
        row["diff-digest"] = passed.content
        row["diff-size"] = passed.size
        if kind != stream.PLAIN:
            row["compression"] = kind
        return row

    def _put(self, row: Row, directory: str, split: str) -> None:
        self._rows.append((row, directory, split))
        self._lowers.insert(0, directory if self._vfs else f"{directory}/diff")
        self.top = row["id"]

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
        if self.store.force_mask >= 0:
            from storage import masked

            masked.root(diff, self.store.force_mask, self._lowers)
            return
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
        signatures: Sequence[bytes] = (),
    ) -> Image:
        """Make the layers and the image visible. ``manifests``: the image's own, then those it came from.

        ``signatures`` are those of its own manifest. Raises StorageError.
        """
        from storage import signatures as keeping

        store = self.store
        began = time.time_ns()
        if self._rows:
            self._flush()
        id = hashlib.sha256(config).hexdigest()
        data: list[tuple[str, bytes, str]] = [(f"sha256:{id}", config, f"sha256:{id}")]
        for content in reversed(manifests):
            main = "sha256:" + hashlib.sha256(content).hexdigest()
            data.append((f"manifest-{main}", content, main))
        data.append(("manifest", manifests[0], main))
        data += keeping.big_data(main, signatures)
        with store.layers_lock() as lock:
            made = self._place(lock)
            try:
                if self.top and store._layer_row(self.top) is None:
                    raise StorageError(f"cannot finish image {id[:12]}: its layers have been removed meanwhile")
                image = images.add(
                    store,
                    id=id,
                    names=names,
                    layer=self.top,
                    created=created,
                    digest=data[1][2],
                    data=data,
                    metadata=lambda old: keeping.metadata(main, signatures, old),
                    signed=bool(signatures),
                )
            except BaseException:
                self._take_back(made, lock)
                raise
        if self._rows and store.sync:
            boot.note_sync(store, began)
        return image

    def _flush(self) -> None:
        """Furnish the staged layers, so that under the locks there are only renames, and flush all at once.

        Raises StorageError.
        """
        store = self.store
        try:
            if not self._vfs:
                lower = ancestors = ""
                for row, directory, _ in self._rows:
                    parent = row.get("parent") or ""
                    if parent and not lower:
                        lower = overlay.lower_text(self._known[parent].home, parent)
                        ancestors = ":".join([item.id for item in store.chain(parent)])
                    link = overlay.furnish(directory, lower, ancestors, durable=False)
                    lower = f"l/{link}:{lower}" if lower else f"l/{link}"
                    ancestors = f"{row['id']}:{ancestors}" if ancestors else row["id"]
            if store.sync:
                for system in self._systems:
                    system.sync()
        except OSError as error:
            raise StorageError(f"cannot add layers to {store.image_home}: {reason(error)}") from None

    def _place(self, lock: Any) -> list[str]:
        from storage import records

        store = self.store
        # An incomplete layer is what a killed podman 4 has left: any writer may replace it.
        rows = [row for row in store.layer_table.rows() if not (row.get("flags") or {}).get("incomplete")]
        there = {row["id"] for row in rows}
        homes: dict[str, str] = {item.id: item.home for item in store.layers().values()}
        made: list[str] = []
        try:
            self._staging.note([row["id"] for row, _, _ in self._rows])
            for row, directory, split in self._rows:
                id, parent = row["id"], row.get("parent") or ""
                if id in there:
                    continue
                if parent and parent not in homes:
                    raise StorageError(
                        f"cannot add layer {id[:12]}: its parent {parent[:12]} has been removed meanwhile"
                    )
                store.take_layer(id, self._staging)  # a leftover without a record
                made.append(id)
                if not self._vfs:
                    self._link(directory, id, homes.get(parent, ""), parent)
                os.rename(directory, store.layer_path(id))
                os.rename(split, f"{store.layers_dir}/{id}.tar-split.gz")
                rows.append({**row, "created": records.now()})
                there.add(id)
                homes[id] = store.image_home
            if made:
                files.sync_directory(f"{store.image_home}/dir" if self._vfs else f"{store.image_home}/l")
                files.sync_directory(store.image_home)
                files.sync_directory(store.layers_dir)
                store.layer_table.save(rows, lock, durable=True)
        except BaseException as error:
            self._take_back(made, lock)
            if isinstance(error, OSError):
                raise StorageError(f"cannot add layers to {store.image_home}: {reason(error)}") from None
            raise
        return made

    def _link(self, directory: str, id: str, parent_home: str, parent: str) -> None:
        """Give a staged layer its short name. Its parent's may have changed since it was furnished: somebody else has
        made the same layer, or made it anew.
        """
        if parent:
            lower = overlay.lower_text(parent_home, parent)
            if files.read(f"{directory}/lower").decode() != lower:
                ancestors = files.read(f"{directory}/lower-layers").decode()
                overlay.write_lower(directory, lower, ancestors, durable=True)
        overlay.make_link(self.store.image_home, id, files.read(f"{directory}/link").decode())

    def _take_back(self, made: Sequence[str], lock: Any) -> None:
        """Undo ``_place``. A write that failed may have been done all the same: what has a record keeps its files."""
        store = self.store
        if not made or any(row.get("layer") == self.top for row in store.image_table.rows()):
            return
        rows = store.layer_table.rows()
        kept = [row for row in rows if row["id"] not in made]
        if len(kept) != len(rows):
            store.layer_table.save(kept, lock, durable=True)
        for id in reversed(made):
            store.take_layer(id, self._staging)
            files.remove_tree(f"{store.layers_dir}/{id}.tar-split.gz")


def _say_native(store: Store) -> None:
    """Record for other tools whether this store's layers are made for native overlay or for a mount program."""
    path = f"{store.home}/.has-mount-program"
    if not os.path.exists(path):
        try:
            files.replace(path, b"true" if store.mount_program else b"false")
        except OSError as error:
            raise StorageError(f"cannot write {path}: {reason(error)}") from None
