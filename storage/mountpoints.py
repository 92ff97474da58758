"""Layers mounted for people: counted in the runroot's mountpoints.json, as every tool on the store does.

Containers of ours are mounted in their monitors' private mount namespaces and are not in that file. ``mount`` and
``image mount`` make mounts that outlive the command, in the namespace that it was called in, so that podman and
buildah find and count them. The file may lie (a reboot with a lasting runroot, a namespace that has ended): what is
mounted is asked of /proc/PID/mountinfo.

Two overlays on one upper directory are undefined. So a layer that is mounted in any other namespace is never
mounted a second time: the mount that exists is cloned (open_tree(2)) and put in place.
"""

from __future__ import annotations

import errno
import os

from pypod.base import fastjson, files
from pypod.errors import InUse, StorageError, reason
from pypod.linux import syscalls
from storage.locks import RecordLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.records import Row
    from storage.store import Store


def path_of(store: Store, layer_id: str) -> str:
    """Where a layer is mounted: in its own directory, or in the runroot if it lives in a read-only store."""
    layer = store.layer(layer_id)
    if store.driver == "vfs":
        return store.files_path(layer.home, layer_id)
    if layer.home != store.home:
        return f"{store.runroot}/{store.driver}/{layer_id}/merged"
    return f"{store.home}/{layer_id}/merged"


def points(pid: str = "self") -> dict[str, str]:
    """The mount points of a process's namespace, each with its device (proc_pid_mountinfo(5)); {} if it is gone."""
    try:
        lines = files.read(f"/proc/{pid}/mountinfo").splitlines()
    except OSError:
        return {}
    result = {}
    for line in lines:
        words = line.split(b" ", 5)
        point = words[4]
        if b"\\" in point:
            for code in (b"040", b"011", b"012", b"134"):
                point = point.replace(b"\\" + code, bytes([int(code, 8)]))
        result[os.fsdecode(point)] = words[2].decode()
    return result


def _others() -> list[str]:
    """One process of each mount namespace but our own."""
    seen = {os.readlink("/proc/self/ns/mnt")}
    result = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                namespace = os.readlink(f"/proc/{name}/ns/mnt")
            except OSError:
                continue  # gone, or not ours to look at
            if namespace not in seen:
                seen.add(namespace)
                result.append(name)
    return result


def _holder(path: str) -> int:
    """A process of another mount namespace that has something mounted at ``path``; 0 for none."""
    needle = os.fsencode(path.rpartition("/")[0].rpartition("/")[2])
    for pid in _others():
        try:
            if needle not in files.read(f"/proc/{pid}/mountinfo"):
                continue
        except OSError:
            continue
        if path in points(pid):
            return int(pid)
    return 0


def _take_over(layer_id: str, path: str) -> bool:
    """Mount here what another namespace has mounted. False if there is nothing."""
    pid = _holder(path)
    if pid and _clone(pid, path, path):
        return True
    # podman's umount puts a new directory in place of ``merged``, which takes away the mounts of all namespaces
    # there: then a container's processes still have it.
    pid = inhabitant(layer_id)
    return bool(pid) and _clone(pid, "/", path)


def _clone(pid: int, path: str, target: str) -> bool:
    """Mount what ``pid`` has mounted at ``path`` at ``target`` too, as the same mount. False if it is gone."""
    import socket

    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            syscalls.setns(fd, syscalls.CLONE_NEWNS)
            if path in points():
                socket.send_fds(there, [b"m"], [syscalls.open_tree(path)])
        finally:
            os._exit(0)
    there.close()
    try:
        _, fds, _, _ = socket.recv_fds(here, 1, 1)
    finally:
        here.close()
        os.waitpid(child, 0)
    if not fds:
        return False
    try:
        syscalls.move_mount(fds[0], target)
    except OSError as error:
        raise StorageError(f"cannot mount {target}: {reason(error)}") from None
    finally:
        os.close(fds[0])
    return True


def rows(store: Store) -> list[Row]:
    """The records: ``id`` of the layer, ``path``, ``count``.

    Raises StorageError.
    """
    try:
        found = files.read_json(store.mountpoints_file)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {store.mountpoints_file}: {reason(error)}") from None
    except fastjson.BadJson as error:
        raise StorageError(f"cannot read the store: {error}") from None
    return [row for row in found or () if isinstance(row, dict) and isinstance(row.get("id"), str)]


def counted(store: Store, layer_id: str) -> bool:
    """Whether the file says that a layer is mounted."""
    return any(row["id"] == layer_id for row in rows(store))


class _Locks:
    """storage.lock, layers.lock and mountpoints.lock: what a mount takes, in the format's order."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.outer = (RecordLock(f"{store.graphroot}/storage.lock"), store.layers_lock())
        self.inner = RecordLock(f"{store.runroot}/{store.driver}-layers/mountpoints.lock")

    def __enter__(self) -> _Locks:
        try:
            for lock in (*self.outer, self.inner):
                lock.acquire()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for lock in (self.inner, *reversed(self.outer)):
            lock.release()

    def save(self, layer_id: str, path: str, count: int) -> None:
        _save(self.store, self.inner, layer_id, path, count)


def _save(store: Store, lock: RecordLock, layer_id: str, path: str, count: int) -> None:
    """Write a layer's count; 0 takes its record away."""
    result = [row for row in rows(store) if row["id"] != layer_id]
    if count:
        result.append({"id": layer_id, "path": path, "count": count})
    try:
        lock.touch()
        if result:
            files.replace_json(store.mountpoints_file, result)
        else:
            files.remove_tree(store.mountpoints_file)  # whoever mounts a container then has nothing to read
    except OSError as error:
        raise StorageError(f"cannot write {store.mountpoints_file}: {reason(error)}") from None


