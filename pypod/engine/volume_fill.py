"""A new volume gets what the image has at its place, owner and mode too (podman-run(1), --volume, "copy").

And option U: the source of a mount is given to the container's user. The root file system may be hostile: what is
copied is opened in it as if it were ``/``, and no link in it is followed.
"""

from __future__ import annotations

import os

from pypod.base.record import replace
from pypod.engine import volumes
from pypod.errors import PypodError, reason
from pypod.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.config import ContainerConfig, Mount
    from pypod.engine.context import Context
    from pypod.engine.users import User

_DIRECTORY, _REGULAR, _LINK = 0o040000, 0o100000, 0o120000


def fill(context: Context, config: ContainerConfig, root_fd: int, user: User) -> None:
    """Fill and chown what the container's mounts ask for. Raises PypodError."""
    for mount in config.mounts:
        if mount.type == "volume" and not mount.subpath:
            _volume(context, config, root_fd, mount)
        if mount.chown and mount.type in ("bind", "volume"):
            uid, gid = outside(config.uid_map, user.uid), outside(config.gid_map, user.gid)
            try:
                give(mount.source, uid, gid)
            except OSError as error:
                raise PypodError(
                    f"cannot give {mount.source} to the container's user: {error.filename}: {reason(error)}"
                ) from None


def outside(entries: list[list[int]], number: int) -> int:
    """The id in our namespace that is ``number`` in the container's."""
    for inside, outside, count in entries:
        if inside <= number < inside + count:
            return outside + number - inside
    return number


def _volume(context: Context, config: ContainerConfig, root_fd: int, mount: Mount) -> None:
    volume = volumes.ensure(context, mount.name, anonymous=mount.anonymous)
    if not volume.needs_copy_up and not volume.needs_chown:
        return
    try:
        with volumes.lock(context, mount.name):
            volume = volumes.load(context, mount.name)
            if not volume.needs_copy_up and not volume.needs_chown:
                return
            try:
                source = syscalls.openat2(root_fd, mount.destination.lstrip("/"), os.O_RDONLY | os.O_DIRECTORY)
            except (FileNotFoundError, NotADirectoryError):
                source = -1
            target = os.open(mount.source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if not os.listdir(target):
                    if source >= 0:
                        if mount.copy and volume.needs_copy_up:
                            _copy(source, target, {}, "", target)
                        _attributes(os.fstat(source), target)
                    else:
                        os.fchown(target, outside(config.uid_map, 0), outside(config.gid_map, 0))
            finally:
                os.close(target)
                if source >= 0:
                    os.close(source)
            # nocopy leaves the filling to the next container.
            volumes.save(
                context, replace(volume, needs_copy_up=volume.needs_copy_up and not mount.copy, needs_chown=False)
            )
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise PypodError(f"cannot fill volume {mount.name}: {where}{reason(error)}") from None


def _attributes(found: os.stat_result, fd: int) -> None:
    os.fchown(fd, found.st_uid, found.st_gid)
    os.fchmod(fd, found.st_mode & 0o7777)
    os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))


def _copy(source: int, target: int, links: dict[tuple[int, int], str], path: str, top: int) -> None:
    """Everything in a directory; hard links inside the tree stay hard links."""
    for name in os.listdir(source):
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        kind = found.st_mode & 0o170000
        key = (found.st_dev, found.st_ino)
        here = f"{path}/{name}".lstrip("/")
        if kind != _DIRECTORY and found.st_nlink > 1:
            if key in links:
                os.link(links[key], name, src_dir_fd=top, dst_dir_fd=target, follow_symlinks=False)
                continue
            links[key] = here
        if kind == _DIRECTORY:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
            try:
                os.mkdir(name, 0o700, dir_fd=target)
                made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)
                try:
                    _copy(inner, made, links, here, top)
                    _attributes(found, made)
                    _xattrs(inner, made)
                finally:
                    os.close(made)
            finally:
                os.close(inner)
        elif kind == _REGULAR:
            _copy_file(name, found, source, target)
        elif kind == _LINK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
        elif kind == 0o010000:
            os.mkfifo(name, 0o600, dir_fd=target)
            os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
            os.chmod(name, found.st_mode & 0o7777, dir_fd=target)
        # Sockets and device nodes are not carried over: nobody listens, and a user namespace cannot make them.


def _copy_file(name: str, found: os.stat_result, source: int, target: int) -> None:
    inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
    try:
        made = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=target
        )
        try:
            while True:
                try:
                    count = os.copy_file_range(inner, made, 1 << 30)
                except OSError as error:
                    if error.errno not in (18, 22, 38, 95):  # EXDEV, EINVAL, ENOSYS, EOPNOTSUPP: not between these
                        raise
                    count = os.sendfile(made, inner, None, 1 << 30)
                if not count:
                    break
            _attributes(found, made)
            _xattrs(inner, made)
        finally:
            os.close(made)
    finally:
        os.close(inner)


def _xattrs(source: int, target: int) -> None:
    try:
        names = os.listxattr(source)
    except OSError:
        return
    for name in names:
        if name.startswith(("user.overlay.", "trusted.", "security.selinux")):
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno not in (1, 95):  # EPERM, EOPNOTSUPP: the volume's file system does not have it
                raise


def give(path: str, uid: int, gid: int) -> None:
    """chown -R, following nothing. Raises OSError."""
    os.chown(path, uid, gid, follow_symlinks=False)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        return
    try:
        _give(fd, uid, gid)
    finally:
        os.close(fd)


def _give(directory: int, uid: int, gid: int) -> None:
    for name in os.listdir(directory):
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if (found.st_uid, found.st_gid) != (uid, gid):
            os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
            if found.st_mode & 0o6000 and found.st_mode & 0o170000 == _REGULAR:
                os.chmod(name, found.st_mode & 0o7777, dir_fd=directory)  # chown(2) took set-uid away
        if found.st_mode & 0o170000 == _DIRECTORY:
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                _give(fd, uid, gid)
            finally:
                os.close(fd)
