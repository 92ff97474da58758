"""Trees of files from one place to another: a stream of entries out of a directory or a tar, into another.

Neither side is trusted: below the place that the user named, a directory is opened beneath its parent and a link is
never followed out of the container's root (openat2(2), RESOLVE_IN_ROOT), nor, on the host, at all.
"""

from __future__ import annotations

import os
import stat

from pypod.base.record import record
from pypod.errors import PypodError, reason
from pypod.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# On the host: nothing below the destination may lead elsewhere, whatever an earlier copy has put there.
STRICT = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_KEPT_XATTRS = ("user.", "security.capability")
_BLOCK = 1 << 20


@record
class Entry:
    """One file. ``path`` is relative to the top of the tree, "" for the top itself; ids are the container's."""

    path: str
    mode: int  # with the type's bits (inode(7))
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size: int = 0
    target: str = ""  # of a symbolic link
    hardlink: str | None = None  # path of an earlier entry that is the same file
    device: int = 0
    xattrs: dict[str, bytes] = {}
    data: Callable[[], Iterator[tuple[int, bytes]]] | None = None  # (offset, bytes) without the holes


@record
class Ids:
    """How owners are translated: [id in the container, id in our namespace, count]; empty is one to one."""

    uid_map: list[list[int]] = []
    gid_map: list[list[int]] = []

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        return _outside(uid, self.uid_map), _outside(gid, self.gid_map)

    def inside(self, uid: int, gid: int) -> tuple[int, int]:
        return _inside(uid, self.uid_map), _inside(gid, self.gid_map)


def _outside(number: int, ids: Sequence[Sequence[int]]) -> int:
    if not ids:
        return number
    for inside, outside, count in ids:
        if inside <= number < inside + count:
            return outside + number - inside
    raise PypodError(f"cannot copy: id {number} is not mapped in the container")


def _inside(number: int, ids: Sequence[Sequence[int]]) -> int:
    if not ids:
        return number
    for inside, outside, count in ids:
        if outside <= number < outside + count:
            return inside + number - outside
    return 65534  # what the container itself sees: the overflow id


# Out of a directory.


def read_tree(parent: int, name: str, ids: Ids) -> Iterator[Entry]:
    """The file ``name`` of directory ``parent`` and all that is below it; links are not followed.

    What cannot be read is an error: PypodError. Sockets are left out.
    """
    seen: dict[tuple[int, int], str] = {}
    yield from _walk(parent, name, "", ids, seen)


def _walk(parent: int, name: str, path: str, ids: Ids, seen: dict[tuple[int, int], str]) -> Iterator[Entry]:
    try:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        return  # gone since it was listed
    except OSError as error:
        raise PypodError(f"cannot copy {path or name}: {reason(error)}") from None
    try:
        found = os.fstat(fd)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFSOCK:
            return
        link = None
        if kind != stat.S_IFDIR and found.st_nlink > 1:
            link = seen.setdefault((found.st_dev, found.st_ino), path)
            if link == path:
                link = None
        uid, gid = ids.inside(found.st_uid, found.st_gid)
        yield Entry(
            path=path,
            mode=found.st_mode,
            uid=uid,
            gid=gid,
            mtime_ns=found.st_mtime_ns,
            size=found.st_size if kind == stat.S_IFREG else 0,
            target=os.readlink("", dir_fd=fd) if kind == stat.S_IFLNK else "",
            hardlink=link,
            device=found.st_rdev,
            xattrs=_xattrs(fd) if kind in (stat.S_IFREG, stat.S_IFDIR) else {},
            data=_reader(fd, path or name) if kind == stat.S_IFREG and link is None else None,
        )
        if kind != stat.S_IFDIR:
            return
        try:
            listing = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise PypodError(f"cannot copy {path or name}: {reason(error)}") from None
        try:
            for child in sorted(os.listdir(listing)):
                yield from _walk(listing, child, f"{path}/{child}" if path else child, ids, seen)
        finally:
            os.close(listing)
    finally:
        os.close(fd)


def regular(fd: int, ids: Ids) -> Entry:
    """The one entry of a regular file that is open with O_PATH."""
    found = os.fstat(fd)
    uid, gid = ids.inside(found.st_uid, found.st_gid)
    return Entry(
        path="",
        mode=found.st_mode,
        uid=uid,
        gid=gid,
        mtime_ns=found.st_mtime_ns,
        size=found.st_size,
        xattrs=_xattrs(fd),
        data=_reader(fd, "the file"),
    )