def _count(store: Store, layer_id: str) -> int:
    for row in rows(store):
        if row["id"] == layer_id:
            return int(row.get("count") or 0)
    return 0


def mount(
    store: Store,
    layer_id: str,
    make: Callable[[str], object],
    *,
    read_only: bool = False,
) -> str:
    """Mount a layer in this mount namespace, or count one mount more; the path.

    ``make(path)`` mounts it if no namespace has it mounted yet (a ``read_only`` one may be mounted many times).
    Raises StorageError.
    """
    path = os.path.realpath(path_of(store, layer_id))
    with _Locks(store) as locks:
        count = _count(store, layer_id)
        if store.driver != "vfs":
            here = points()
            if path not in here:
                files.make_directory(path)
                _isolate(store, here)
                if read_only or not _take_over(layer_id, path):
                    make(path)
                    count = 0  # a record of a mount that is gone counts nothing
        try:
            locks.save(layer_id, path, count + 1)
        except StorageError:
            if not count and store.driver != "vfs":
                _detach(path)
            raise
    return path


def unmount(store: Store, layer_id: str, *, force: bool = False) -> bool:
    """Count one mount less, and with the last one (or by ``force``) unmount. False if it is not mounted here.

    Raises InUse if a process has a file or directory of it open and ``force`` is off, StorageError.
    """
    path = os.path.realpath(path_of(store, layer_id))
    with _Locks(store) as locks:
        count = _count(store, layer_id)
        if store.driver != "vfs" and path not in points():
            if count and not _holder(path):
                locks.save(layer_id, path, 0)
            return False
        if not count and store.driver == "vfs":
            return False
        if count > 1 and not force:
            locks.save(layer_id, path, count - 1)
            return True
        if store.driver != "vfs":
            if force:
                _detach(path)
            else:
                _unmount(path)
            if not path.startswith(os.path.realpath(store.home) + "/"):
                _remove_empty(path)
        locks.save(layer_id, path, 0)
        _rejoin(store)
    return True


def _unmount(path: str) -> None:
    try:
        syscalls.umount(path, syscalls.UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise InUse(f"cannot unmount {path}: a process is using it", hint="umount -f takes it away") from None
        raise StorageError(f"cannot unmount {path}: {reason(error)}") from None


def _detach(path: str) -> None:
    try:
        syscalls.umount(path, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    except OSError as error:
        raise StorageError(f"cannot unmount {path}: {reason(error)}") from None


def _remove_empty(path: str) -> None:
    try:
        os.rmdir(path)
        os.rmdir(os.path.dirname(path))
    except OSError:
        pass


def _isolate(store: Store, here: dict[str, str]) -> None:
    """Bind the driver's directory on itself as a private mount, as the Go tools do when they open a store.

    They would do it later on top of our mount and hide it; and it keeps the mount out of other namespaces, in which
    it would keep the layer busy.
    """
    store.prepare()  # all that has been used yet may be an additional store
    home = os.path.realpath(store.home)
    if home in here:
        return
    try:
        syscalls.mount(home, home, "", syscalls.MS_BIND)
        syscalls.mount("", home, "", syscalls.MS_PRIVATE)
    except OSError as error:
        raise StorageError(f"cannot mount {home} as private: {reason(error)}") from None


def _rejoin(store: Store) -> None:
    """The opposite of ``_isolate`` after the last mount; the kernel refuses while anything is mounted below."""
    home = os.path.realpath(store.home)
    if store.driver != "vfs" and home in points():
        try:
            syscalls.umount(home, syscalls.UMOUNT_NOFOLLOW)
        except OSError:
            pass


def existing(store: Store, layer_id: str) -> str:
    """The path of a counted layer that is mounted: here, or in another namespace and now here too; "" if it is not.

    For whoever needs the layer in a mount namespace of his own, without entering or counting anything.
    Raises StorageError.
    """
    if store.driver == "vfs" or not counted(store, layer_id):
        return ""
    path = os.path.realpath(path_of(store, layer_id))
    if path in points():
        return path
    return path if _take_over(layer_id, path) else ""


def forget(store: Store, layer_id: str) -> None:
    """Drop the record of a layer that is being removed. The layers' lock is held. Raises StorageError."""
    if not os.path.exists(store.mountpoints_file):
        return
    with RecordLock(f"{store.runroot}/{store.driver}-layers/mountpoints.lock") as lock:
        if counted(store, layer_id):
            _save(store, lock, layer_id, "", 0)
            _rejoin(store)


def mounted(store: Store, layer_ids: set[str]) -> dict[str, str]:
    """Which of the layers are mounted in this namespace, with their paths (vfs: which are counted)."""
    if store.driver == "vfs":
        return {row["id"]: path_of(store, row["id"]) for row in rows(store) if row["id"] in layer_ids}
    here = points()
    result = {}
    home = os.path.realpath(store.home)
    run = os.path.realpath(f"{store.runroot}/{store.driver}")
    for point in here:
        top, _, last = point.rpartition("/")
        place, _, id = top.rpartition("/")
        if last == "merged" and place in (home, run) and id in layer_ids:
            result[id] = point
    return result


def inhabitant(layer_id: str) -> int:
    """A process that has a layer, mounted with its own upper directory, as its root: a container's. 0 for none."""
    end = f"upperdir=[^ ,]*{layer_id}/diff"
    import re

    for pid in _others():
        try:
            lines = files.read(f"/proc/{pid}/mountinfo").splitlines()
        except OSError:
            continue
        for line in lines:
            if line.split(b" ", 5)[4] == b"/" and re.search(end.encode(), line):
                return int(pid)
    return 0
