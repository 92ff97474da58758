"""Layers for containers with an id mapping of their own.

As root the lower directories are mounted with the mapping (idmapped mounts, mount_setattr(2)): nothing is copied.
Inside a user namespace the kernel does not allow that, so the image's top layer gets a *mapped copy* with all that
the image shows, owned anew, once for each image and mapping. It is made by threads where nobody sees it, and is a
layer like those that podman makes by letting the kernel copy up every file: known by ``uidmap`` and ``gidmap`` in
its record and by the image's ``mapped-layers``, its files in ``diff1``, ``diff`` empty.
"""

from __future__ import annotations

import os

from pypod.base import files, process
from pypod.errors import StorageError, reason
from pypod.linux import syscalls
from storage import images, masked, overlay, overlay_mount, records, space, trees
from storage.progress import SILENT
from storage.trash import Staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.locks import RecordLock
    from storage.progress import Progress
    from storage.records import Image, Row
    from storage.store import Store

# [id in the container, id in this user namespace, how many]
if TYPE_CHECKING:
    Map = Sequence[Sequence[int]]


def rows(map: Sequence[Sequence[int]]) -> list[Row]:
    """A map as the records have it."""
    return [{"container_id": inside, "host_id": outside, "size": count} for inside, outside, count in map]


def to_outside(id: int, map: Sequence[Sequence[int]], kind: str = "uid") -> int:
    """The id in this namespace of an id in the container.

    Raises StorageError if the mapping has no room for it.
    """
    for inside, outside, count in map:
        if inside <= id < inside + count:
            return outside + id - inside
    raise no_room(kind, id, "")


def no_room(kind: str, id: int, path: str) -> StorageError:
    """What to tell the user of an id that a mapping has no room for."""
    return StorageError(
        f"cannot map the image's files: {kind} {id}{f' of /{path}' if path else ''} is not in the container's user"
        " namespace",
        hint="use a larger range: --userns=...:size=N, or more subordinate ids in /etc/subuid and /etc/subgid",
    )


def layer_for(store: Store, image: Image, uid_map: Map, gid_map: Map, progress: Progress = SILENT) -> str:
    """The id of the layer on which a container with this mapping is made: the mapped copy, made if there is none.

    Of processes that want one of the same image at the same time one makes it, the others wait for it. In a private
    mount namespace. Raises StorageError; nothing stays behind then, nor in a process that is killed but what the next
    clean-up takes.
    """
    found = find(store, image, uid_map, gid_map)
    if found:
        return found
    template = store.layer(image.layer)
    masked.refuse(store.files_path(template.home, template.id))
    with _Making(f"{template.home}/{template.id}"):
        if image.read_only:
            images.pull_up(store, image)
        current = _current(store, image)
        found = _find(store, current.get("mapped-layers") or (), uid_map, gid_map)
        if found:
            return found
        name = image.names[0] if image.names else image.id[:12]
        key = f"mapped {image.id}"
        chain = store.chain(image.layer)
        total = sum(max(layer.diff_size, 0) for layer in chain)
        space.require_copy(store.imagestore or store.graphroot, total, f"map the ids of image {name}")
        progress.begin(key, f"Mapping the ids of image {name}", total)
        try:
            with Staging(store.image_home) as staging, trees.FileSystem(store.image_home) as system:
                id = os.urandom(32).hex()
                place = staging.new()
                _copy(store, image, place, uid_map, gid_map, progress, key)
                link = overlay.furnish(
                    place,
                    overlay.lower_text(template.home, template.id),
                    ":".join([layer.id for layer in chain]),
                    durable=False,
                )
                system.sync()
                _publish(store, image, id, staging, place, link, uid_map, gid_map)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise StorageError(f"cannot map the ids of image {image.id[:12]}: {where}{reason(error)}") from None
        progress.end(key)
        return id


def find(store: Store, image: Image, uid_map: Map, gid_map: Map) -> str:
    """The id of the mapped copy; "" if there is none yet."""
    return _find(store, image.mapped_layers, uid_map, gid_map)