def _xattrs(fd: int) -> dict[str, bytes]:
    result = {}
    place = f"/proc/self/fd/{fd}"
    try:
        for name in os.listxattr(place):
            if name.startswith(_KEPT_XATTRS) and not name.startswith("user.overlay."):
                result[name] = os.getxattr(place, name)
    except OSError:
        pass  # a file system without them
    return result


def _reader(fd: int, shown: str) -> Callable[[], Iterator[tuple[int, bytes]]]:
    """The data of a regular file that is open with O_PATH, holes left out."""

    def read() -> Iterator[tuple[int, bytes]]:
        try:
            source = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise PypodError(f"cannot copy {shown}: {reason(error)}") from None
        try:
            position = 0
            end = os.fstat(source).st_size
            while position < end:
                try:
                    position = os.lseek(source, position, os.SEEK_DATA)
                    stop = os.lseek(source, position, os.SEEK_HOLE)
                except OSError as error:
                    if error.errno == 6:  # ENXIO: only a hole is left
                        return
                    stop = end
                os.lseek(source, position, os.SEEK_SET)
                while position < stop:
                    chunk = os.read(source, min(_BLOCK, stop - position))
                    if not chunk:
                        return
                    yield position, chunk
                    position += len(chunk)
        except OSError as error:
            raise PypodError(f"cannot copy {shown}: {reason(error)}") from None
        finally:
            os.close(source)

    return read


# Into a directory.


