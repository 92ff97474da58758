"""Layers for containers with an id mapping of their own.

As root the lower directories are mounted with the mapping (idmapped mounts, mount_setattr(2)): nothing is copied.
Inside a user namespace the kernel does not allow that, so the image's top layer gets a *mapped copy*: every inode is
copied up with its new owner, once for each image and mapping. podman recognises the copy by ``uidmap`` and
``gidmap`` in its record and by the image's ``mapped-layers``.
"""

from __future__ import annotations

import os

from pypod.base import files, process
from pypod.errors import StorageError, reason
from pypod.linux import syscalls
from storage import overlay, records
from storage.trash import Staging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    raise StorageError(
        f"cannot map the image's files: {kind} {id} is not in the container's user namespace",
        hint="use a larger range: --userns=...:size=N, or more subordinate ids in /etc/subuid and /etc/subgid",
    )


def layer_for(
    store: Store,
    image: Image,
    uid_map: Map,
    gid_map: Map,
    progress: Callable[[str], object] | None = None,
) -> str:
    """The id of the layer on which a container with this mapping is made: the mapped copy, made if there is none.

    In a private mount namespace. Raises StorageError; nothing stays behind then.
    """
    found = _find(store, image, uid_map, gid_map)
    if found:
        return found
    if progress is not None:
        progress(image.names[0] if image.names else image.id[:12])
    id = os.urandom(32).hex()
    template = store.layer(image.layer)
    chain = ":".join(item.id for item in store.chain(image.layer))
    try:
        overlay.create(store.home, id, image.layer, template.home, chain)
        try:
            merged = store_mount(store, id, template.home)
            try:
                shift(merged, uid_map, gid_map)
            finally:
                overlay.unmount(merged)
            _seal(f"{store.home}/{id}")
            published = _publish(store, image, id, uid_map, gid_map)
        except BaseException:
            _discard(store, id)
            raise
        if published != id:
            _discard(store, id)
        return published
    except OSError as error:
        raise StorageError(f"cannot map the ids of image {image.id[:12]}: {reason(error)}") from None


def _find(store: Store, image: Image, uid_map: Map, gid_map: Map) -> str:
    uids, gids = rows(uid_map), rows(gid_map)
    known = set(image.mapped_layers)
    if known:
        for row in store.layer_table.rows():
            if row["id"] in known and row.get("uidmap") == uids and row.get("gidmap") == gids:
                return str(row["id"])
    return ""


def store_mount(store: Store, id: str, parent_home: str) -> str:
    homes = [store.home, parent_home]
    lower = overlay.lowers(homes, id, [])
    return overlay.mount(
        store.home,
        id,
        lower,
        read_only=False,
        volatile=False,
        mount_program=store.mount_program,
        mountopt="",
    )


def shift(root: str, uid_map: Map, gid_map: Map) -> None:
    """Give every inode below ``root``, and ``root``, the owner that the mapping makes of it.

    A change of owner clears set-id bits and file capabilities: both are put back. Raises OSError, StorageError.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _shift_directory(fd, uid_map, gid_map)
    finally:
        os.close(fd)


def _shift_directory(fd: int, uid_map: Map, gid_map: Map) -> None:
    with os.scandir(fd) as entries:
        found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    for name, status in found:
        if status.st_mode & 0o170000 == 0o040000:
            child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            try:
                _shift_directory(child, uid_map, gid_map)
            finally:
                os.close(child)
            continue
        uid = to_outside(status.st_uid, uid_map)
        gid = to_outside(status.st_gid, gid_map, "gid")
        capability = b""
        if status.st_mode & 0o170000 == 0o100000 and status.st_mode & 0o111:
            capability = _capability(f"/proc/self/fd/{fd}/{name}")
        os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
        if status.st_mode & 0o6000 and status.st_mode & 0o170000 == 0o100000:
            os.chmod(name, status.st_mode & 0o7777, dir_fd=fd)
        if capability:
            os.setxattr(f"/proc/self/fd/{fd}/{name}", "security.capability", capability, follow_symlinks=False)
    status = os.fstat(fd)
    os.fchown(fd, to_outside(status.st_uid, uid_map), to_outside(status.st_gid, gid_map, "gid"))
    if status.st_mode & 0o6000:
        os.fchmod(fd, status.st_mode & 0o7777)


def _capability(path: str) -> bytes:
    try:
        return os.getxattr(path, "security.capability", follow_symlinks=False)
    except OSError:
        return b""


def _seal(directory: str) -> None:
    """``diff`` becomes ``diff1``, a lower directory; a new empty ``diff`` takes its place."""
    status = os.stat(f"{directory}/diff")
    os.rename(f"{directory}/diff", f"{directory}/diff1")
    os.mkdir(f"{directory}/diff", 0o700)
    os.chown(f"{directory}/diff", status.st_uid, status.st_gid)
    os.chmod(f"{directory}/diff", status.st_mode & 0o7777)
    files.remove_tree(f"{directory}/work")
    os.mkdir(f"{directory}/work", 0o700)
    os.sync()


def _publish(store: Store, image: Image, id: str, uid_map: Map, gid_map: Map) -> str:
    """Write the records, or find that somebody was faster; the id that counts."""
    with store.layers_lock() as layers_lock, store.images_lock() as images_lock:
        images = store.image_table.rows()
        current = next((row for row in images if row["id"] == image.id), None)
        if current is None:
            raise StorageError(f"cannot map the ids of image {image.id[:12]}: it has been removed")
        faster = _find(store, records.image(current, False, store.images_dir), uid_map, gid_map)
        if faster:
            return faster
        template = store.layer(image.layer).raw
        kept = ("parent", "compressed-diff-digest", "compressed-size", "diff-digest", "diff-size", "compression")
        row: Row = {"id": id, **{key: template[key] for key in kept if key in template}, "created": records.now()}
        row |= {key: template[key] for key in ("uidset", "gidset") if key in template}
        row |= {"uidmap": rows(uid_map), "gidmap": rows(gid_map)}
        try:
            split = files.read(f"{store.layers_dir}/{image.layer}.tar-split.gz")
            files.replace(f"{store.layers_dir}/{id}.tar-split.gz", split, durable=True)
        except FileNotFoundError:
            pass
        store.layer_table.save([*store.layer_table.rows(), row], layers_lock, durable=True)
        changed = {**current, "mapped-layers": [*(current.get("mapped-layers") or []), id]}
        store.image_table.save(
            [changed if item["id"] == image.id else item for item in images], images_lock, durable=True
        )
    return id


def _discard(store: Store, id: str) -> None:
    with Staging(store.home) as staging:
        overlay.drop_link(store.home, id)
        staging.take(f"{store.home}/{id}")


def idmapped(sources: Sequence[str], uid_map: Map, gid_map: Map, place: str) -> list[str]:
    """Mount each of ``sources`` with the mapping at ``place``/N; the paths. As real root, in a private namespace.

    Raises OSError where the file system cannot.
    """
    userns = _user_namespace(uid_map, gid_map)
    result = []
    try:
        for number, source in enumerate(sources):
            target = f"{place}/{number}"
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
