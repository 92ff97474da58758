"""``Store``: one graphroot and runroot, read and written in podman's format.

Reading takes no lock and creates nothing: every JSON file is replaced by rename, so what is read is whole. Writing
needs the store's owner with its ids mapped: root, or root of the rootless user's namespace.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.errors import StorageError, reason
from storage import records
from storage.progress import SILENT
from storage.records import Container, Image, Layer
from storage.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from storage.image_find import ShortNames
    from storage.limits import Limits
    from storage.locks import RecordLock
    from storage.progress import Progress
    from storage.trash import Staging


def _lock(path: str, also: str = "", tables: Sequence[Table] = ()) -> RecordLock:
    from storage.locks import RecordLock

    return RecordLock(path, also=also, tables=tables)


class Store:
    """See the module. Making one does no I/O."""

    def __init__(
        self,
        graphroot: str,
        runroot: str,
        *,
        driver: str = "overlay",
        imagestore: str = "",
        mount_program: str = "",
        mountopt: str = "",
        additional_image_stores: Sequence[str] = (),
        transient: bool = False,
        ignore_chown_errors: bool = False,
        force_mask: int = -1,
        disable_volatile: bool = False,
        sync: bool = True,
        rootless: bool = False,
        limits: Limits | None = None,
        short_names: ShortNames | None = None,
    ) -> None:
        if driver not in ("overlay", "vfs"):
            raise StorageError(f'cannot use storage driver "{driver}": there are overlay and vfs')
        self.graphroot = graphroot
        self.runroot = runroot
        self.driver = driver
        self.imagestore = imagestore
        self.transient = transient
        self.ignore_chown_errors = ignore_chown_errors
        self.force_mask = force_mask  # the mode of all files of layers (fuse-overlayfs knows better), -1 for none
        self.disable_volatile = disable_volatile
        self.sync = sync
        self.mount_program = mount_program
        self.mountopt = mountopt
        self.additional = tuple(additional_image_stores)
        self.rootless = rootless
        self.short_names = short_names  # what names without a registry stand for, beyond localhost and docker.io
        self._limits = limits
        self.home = f"{graphroot}/{driver}"
        self.layers_dir = f"{graphroot}/{driver}-layers"
        # With an imagestore the files of images are there, as their records are. All layers' records stay here.
        self.image_home = f"{imagestore or graphroot}/{driver}"
        self.images_dir = f"{imagestore or graphroot}/{driver}-images"
        self.containers_dir = f"{graphroot}/{driver}-containers"
        self.mountpoints_file = f"{runroot}/{driver}-layers/mountpoints.json"
        passing = runroot if transient else graphroot
        self.layer_table = Table(f"{self.layers_dir}/layers.json")
        self.volatile_layer_table = Table(f"{passing}/{driver}-layers/volatile-layers.json")
        self.image_table = Table(f"{self.images_dir}/images.json")
        self.container_table = Table(f"{self.containers_dir}/containers.json")
        self.volatile_container_table = Table(f"{passing}/{driver}-containers/volatile-containers.json")
        # Of an id that is in several files the first counts.
        self.layer_tables: tuple[Table, ...] = (self.layer_table, self.volatile_layer_table)
        if imagestore:
            second = Table(f"{imagestore}/{driver}-layers/layers.json")
            self.layer_tables = (self.layer_table, second, self.volatile_layer_table)
        self.container_tables = (self.container_table, self.volatile_container_table)
        self._containers_lock = f"{passing}/{driver}-containers/containers.lock"
        # Each read-only store: its driver directory, layers and images.
        self.read_only_stores = tuple(
            (
                f"{root}/{driver}",
                Table(f"{root}/{driver}-layers/layers.json"),
                Table(f"{root}/{driver}-images/images.json"),
                f"{root}/{driver}-images",
            )
            for root in self.additional
        )
        self._prepared = False

    @property
    def limits(self) -> Limits:
        """What an archive may claim at most."""
        if self._limits is None:
            from storage.limits import DEFAULT

            return DEFAULT
        return self._limits

    # Locks and places.

    def layers_lock(self) -> RecordLock:
        also = f"{self.imagestore}/{self.driver}-layers/layers.lock" if self.imagestore else ""
        return _lock(f"{self.layers_dir}/layers.lock", also=also, tables=self.layer_tables)

    def images_lock(self) -> RecordLock:
        return _lock(f"{self.images_dir}/images.lock", tables=(self.image_table,))

    def containers_lock(self) -> RecordLock:
        return _lock(self._containers_lock, tables=self.container_tables)

    def userns_lock(self) -> RecordLock:
        """Held while ranges of ids are chosen that no other container has. Before all others."""
        return _lock(f"{self.graphroot}/userns.lock")

    def prepare(self) -> None:
        """Make the store's directories if they are missing.

        Raises StorageError.
        """
        if self._prepared:
            return
        try:
            for home in (self.home, self.image_home) if self.imagestore else (self.home,):
                if self.driver == "vfs":
                    files.make_directory(f"{home}/dir")
                elif not os.path.isdir(f"{home}/l"):
                    files.make_directory(f"{home}/l", 0o700)
                    os.chmod(f"{home}/l", 0o755)
            for path in (self.layers_dir, self.images_dir, self.containers_dir):
                files.make_directory(path)
            files.make_directory(self.runroot)
        except OSError as error:
            raise StorageError(f"cannot make the store {self.graphroot}: {reason(error)}") from None
        self._prepared = True

    def container_directory(self, id: str) -> str:
        """Where a container keeps what must last over a reboot."""
        return f"{self.containers_dir}/{id}/userdata"

    def run_directory(self, id: str) -> str:
        """Where a container keeps what a reboot may forget."""
        return f"{self.runroot}/{self.driver}-containers/{id}/userdata"

    # Images.

    def images(self) -> list[Image]:
        """All images, those of the additional stores last, as read-only."""
        result = [records.image(row, False, self.images_dir) for row in self.image_table.rows()]
        if self.read_only_stores:
            seen = {image.id for image in result}
            for _, _, table, directory in self.read_only_stores:
                for row in table.rows():
                    if row["id"] not in seen:
                        seen.add(row["id"])
                        result.append(records.image(row, True, directory))
        return result

    def has_image(self, id: str) -> bool:
        """Whether there is an image with this very id, in any store."""
        tables = [self.image_table, *(store[2] for store in self.read_only_stores)]
        return any(row["id"] == id for table in tables for row in table.rows())

    def find_image(self, reference: str, *, lists: bool = False) -> Image:
        """The image that ``reference`` names: an id or its beginning, a name with or without registry and tag.

        Of a list of images it is the one for this machine, or with ``lists`` the list itself. Raises NoSuchImage, and
        what ``short_names`` raises.
        """
        from storage import image_find

        found = image_find.find(self.images(), reference, self.short_names)
        if lists or not found.is_list:
            return found
        from storage import lists as lists_of_images

        return lists_of_images.instance(self, found)

    def image_data(self, image: Image, key: str) -> bytes:
        """One item of an image's big data.

        Raises StorageError.
        """
        from storage import images

        return images.data(image, key)

    def image_config(self, image: Image) -> dict[str, Any]:
        """The image's configuration.

        Raises StorageError.
        """
        from storage import images

        return images.document(image, f"sha256:{image.id}")

    def image_manifest(self, image: Image) -> dict[str, Any]:
        """The image's manifest, as it came.

        Raises StorageError.
        """
        from storage import images

        return images.document(image, "manifest")

    def image_size(self, image: Image) -> int:
        """Bytes: the image's layers uncompressed, and its data, as podman counts."""
        size = sum(image.big_data_sizes.values())
        return size + sum(layer.diff_size for layer in self.chain(image.layer)) if image.layer else size

    def tag(self, image_id: str, names: Sequence[str]) -> None:
        """Give an image more names (complete ones); an image that has one of them loses it."""
        from storage import images

        images.tag(self, image_id, names)

    def untag(self, image_id: str, names: Sequence[str]) -> None:
        from storage import images

        images.untag(self, image_id, names)

    def delete_image(self, image_id: str) -> list[str]:
        """Remove an image's record and the layers that nothing else uses; the ids of what was removed.

        Raises InUse if a container record needs it.
        """
        from storage import images

        return images.delete(self, image_id)

    # Layers.

    def layers(self) -> dict[str, Layer]:
        """All layers by id."""
        result: dict[str, Layer] = {}
        for table in self.layer_tables:
            for row in table.rows():
                if row["id"] not in result:
                    result[row["id"]] = records.layer(row, self.home_of(row["id"]))
        for home, table, _, _ in self.read_only_stores:
            for row in table.rows():
                result.setdefault(row["id"], records.layer(row, home))
        return result

    def _layer_row(self, id: str) -> tuple[dict[str, Any], str] | None:
        for table in self.layer_tables:
            row = table.row(id)
            if row is not None:
                return row, self.home_of(id)
        for home, table, _, _ in self.read_only_stores:
            row = table.row(id)
            if row is not None:
                return row, home
        return None

    def home_of(self, id: str) -> str:
        """The driver directory of a layer of this store: its own, or that of the imagestore."""
        if self.imagestore and not os.path.isdir(self._directory(self.home, id)):
            return self.image_home
        return self.home

    def layer(self, id: str) -> Layer:
        """Raises StorageError if there is none."""
        found = self._layer_row(id)
        if found is None:
            raise StorageError(f"layer {id[:12]} is not known: the store is damaged")
        return records.layer(*found)

    def chain(self, id: str) -> list[Layer]:
        """A layer and its ancestors, nearest first.

        Raises StorageError where one is missing.
        """
        result: list[Layer] = []
        seen: set[str] = set()
        while id and id not in seen:
            seen.add(id)
            result.append(self.layer(id))
            id = result[-1].parent
        return result

    def homes(self, home: str) -> list[str]:
        """The driver directories in which the links of a layer of ``home`` may be found."""
        homes = [home, self.home, self.image_home, *(store[0] for store in self.read_only_stores)]
        return [path for number, path in enumerate(homes) if path not in homes[:number]]

    def _directory(self, home: str, id: str) -> str:
        return f"{home}/dir/{id}" if self.driver == "vfs" else f"{home}/{id}"

    def layer_path(self, id: str) -> str:
        """The directory that is a layer: what is renamed and removed."""
        return self._directory(self.home_of(id), id)

    def tar_split(self, layer: Layer) -> str:
        """The file that tells how a layer's archive is rebuilt; it may not exist."""
        own = layer.home in (self.home, self.image_home)
        return f"{self.layers_dir if own else layer.home + '-layers'}/{layer.id}.tar-split.gz"

    def files_path(self, home: str, id: str) -> str:
        """Where a layer of the driver directory ``home`` has its files."""
        return f"{home}/dir/{id}" if self.driver == "vfs" else f"{home}/{id}/diff"

    def take_layer(self, id: str, staging: Staging) -> None:
        """Move a layer's directory to ``staging``, and remove its link and mount. The layers' lock is held."""
        home = self.home_of(id)
        if self.driver != "vfs":
            from storage import overlay, overlay_mount

            overlay_mount.unmount(f"{home}/{id}/merged")
            overlay.drop_link(home, id)
        if os.path.exists(self.mountpoints_file):
            from storage import mountpoints

            mountpoints.forget(self, id)
        staging.beside(home).take(self._directory(home, id))

    def lower_directories(self, layer_id: str) -> list[str]:
        """The directories under a layer, nearest first, without its own; none if it is a whole tree (vfs).

        Raises StorageError.
        """
        if self.driver == "vfs":
            return []
        from storage import overlay

        chain = self.chain(layer_id)
        return overlay.lowers(self.homes(chain[0].home), layer_id, [item.id for item in chain[1:]])

    def diff_directory(self, layer_id: str) -> str:
        """A layer's own files."""
        return self.files_path(self.layer(layer_id).home, layer_id)

    def mount(
        self,
        layer_id: str,
        *,
        volatile: bool = False,
        read_only: bool = False,
        target: str = "",
        uid_map: Sequence[Sequence[int]] = (),
        gid_map: Sequence[Sequence[int]] = (),
    ) -> str:
        """Mount a layer in the *current* mount namespace at its ``merged`` directory (or ``target``); the path.

        Nothing is entered in mountpoints.json; a layer that is mounted and entered there is not mounted again, its
        mount is shown here too. ``volatile`` for a container that is removed at its end: the kernel
        then never flushes the upper directory. This takes no lock: two overlays on one upper directory are
        undefined, so the caller holds ``lock_layer``, or its container's lock and knows that it is not running.
        The maps are those of ``create_container``. A vfs layer is not mounted, unless there is a ``target``.
        Raises StorageError.
        """
        from storage import mounting

        return mounting.mount(self, layer_id, volatile, read_only, target, uid_map, gid_map)

    def unmount(self, layer_id: str, *, target: str = "") -> bool:
        """Detach a layer's mount from the current namespace. False if it was not mounted.

        What is entered in mountpoints.json stays: who has entered it takes it away. Raises StorageError.
        """
        if self.driver == "vfs" and not target:
            return False
        if not target and os.path.exists(self.mountpoints_file):
            from storage import mountpoints

            if mountpoints.counted(self, layer_id):
                return False
        from storage import overlay_mount

        return overlay_mount.unmount(target or f"{self.home_of(layer_id)}/{layer_id}/merged")

    def lock_layer(self, layer_id: str, *, blocking: bool = False) -> int:
        """flock a read-write layer's directory, so that one process mounts it at a time; the descriptor, -1 if taken.

        The lock lives until the last copy of the descriptor is closed, also by exec'd processes that inherit it.
        """
        from storage import mounting

        return mounting.lock(self, layer_id, blocking)

    def diff(self, layer_id: str) -> Iterator[tuple[str, str]]:
        """What a layer changes: ("A" added, "C" changed or "D" deleted, absolute path), in path order.

        Raises StorageError.
        """
        from storage import changes

        if self.driver == "vfs":
            chain = self.chain(layer_id)
            parent = self.files_path(chain[1].home, chain[1].id) if len(chain) > 1 else ""
            return changes.compare(self.diff_directory(layer_id), parent)
        return changes.changes(self.diff_directory(layer_id), self.lower_directories(layer_id))

    def directories(self, layer_id: str) -> list[str]:
        """All directories that make up a layer, its own first: what an overlay of it merges. Raises StorageError."""
        own = self.diff_directory(layer_id)
        result = [own]
        while os.path.isdir(more := f"{own}{len(result)}"):  # what a change of the id mapping has left
            result.append(more)
        return [*result, *self.lower_directories(layer_id)]

    # Containers.

    def containers(self) -> list[Container]:
        """All container records, of any tool."""
        result = [records.container(row) for row in self.container_table.rows()]
        volatile = self.volatile_container_table.rows()
        if volatile:
            seen = {item.id for item in result}
            result += [records.container(row) for row in volatile if row["id"] not in seen]
        return result

    def find_container(self, reference: str) -> Container:
        """By id, name or the unique beginning of an id.

        Raises NoSuchContainer.
        """
        from storage import lookup

        return lookup.find(self, reference)

    def has_container_named(self, name: str) -> bool:
        """Whether a container, of any tool, has this name."""
        from storage import lookup

        return lookup.named(self, name) is not None

    def create_container(
        self,
        *,
        id: str,
        names: Sequence[str],
        image: Image | None,
        metadata: str = "",
        volatile: bool = False,
        layer_name: str = "",
        layer_id: str = "",
        layer: bool = True,
        uid_map: Sequence[Sequence[int]] = (),
        gid_map: Sequence[Sequence[int]] = (),
        progress: Progress = SILENT,
    ) -> Container:
        """Make a read-write layer on the image's, and the record; also both ``userdata`` directories.

        Without an image there is no layer. ``volatile`` writes are not flushed. The maps ([id in the container, id in
        this user namespace, how many]) are for a container with a mapping of its own: inside a user namespace the
        layer is then made on a copy of the image with other owners, which needs a private mount namespace and, the
        first time, as long as a copy takes, which ``progress`` is told of; as real
        root ``mount`` wants the maps too. Raises InUse if a name is taken,
        NoSuchImage if the image has gone meanwhile, StorageError; nothing stays behind then.
        """
        from storage import containers

        return containers.create(
            self,
            id=id,
            names=list(names),
            image=image,
            metadata=metadata,
            volatile=volatile,
            layer_name=layer_name,
            layer_id=layer_id,
            with_layer=layer,
            uid_map=[list(item) for item in uid_map],
            gid_map=[list(item) for item in gid_map],
            progress=progress,
        )

    def rename_container(self, id: str, name: str, metadata: str | None = None) -> None:
        """Give a container another name. Raises InUse, NoSuchContainer."""
        from storage import containers

        containers.rename(self, id, name, metadata)

    def delete_layer(self, id: str) -> None:
        """Remove what there is of a read-write layer that no container has. Raises StorageError."""
        from storage import containers

        containers.delete_layer(self, id)

    def delete_container(self, id: str) -> bool:
        """Remove a container's record, layer and directories. False if there was no record. Idempotent.

        Its mount must be gone from the current namespace, or is detached. Raises StorageError.
        """
        from storage import containers

        return containers.delete(self, id)