class Writer:
    """Puts entries below ``directory`` (and the path ``base`` in it, which exists).

    ``resolve`` is how directories are opened: STRICT, or IN_ROOT where ``directory`` is a container's root.
    ``owner`` is who gets everything (ids of our namespace), None for the owners of the entries.
    """

    def __init__(
        self,
        directory: int,
        base: str,
        *,
        resolve: int,
        ids: Ids,
        owner: tuple[int, int] | None,
        overwrite: bool = False,
        devices: bool = False,
        keep_setid: bool = True,
    ) -> None:
        self.directory = directory
        self.base = base.strip("/")
        self.resolve = resolve
        self.ids = ids
        self.owner = owner
        self.overwrite = overwrite
        self.devices = devices
        self.keep_setid = keep_setid
        self._later: list[tuple[str, int]] = []  # directories' times, which writing below them would change

    def put_all(self, entries: Iterator[Entry], rename: str) -> None:
        """Write every entry; the top of the tree is called ``rename``, "" puts its content into the base itself.

        Raises PypodError.
        """
        for entry in entries:
            path = "/".join(part for part in (rename, entry.path) if part)
            if path:
                self.put(entry, path, rename)
            elif not stat.S_ISDIR(entry.mode):
                raise PypodError("cannot copy: a file needs a name")
        for path, mtime_ns in reversed(self._later):
            try:
                fd = self._open(path)
            except OSError:
                continue
            try:
                os.utime(f"/proc/self/fd/{fd}", ns=(mtime_ns, mtime_ns))
            except OSError:
                pass
            finally:
                os.close(fd)

    def _open(self, path: str, flags: int = os.O_PATH | os.O_DIRECTORY) -> int:
        whole = "/".join(part for part in (self.base, path) if part) or "."
        return syscalls.openat2(self.directory, whole, flags, resolve=self.resolve)

    def put(self, entry: Entry, path: str, rename: str) -> None:
        """Write one entry as ``path`` below the base. Raises PypodError."""
        parent_path, _, name = path.rpartition("/")
        if name in ("", ".", "..") or ".." in parent_path.split("/"):
            raise PypodError(f"cannot copy {path}: the name leads out of the destination")
        try:
            parent = self._open(parent_path)
        except OSError as error:
            raise PypodError(f"cannot copy to {path}: {reason(error)}") from None
        try:
            self._put(entry, parent, name, path, rename)
        except OSError as error:
            raise PypodError(f"cannot copy to {path}: {reason(error)}") from None
        finally:
            os.close(parent)

    def _put(self, entry: Entry, parent: int, name: str, path: str, rename: str) -> None:
        kind = stat.S_IFMT(entry.mode)
        if kind == stat.S_IFDIR:
            self._directory(entry, parent, name, path)
            return
        if kind in (stat.S_IFCHR, stat.S_IFBLK) and not self.devices:
            return  # podman leaves them out, too: copying a device is not copying data
        existing = self._kind(parent, name)
        if existing == stat.S_IFDIR:
            if not self.overwrite:
                raise PypodError(f"cannot copy to {path}: cannot overwrite directory with non-directory")
            _remove(parent, name)
            existing = 0
        if entry.hardlink is not None:
            if self._link(entry, parent, name, rename):
                return
            raise PypodError(f"cannot copy {path}: the file that it is a link to is not there")
        if kind == stat.S_IFREG:
            self._file(entry, parent, name, existing)
            return
        if existing:
            os.unlink(name, dir_fd=parent)
        if kind == stat.S_IFLNK:
            os.symlink(entry.target, name, dir_fd=parent)
        else:
            os.mknod(name, stat.S_IMODE(entry.mode) & 0o777 | kind, entry.device, dir_fd=parent)
        self._attributes(entry, parent, name)

    @staticmethod
    def _kind(parent: int, name: str) -> int:
        try:
            return stat.S_IFMT(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return 0

    def _directory(self, entry: Entry, parent: int, name: str, path: str) -> None:
        existing = self._kind(parent, name)
        if existing == stat.S_IFLNK:
            # In a container /bin may be a link to usr/bin: what is copied into it goes there.
            try:
                os.close(self._open(path))
                return
            except OSError:
                pass
        if existing == stat.S_IFDIR:
            return
        if existing:
            if not self.overwrite:
                raise PypodError(f"cannot copy to {path}: cannot overwrite non-directory with directory")
            os.unlink(name, dir_fd=parent)
        os.mkdir(name, 0o700, dir_fd=parent)
        self._attributes(entry, parent, name)
        self._later.append((path, entry.mtime_ns))

    def _link(self, entry: Entry, parent: int, name: str, rename: str) -> bool:
        assert entry.hardlink is not None
        old = "/".join(part for part in (rename, entry.hardlink) if part)
        old_parent_path, _, old_name = old.rpartition("/")
        if old_name in ("", ".", ".."):
            return False
        try:
            old_parent = self._open(old_parent_path)
        except OSError:
            return False
        try:
            if self._kind(old_parent, old_name) in (0, stat.S_IFDIR):
                return False
            if self._kind(parent, name):
                if os.stat(name, dir_fd=parent, follow_symlinks=False).st_ino == (
                    os.stat(old_name, dir_fd=old_parent, follow_symlinks=False).st_ino
                ):
                    return True
                os.unlink(name, dir_fd=parent)
            os.link(old_name, name, src_dir_fd=old_parent, dst_dir_fd=parent, follow_symlinks=False)
            return True
        finally:
            os.close(old_parent)

    def _file(self, entry: Entry, parent: int, name: str, existing: int) -> None:
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = -1
        if existing:
            try:
                os.unlink(name, dir_fd=parent)
            except OSError as error:
                if error.errno != 16 or existing != stat.S_IFREG:  # EBUSY: something is mounted there
                    raise
                fd = os.open(name, flags | os.O_TRUNC, dir_fd=parent)
        if fd < 0:
            fd = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=parent)
        try:
            if entry.data is not None:
                for offset, chunk in entry.data():
                    _write_at(fd, offset, chunk)
            os.ftruncate(fd, entry.size)
            self._own(f"/proc/self/fd/{fd}", entry, follow=True)
        finally:
            os.close(fd)

    def _attributes(self, entry: Entry, parent: int, name: str) -> None:
        if stat.S_ISLNK(entry.mode):
            owner = self._owner(entry)
            self._chown(name, owner, parent, follow=False)
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)
            return
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            self._own(f"/proc/self/fd/{fd}", entry, follow=True)
        finally:
            os.close(fd)

    def _owner(self, entry: Entry) -> tuple[int, int]:
        return self.owner if self.owner is not None else self.ids.outside(entry.uid, entry.gid)

    @staticmethod
    def _chown(name: str, owner: tuple[int, int], parent: int | None, *, follow: bool) -> None:
        try:
            os.chown(name, *owner, dir_fd=parent, follow_symlinks=follow)
        except PermissionError:
            if owner != (os.geteuid(), os.getegid()):
                raise

    def _own(self, place: str, entry: Entry, *, follow: bool) -> None:
        """Owner first: changing it drops the set-id bits and capabilities, which are set after it."""
        self._chown(place, self._owner(entry), None, follow=follow)
        mode = stat.S_IMODE(entry.mode)
        os.chmod(place, mode if self.keep_setid else mode & 0o1777)
        for name, value in entry.xattrs.items():
            if name == "security.capability" and not self.keep_setid:
                continue
            try:
                os.setxattr(place, name, value)
            except OSError:
                pass  # the file system, or the user namespace, has no room for it
        os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns))


def _write_at(fd: int, offset: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        written = os.pwrite(fd, view, offset)
        offset += written
        view = view[written:]


def _remove(parent: int, name: str) -> None:
    from pypod.base import files

    files.remove_tree(name, dir_fd=parent)