class _Making:
    """Held by who makes a copy of a layer: flock(2) of its directory, so that nothing has to be cleaned up."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def __enter__(self) -> None:
        import fcntl

        try:
            self.fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"cannot read layer {self.directory}: {reason(error)}") from None
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX)
        except OSError:
            pass  # a read-only store on a file system without locks: two may make a copy each, one is kept
        except BaseException:
            os.close(self.fd)
            raise

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def _current(store: Store, image: Image) -> Row:
    for row in store.image_table.rows():
        if row["id"] == image.id:
            return row
    raise StorageError(f"cannot map the ids of image {image.id[:12]}: it has been removed")


def _find(store: Store, known: Sequence[str], uid_map: Map, gid_map: Map) -> str:
    if known:
        uids, gids = rows(uid_map), rows(gid_map)
        for row in store.layer_table.rows():
            if row["id"] in known and row.get("uidmap") == uids and row.get("gidmap") == gids:
                return str(row["id"])
    return ""


def _copy(store: Store, image: Image, place: str, uid_map: Map, gid_map: Map, progress: Progress, key: str) -> None:
    """Make a layer's directory at ``place``: ``diff1``, all that the image shows, owned anew; ``diff``, empty.

    Raises OSError, StorageError.
    """
    os.mkdir(place, 0o700)
    target = f"{place}/diff1"
    os.mkdir(target, 0o700)
    below = store.directories(image.layer)
    mounted = ""
    try:
        if len(below) > 1:
            # An overlay shares no blocks: those come from the directories it is made of.
            source = mounted = store.mount(image.layer, read_only=True, target=f"{place}/source")
        else:
            source, below = below[0], []
        trees.copy(
            source,
            target,
            uid_map=uid_map,
            gid_map=gid_map,
            backing=below,
            skip_devices=True,
            progress=progress,
            key=key,
        )
    except trees.NoRoom as error:
        raise no_room(error.kind, error.id, error.path) from None
    finally:
        if mounted:
            overlay_mount.unmount(mounted)
            os.rmdir(mounted)
    status = os.stat(target)
    os.mkdir(f"{place}/diff", 0o700)
    os.chown(f"{place}/diff", status.st_uid, status.st_gid)
    os.chmod(f"{place}/diff", status.st_mode & 0o7777)


def _publish(
    store: Store, image: Image, id: str, staging: Staging, place: str, link: str, uid_map: Map, gid_map: Map
) -> None:
    """Put the layer in its place and write the records. Raises OSError, StorageError; nothing has changed then."""
    with store.layers_lock() as layers_lock, store.images_lock() as images_lock:
        image_row = _current(store, image)
        template = store.layer(image.layer)
        lower = overlay.lower_text(template.home, template.id)
        if files.read(f"{place}/lower").decode() != lower:  # somebody has made that layer anew
            overlay.write_lower(place, lower, files.read(f"{place}/lower-layers").decode(), durable=True)
        kept = "parent compressed-diff-digest compressed-size diff-digest diff-size compression uidset gidset".split()
        row: Row = {"id": id, **{key: template.raw[key] for key in kept if key in template.raw}}
        row |= {"created": records.now(), "uidmap": rows(uid_map), "gidmap": rows(gid_map)}
        staging.note([id])
        try:
            try:
                split = files.read(store.tar_split(template))
                files.replace(f"{store.layers_dir}/{id}.tar-split.gz", split, durable=True)
            except FileNotFoundError:
                pass
            overlay.make_link(store.image_home, id, link)
            os.rename(place, f"{store.image_home}/{id}")
            for path in (f"{store.image_home}/l", store.image_home):
                files.sync_directory(path)
            store.layer_table.save([*store.layer_table.rows(), row], layers_lock, durable=True)
            changed = {**image_row, "mapped-layers": [*(image_row.get("mapped-layers") or []), id]}
            store.image_table.save(
                [changed if item["id"] == image.id else item for item in store.image_table.rows()],
                images_lock,
                durable=True,
            )
        except BaseException:
            _take_back(store, image, id, link, staging, layers_lock)
            raise


def _take_back(store: Store, image: Image, id: str, link: str, staging: Staging, lock: RecordLock) -> None:
    """Undo ``_publish``. A write that failed may have been done all the same: then all stays."""
    if any(id in (row.get("mapped-layers") or ()) for row in store.image_table.rows()):
        return
    kept = [row for row in store.layer_table.rows() if row["id"] != id]
    if len(kept) != len(store.layer_table.rows()):
        store.layer_table.save(kept, lock, durable=True)
    store.take_layer(id, staging)
    files.remove_tree(f"{store.image_home}/l/{link}")
    files.remove_tree(f"{store.layers_dir}/{id}.tar-split.gz")


def places(sources: Sequence[str], place: str) -> list[tuple[str, str]]:
    """Where ``idmapped`` mounts each of ``sources``."""
    return [(source, f"{place}/{number}") for number, source in enumerate(sources)]


def idmapped(sources: Sequence[str], uid_map: Map, gid_map: Map, place: str) -> list[str]:
    """Mount each of ``sources`` with the mapping at ``place``/N; the paths. As real root, in a private namespace.

    Raises OSError where the file system cannot.
    """
    userns = _user_namespace(uid_map, gid_map)
    result = []
    try:
        for source, target in places(sources, place):
            files.make_directory(target)
            tree = syscalls.open_tree(source)
            try:
                syscalls.mount_setattr(tree, set=syscalls.MOUNT_ATTR_IDMAP, userns_fd=userns)
                syscalls.move_mount(tree, target)
            finally:
                os.close(tree)
            result.append(target)
    except OSError:
        release(result)
        raise
    finally:
        os.close(userns)
    return result


def idmapped_lowers(lower: Sequence[str], uid_map: Map, gid_map: Map, place: str) -> list[str]:
    """``idmapped``, with its failure in words.

    Raises StorageError.
    """
    try:
        return idmapped(lower, uid_map, gid_map, place)
    except OSError as error:
        raise StorageError(f"cannot mount the image's files with mapped ids: {reason(error)}") from None


def release(paths: Sequence[str]) -> None:
    """Unmount what ``idmapped`` mounted: an overlay holds its lower directories itself."""
    for path in paths:
        try:
            syscalls.umount(path, syscalls.MNT_DETACH)
            os.rmdir(path)
        except OSError:
            pass


def _user_namespace(uid_map: Map, gid_map: Map) -> int:
    """A descriptor of a user namespace with these maps, held by nobody else."""
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
    done_read, done_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(done_write)
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os.write(ready_write, b"r")
            os.read(done_read, 1)
            code = 0
        finally:
            os._exit(code)
    try:
        os.close(ready_write)
        if os.read(ready_read, 1) != b"r":
            raise OSError(1, "cannot make a user namespace")
        for kind, map in (("uid", uid_map), ("gid", gid_map)):
            text = "".join(f"{inside} {outside} {count}\n" for inside, outside, count in map)
            fd = os.open(f"/proc/{pid}/{kind}_map", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(done_write)
        os.close(done_read)
        os.close(ready_read)
        process.wait(pid)
