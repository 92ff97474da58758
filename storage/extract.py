"""Unpack a layer's archive into a directory, and write its tar-split on the way.

The archive is hostile until shown otherwise: names are resolved by openat2(RESOLVE_IN_ROOT), so neither ``..`` nor
a symbolic link leads out of the directory.
"""

from __future__ import annotations

import errno
import os
import stat

from pypod.errors import BadArchive, StorageError, reason
from pypod.linux import syscalls
from storage import limits as limiting
from storage import tar, tarsplit
from storage.entries import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.stream import Buffer

_IN_ROOT = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_STRICT = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_OWN_XATTRS = (b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.")


class Extractor:
    """One layer, unpacked into the existing directory ``root``."""

    def __init__(
        self,
        root: str,
        *,
        lowers: Sequence[str] = (),
        tar_split: str,
        shadow: str,
        in_user_namespace: bool,
        whiteouts: str = "convert",
        limits: limiting.Limits = limiting.DEFAULT,
    ) -> None:
        self.root = root
        self.shadow = shadow  # a directory for what later entries replace
        self.userns = in_user_namespace
        self.whiteouts = whiteouts  # convert: to overlayfs's marks; keep: as they are; apply: remove what they name
        self.uids: set[int] = set()
        self.gids: set[int] = set()
        self._limits = limits
        self._split = tarsplit.Writer(tar_split)
        self._root = -1
        self._lowers: list[int] = []
        self._lower_paths = lowers
        self._parent: tuple[bytes, ...] | None = None
        self._parent_fd = -1
        self._times: list[tuple[bytes, int]] = []
        self._prefix = b""  # the parent's path with every link resolved, and a slash
        self._real_root = b""
        self._names: dict[bytes, int] = {}  # where a file is -> position of its record in tar-split
        self._shadowed: dict[int, str] = {}
        self._shadows = 0
        found = os.statvfs(root)
        self._free = found.f_bavail * found.f_frsize

    def run(self, buffer: Buffer) -> None:
        """Unpack all.

        Raises BadArchive, StorageError.
        """
        try:
            self._root = os.open(self.root, _DIRECTORY | os.O_CLOEXEC)
            self._real_root = os.readlink(b"/proc/self/fd/%d" % self._root)
            self._lowers = [os.open(path, _DIRECTORY | os.O_CLOEXEC) for path in self._lower_paths]
            reader = tar.Reader(buffer, self._limits, "max_layer_entries")
            for entry in reader:
                self._split.raw(entry.segment)
                try:
                    self._entry(reader, entry)
                except OSError as error:
                    if error.errno in (errno.ENOSPC, errno.EDQUOT):
                        raise StorageError(f"cannot unpack the image: {reason(error)}") from None
                    if error.errno == errno.EINVAL and self.userns:
                        raise StorageError(
                            f"cannot unpack {tar.show(entry.name)}: "
                            f"owner {entry.uid}:{entry.gid} is not mapped in the user namespace",
                            hint="give this user more ids in /etc/subuid and /etc/subgid",
                        ) from None
                    raise BadArchive(f"cannot unpack {tar.show(entry.name)}: {reason(error)}") from None
            for data in reader.trailer():
                self._split.raw(data)
            self._finish()
        except OSError as error:
            raise StorageError(f"cannot unpack the image: {reason(error)}") from None
        finally:
            self._split.abandon()
            for fd in (self._root, self._parent_fd, *self._lowers):
                if fd >= 0:
                    os.close(fd)

    def _finish(self) -> None:
        self._split.close()
        for name, mtime in self._times:
            try:
                fd = syscalls.openat2(self._root, os.fsdecode(name), _DIRECTORY | os.O_NOFOLLOW, resolve=_IN_ROOT)
            except OSError:
                continue  # replaced by a later entry
            try:
                os.utime(fd, ns=(mtime, mtime))
            finally:
                os.close(fd)
        if self._shadowed:
            tarsplit.rewrite(self._split.path, self._shadowed)

    # Directories.

    def _open_parent(self, parts: Sequence[bytes]) -> int:
        """A descriptor of the directory that an entry is in; what is missing on the way is made."""
        key = tuple(parts)
        if key == self._parent:
            return self._parent_fd
        if self._parent_fd >= 0:
            os.close(self._parent_fd)
            self._parent_fd, self._parent = -1, None
        path = os.fsdecode(b"/".join(parts) or b".")
        try:
            fd = syscalls.openat2(self._root, path, _DIRECTORY, resolve=_IN_ROOT)
        except FileNotFoundError:
            fd = self._make_parents(parts)
        self._parent, self._parent_fd = key, fd
        real = os.readlink(b"/proc/self/fd/%d" % fd)
        inside = real.startswith(self._real_root + b"/")
        self._prefix = real[len(self._real_root) + 1 :] + b"/" if inside else b"".join(part + b"/" for part in parts)
        if real == self._real_root:
            self._prefix = b""
        return fd

    def _make_parents(self, parts: Sequence[bytes]) -> int:
        for end in range(1, len(parts) + 1):
            path = b"/".join(parts[:end])
            try:
                os.close(
                    syscalls.openat2(self._root, os.fsdecode(path), os.O_PATH | os.O_DIRECTORY, resolve=_IN_ROOT)
                )
                continue
            except FileNotFoundError:
                pass
            self._account(4096, path)
            above = syscalls.openat2(
                self._root, os.fsdecode(b"/".join(parts[: end - 1]) or b"."), _DIRECTORY, resolve=_IN_ROOT
            )
            try:
                os.mkdir(parts[end - 1], 0o755, dir_fd=above)
                fd = os.open(parts[end - 1], _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            finally:
                os.close(above)
            try:
                self._inherit(fd, path)
            finally:
                os.close(fd)
        return syscalls.openat2(self._root, os.fsdecode(b"/".join(parts)), _DIRECTORY, resolve=_IN_ROOT)

    def _inherit(self, fd: int, path: bytes) -> None:
        """A directory that the archive does not list keeps what the nearest lower layer says of it."""
        for lower in self._lowers:
            try:
                source = syscalls.openat2(lower, os.fsdecode(path), _DIRECTORY, resolve=_STRICT)
            except FileNotFoundError:
                continue
            except OSError:
                break  # not a directory there: a whiteout, a file or a link
            try:
                found = os.fstat(source)
                os.fchown(fd, found.st_uid, found.st_gid)
                os.fchmod(fd, stat.S_IMODE(found.st_mode))
                for key in os.listxattr(source):
                    if not key.encode().startswith((*_OWN_XATTRS, b"security.selinux")):
                        self._set_xattr(fd, key.encode(), os.getxattr(source, key))
                self._times.append((path, found.st_mtime_ns))
                self.uids.add(found.st_uid)
                self.gids.add(found.st_gid)
            finally:
                os.close(source)
            return
        os.fchmod(fd, 0o755)
        self.uids.add(0)
        self.gids.add(0)

    # Entries.

    def _account(self, size: int, name: bytes) -> None:
        """Refuse what cannot fit before it is written.

        Raises StorageError.
        """
        self._free -= size
        if self._free < 0:
            raise StorageError(
                f"cannot unpack {tar.show(name)}: {size} bytes are more than the file system has free: "
                + os.strerror(errno.ENOSPC)
            )

    def _displace(self, fd: int, base: bytes, cleaned: bytes) -> None:
        """Take away what an entry replaces, and keep it until tar-split is complete."""
        self._shadows += 1
        target = f"{self.shadow}/{self._shadows}"
        os.makedirs(self.shadow, exist_ok=True)
        os.rename(base, target, src_dir_fd=fd)
        if self._parent_fd >= 0 and self._parent_fd != fd:
            os.close(self._parent_fd)
            self._parent, self._parent_fd = None, -1
        below = cleaned + b"/"
        names = [cleaned] if cleaned in self._names else []
        if os.path.isdir(target) and not os.path.islink(target):
            names += [name for name in self._names if name.startswith(below)]
        for name in names:
            self._shadowed[self._names.pop(name)] = target + os.fsdecode(name[len(cleaned) :])

    def _entry(self, reader: tar.Reader, entry: tar.Entry) -> None:
        parts = clean(entry.name)
        cleaned = b"/".join(parts)
        if not parts:
            self._leave_out(reader, cleaned, entry)
            return
        self._account(entry.size, entry.name)
        base = parts[-1]
        fd = self._open_parent(parts[:-1])
        cleaned = self._prefix + base
        if self.whiteouts != "keep" and base.startswith(b".wh."):
            self._whiteout(fd, base, entry)
            self._leave_out(reader, cleaned, entry)
            return
        if entry.kind in (tar.CHARACTER, tar.DEVICE) and self.userns:
            self._record(cleaned, entry, 0)  # no device can be made here; podman leaves it out as well
            return
        self.uids.add(entry.uid)
        self.gids.add(entry.gid)
        try:
            there = os.stat(base, dir_fd=fd, follow_symlinks=False)
            if entry.kind != tar.DIRECTORY or not stat.S_ISDIR(there.st_mode):
                if entry.kind != tar.LINK or clean(entry.target) != parts:
                    self._displace(fd, base, cleaned)
        except FileNotFoundError:
            pass
        if entry.kind == tar.REGULAR:
            self._regular(reader, entry, fd, base, cleaned)
            return
        if entry.kind == tar.DIRECTORY:
            self._directory(entry, fd, base, cleaned)
        elif entry.kind == tar.LINK:
            if clean(entry.target) == parts and cleaned in self._names:
                return  # a link to itself: the file's own record stays
            self._link(entry, fd, base)
        else:
            self._special(entry, fd, base)
        self._record(cleaned, entry, 0)

    def _record(self, cleaned: bytes, entry: tar.Entry, crc: int, size: int = 0) -> None:
        old = self._names.pop(cleaned, None)
        if old is not None:
            self._shadowed[old] = ""  # a directory twice: no content to keep
        self._names[cleaned] = self._split.file(entry.name, size, crc)

    def _leave_out(self, reader: tar.Reader, cleaned: bytes, entry: tar.Entry) -> None:
        """An entry that makes no file of its name."""
        self._record(cleaned, entry, 0)
        for data in reader.payload():
            self._split.raw(bytes(data))

    def _whiteout(self, fd: int, base: bytes, entry: tar.Entry) -> None:
        if base == b".wh..wh..opq":
            if self.whiteouts == "apply":
                self._empty(fd)
                return
            key = "user.overlay.opaque" if self.userns else "trusted.overlay.opaque"
            os.setxattr(fd, key, b"y")
            return
        hidden = base[4:]
        if hidden in (b"", b".", b"..") or base.startswith(b".wh..wh."):
            return  # aufs's own
        cleaned = self._prefix + hidden
        try:
            os.stat(hidden, dir_fd=fd, follow_symlinks=False)
            self._displace(fd, hidden, cleaned)
        except FileNotFoundError:
            pass
        if self.whiteouts == "apply":
            return
        os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=fd)
        os.chown(hidden, entry.uid, entry.gid, dir_fd=fd, follow_symlinks=False)

    def _empty(self, fd: int) -> None:
        """Remove from a directory what is not of this archive."""
        for name in os.listdir(fd):
            cleaned = self._prefix + os.fsencode(name)
            if not any(known == cleaned or known.startswith(cleaned + b"/") for known in self._names):
                self._displace(fd, os.fsencode(name), cleaned)

    def _regular(self, reader: tar.Reader, entry: tar.Entry, fd: int, base: bytes, cleaned: bytes) -> None:
        out = os.open(base, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=fd)
        try:
            if entry.sparse is not None:
                self._sparse(reader, entry, out, cleaned)
            else:
                crc = 0
                for data in reader.payload():
                    crc = tarsplit.crc64(data, crc)
                    while data:
                        data = data[os.write(out, data) :]
                self._record(cleaned, entry, crc, entry.size)
            os.fchown(out, entry.uid, entry.gid)
            os.fchmod(out, entry.mode)
            for key, value in entry.xattrs.items():
                self._set_xattr(out, key, value)
            os.utime(out, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(out)

    def _sparse(self, reader: tar.Reader, entry: tar.Entry, out: int, cleaned: bytes) -> None:
        """The pieces go into the file, and as raw bytes into tar-split, whose readers know no sparse files."""
        os.ftruncate(out, entry.size)
        for offset, length in entry.sparse or ():
            while length:
                data = reader.exactly(min(length, tarsplit.PIECE))
                self._split.raw(data)
                done = 0
                while done < len(data):
                    done += os.pwrite(out, data[done:], offset + done)
                offset += len(data)
                length -= len(data)
        self._names.pop(cleaned, None)

    def _directory(self, entry: tar.Entry, fd: int, base: bytes, cleaned: bytes) -> None:
        try:
            os.mkdir(base, 0o700, dir_fd=fd)
        except FileExistsError:
            pass
        own = os.open(base, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        try:
            os.fchown(own, entry.uid, entry.gid)
            os.fchmod(own, entry.mode)
            for key, value in entry.xattrs.items():
                self._set_xattr(own, key, value)
        finally:
            os.close(own)
        self._times.append((cleaned, entry.mtime))

    def _link(self, entry: tar.Entry, fd: int, base: bytes) -> None:
        target = clean(entry.target)
        if not target:
            raise BadArchive(f"broken archive: {tar.show(entry.name)}: a hard link to nothing")
        try:
            source = syscalls.openat2(
                self._root, os.fsdecode(b"/".join(target[:-1]) or b"."), _DIRECTORY, resolve=_IN_ROOT
            )
        except OSError as error:
            raise BadArchive(
                f"broken archive: {tar.show(entry.name)}: its hard link target {tar.show(entry.target)}:"
                f" {reason(error)}"
            ) from None
        try:
            os.link(target[-1], base, src_dir_fd=source, dst_dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            raise BadArchive(
                f"broken archive: {tar.show(entry.name)}: its hard link target {tar.show(entry.target)} is not there"
            ) from None
        finally:
            os.close(source)

    def _special(self, entry: tar.Entry, fd: int, base: bytes) -> None:
        if entry.kind == tar.SYMLINK:
            if not entry.target:
                raise BadArchive(f"broken archive: {tar.show(entry.name)}: a symbolic link to nothing")
            os.symlink(entry.target, base, dir_fd=fd)
        elif entry.kind == tar.FIFO:
            os.mknod(base, stat.S_IFIFO | 0o600, dir_fd=fd)
        else:
            kind = stat.S_IFCHR if entry.kind == tar.CHARACTER else stat.S_IFBLK
            os.mknod(base, kind | 0o600, os.makedev(entry.major, entry.minor), dir_fd=fd)
        os.chown(base, entry.uid, entry.gid, dir_fd=fd, follow_symlinks=False)
        path = f"/proc/self/fd/{fd}/".encode() + base
        if entry.kind != tar.SYMLINK:
            os.chmod(path, entry.mode)  # it cannot be a link: it has just been made
        for key, value in entry.xattrs.items():
            self._set_xattr(path, key, value)
        os.utime(base, ns=(entry.mtime, entry.mtime), dir_fd=fd, follow_symlinks=False)

    def _set_xattr(self, target: int | bytes, key: bytes, value: bytes) -> None:
        if key == b"security.selinux" or key.startswith(_OWN_XATTRS):
            return
        try:
            os.setxattr(target, key, value, follow_symlinks=True if isinstance(target, int) else False)
        except OSError as error:
            if error.errno == errno.ENOTSUP or error.errno == errno.EPERM and self.userns:
                return
            raise
