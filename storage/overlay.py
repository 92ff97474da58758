"""The overlay driver's directories and mounts.

A layer's directory holds ``diff`` (its files), ``link`` (its short name: ``l/<link>`` points to ``diff``), ``lower``
(``l/<parent>:l/<grandparent>...``), ``work`` and ``merged``.
"""

from __future__ import annotations

import errno
import os

from pypod.base import files, process
from pypod.errors import StorageError, reason
from pypod.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
MOST_LOWERS = 500  # the kernel's OVL_MAX_STACK
_PAGE = 4096  # mount(2): no more data than this, with the zero at its end
OVERRIDE = "user.containers.override_stat"  # of force_mask (containers-storage.conf(5))
_ARGUMENT = 128 * 1024  # execve(2): the longest single argument

# ``mountopt`` words (storage.conf(5)) that are attributes of the mount, not of the overlay.
_ATTRIBUTES = {
    "nodev": syscalls.MOUNT_ATTR_NODEV,
    "nosuid": syscalls.MOUNT_ATTR_NOSUID,
    "noexec": syscalls.MOUNT_ATTR_NOEXEC,
    "ro": syscalls.MOUNT_ATTR_RDONLY,
}
_MS_FLAGS = {
    "nodev": syscalls.MS_NODEV,
    "nosuid": syscalls.MS_NOSUID,
    "noexec": syscalls.MS_NOEXEC,
    "ro": syscalls.MS_RDONLY,
}


def _write(path: str, text: str, durable: bool, mode: int = 0o644) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)
        files.write_all(fd, text.encode())
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def in_user_namespace() -> bool:
    """Whether this process's user namespace is not the initial one (user_namespaces(7))."""
    return files.read("/proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]


def new_link() -> str:
    """A short name for a layer: 26 characters, as unique as 128 random bits."""
    return "".join([_ALPHABET[byte & 31] for byte in os.urandom(26)])


def is_masked(directory: str) -> bool:
    """Whether the owners and modes of a layer's files are to be had from fuse-overlayfs alone."""
    try:
        return bool(os.getxattr(directory, OVERRIDE))
    except OSError:
        return False


def prepare(home: str) -> None:
    """Make the driver's own directories."""
    files.make_directory(f"{home}/l", 0o755)
    os.chmod(home, 0o700)


def lower_text(home: str, parent: str) -> str:
    """What ``lower`` says in a child of ``parent``."""
    directory = f"{home}/{parent}"
    own = "l/" + files.read(f"{directory}/link").decode().strip()
    try:
        above = files.read(f"{directory}/lower").decode().strip()
    except FileNotFoundError:
        return own
    return f"{own}:{above}" if above else own


def furnish(directory: str, lower: str, lower_layers: str, *, durable: bool) -> str:
    """Add what a layer's directory holds beside ``diff``; its link, for ``make_link``. A base layer has no ``lower``.

    What is to outlive a power cut is flushed before there is a record (by ``durable``, or by the caller): with an
    empty ``lower`` podman could not use the layer any more.
    """
    link = new_link()
    _write(f"{directory}/link", link, durable)
    if lower:
        write_lower(directory, lower, lower_layers, durable=durable)
    else:
        os.mkdir(f"{directory}/empty", 0o700)
    os.mkdir(f"{directory}/work", 0o700)
    os.mkdir(f"{directory}/merged", 0o700)
    if durable:
        files.sync_directory(directory)
    return link


def write_lower(directory: str, lower: str, lower_layers: str, *, durable: bool) -> None:
    """Write what says which layers are below: links, and for containers/storage 1.63 the ids."""
    _write(f"{directory}/lower", lower, durable)
    _write(f"{directory}/lower-layers", lower_layers, durable)


def make_link(home: str, layer: str, link: str) -> None:
    """Make a layer's short name."""
    os.symlink(f"../{layer}/diff", f"{home}/l/{link}")


def create(home: str, layer: str, parent: str, parent_home: str, lower_layers: str, *, durable: bool = False) -> None:
    """Make the directories of an empty layer on ``parent`` ("" for none).

    Raises StorageError; nothing stays behind then.
    """
    directory = f"{home}/{layer}"
    mode, uid, gid = 0o555, 0, 0
    try:
        lower = ""
        if parent:
            lower = lower_text(parent_home, parent)
            if lower.count(":") >= MOST_LOWERS:
                raise StorageError(
                    f"cannot make a layer on {parent[:12]}: it has {lower.count(':') + 1} layers,"
                    f" the kernel mounts {MOST_LOWERS} at most"
                )
            above = os.stat(f"{parent_home}/{parent}/diff")
            mode, uid, gid = above.st_mode & 0o7777, above.st_uid, above.st_gid
        os.mkdir(directory, 0o700)
        try:
            diff = f"{directory}/diff"
            os.mkdir(diff, 0o700)
            if uid or gid:
                os.chown(diff, uid, gid)
            os.chmod(diff, mode)
            if parent and is_masked(f"{parent_home}/{parent}/diff"):
                from storage import masked

                masked.upper(diff, f"{parent_home}/{parent}/diff")
            link = furnish(directory, lower, lower_layers, durable=durable)
            make_link(home, layer, link)
            if durable:
                files.sync_directory(f"{home}/l")
                files.sync_directory(home)
        except BaseException:
            remove(home, layer)
            raise
    except OSError as error:
        raise StorageError(f"cannot make layer {layer[:12]} in {home}: {reason(error)}") from None


def remove(home: str, layer: str) -> None:
    """Remove a layer's directory and its link."""
    drop_link(home, layer)
    files.remove_tree(f"{home}/{layer}")


def drop_link(home: str, layer: str) -> None:
    try:
        link = files.read(f"{home}/{layer}/link").decode().strip()
        if link and "/" not in link:
            os.unlink(f"{home}/l/{link}")
    except OSError:
        pass


def read_text(path: str) -> str:
    """What ``link`` or ``lower`` says; "" if there is none, or an empty one, or something unreadable."""
    try:
        return files.read(path, 1 << 20).decode("ascii", "replace").strip()
    except OSError:
        return ""


def is_link_of(home: str, link: str, layer: str) -> bool:
    try:
        return os.readlink(f"{home}/l/{link}") == f"../{layer}/diff"
    except OSError:
        return False


def linked(homes: Sequence[str], name: str) -> str | None:
    """The directory that a short name leads to in the first of ``homes`` that knows it."""
    for home in homes:
        path = f"{home}/{name}"
        if os.path.isdir(path):
            return path
    return None


def lowers(homes: Sequence[str], layer: str, ancestors: Sequence[str]) -> list[str]:
    """The directories under ``layer``, nearest first. ``homes[0]`` is the layer's own store, others are read-only.

    ``ancestors`` (the layer's parents, nearest first) serve where a link has been lost. Raises StorageError.
    """
    directory = f"{homes[0]}/{layer}"
    try:
        text = files.read(f"{directory}/lower").decode().strip()
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise StorageError(f"cannot read layer {layer[:12]}: {reason(error)}") from None
    names = text.split(":") if text else []
    found: list[str] = []
    for name in names:
        path = linked(homes, name)
        if path is None:
            names = []
            break
        found.append(path)
    if not names:
        found = []
        for parent in ancestors:
            path = linked(homes, f"{parent}/diff")
            if path is None:
                raise StorageError(f"cannot mount layer {layer[:12]}: its parent {parent[:12]} has no files")
            found.append(path)
    result = []
    for path in found:
        result.append(path)
        number = 1
        # What a change of the id mapping has left: earlier diffs of the same layer.
        while os.path.isdir(more := f"{path}/../diff{number}"):
            result.append(more)
            number += 1
    return result


def _options(mountopt: str) -> tuple[list[str], list[str]]:
    """``mountopt`` in two: the mount's attributes, and the file system's own options."""
    words = [word for word in mountopt.split(",") if word]
    return (
        [word for word in words if word in _ATTRIBUTES],
        [word for word in words if word not in _ATTRIBUTES and word not in ("dev", "suid", "exec", "rw", "defaults")],
    )


def _native(target: str, lower: Sequence[str], upper: str, work: str, flags: list[str], mountopt: str) -> None:
    attributes, settings = _options(mountopt)
    fd = syscalls.fsopen("overlay")
    try:
        syscalls.fsconfig_string(fd, "source", "overlay")  # what df and mount show
        for path in lower:
            syscalls.fsconfig_string(fd, "lowerdir+", path)
        if upper:
            syscalls.fsconfig_string(fd, "upperdir", upper)
            syscalls.fsconfig_string(fd, "workdir", work)
        for flag in flags:
            syscalls.fsconfig_flag(fd, flag)
        for setting in settings:
            key, equals, value = setting.partition("=")
            if equals:
                syscalls.fsconfig_string(fd, key, value)
            else:
                syscalls.fsconfig_flag(fd, key)
        syscalls.fsconfig_create(fd)
        mounted = syscalls.fsmount(fd, sum(_ATTRIBUTES[word] for word in attributes))
    finally:
        os.close(fd)
    try:
        syscalls.move_mount(mounted, target)
    finally:
        os.close(mounted)


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _data(lower: Sequence[str], upper: str, work: str, words: Sequence[str]) -> str:
    data = ["lowerdir=" + ":".join(_escape(path) for path in lower)]
    if upper:
        data += [f"upperdir={_escape(upper)}", f"workdir={_escape(work)}"]
    return ",".join([*data, *words])


def _old_native(
    home: str, target: str, lower: Sequence[str], upper: str, work: str, flags: list[str], mountopt: str
) -> None:
    """mount(2), for kernels before 6.5, which have no ``lowerdir+``. All options must fit in one page.

    If they don't, they are relative: to the driver's directory, or numbers of descriptors. Raises OSError.
    """
    attributes, settings = _options(mountopt)
    number = sum(_MS_FLAGS[word] for word in attributes)
    words = [*flags, *settings]
    data = _data(lower, upper, work, words)
    if len(os.fsencode(data)) < _PAGE:
        syscalls.mount("overlay", target, "overlay", number, data)
        return
    below = [path.removeprefix(home + "/") for path in lower]
    data = _data(below, upper.removeprefix(home + "/"), work.removeprefix(home + "/"), words)
    if len(os.fsencode(data)) < _PAGE:
        _mount_from(home, target, number, data)
        return
    opened: list[int] = []
    try:
        for path in (*lower, *((upper, work) if upper else ())):
            opened.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        names = [str(fd) for fd in opened]
        own = names[len(lower) :]
        data = _data(names[: len(lower)], own[0] if own else "", own[1] if own else "", words)
        _mount_from("/proc/self/fd", target, number, data)
    finally:
        for fd in opened:
            os.close(fd)


def _mount_from(directory: str, target: str, number: int, data: str) -> None:
    """mount(2) in a child whose working directory this is: ours may be one that we could not come back to.

    Raises OSError.
    """
    if len(os.fsencode(data)) >= _PAGE:
        raise OSError(errno.E2BIG, "the mount options are longer than a page", target)
    pid = os.fork()
    if pid == 0:
        code = errno.EIO
        try:
            os.chdir(directory)
            syscalls.mount("overlay", target, "overlay", number, data)
            code = 0
        except OSError as error:
            code = min(error.errno or code, 255)
        finally:
            os._exit(code)
    code = process.wait(pid)
    if code:
        raise OSError(code, os.strerror(code), target)


def _fuse(program: str, target: str, lower: Sequence[str], upper: str, work: str, mountopt: str) -> None:
    words = [word for word in mountopt.split(",") if word]
    data = _data(lower, upper, work, words)
    if len(os.fsencode(data)) >= _ARGUMENT:
        raise StorageError(f"cannot mount {target} with {program}: the names of {len(lower)} layers are too long")
    try:
        done = process.run([program, "-o", data, target])
    except OSError as error:
        raise StorageError(f"cannot run mount program {program}: {reason(error)}") from None
    if done.status:
        raise StorageError(f"cannot mount {target} with {program}: {done.message or f'exit status {done.status}'}")


def mount(
    home: str,
    layer: str,
    lower: Sequence[str],
    *,
    read_only: bool,
    volatile: bool,
    mount_program: str,
    mountopt: str,
    target: str = "",
) -> str:
    """Mount a layer over ``lower`` at its ``merged`` (or ``target``), in the current mount namespace; the path.

    Raises StorageError.
    """
    directory = f"{home}/{layer}"
    target = target or f"{directory}/merged"
    upper, work = f"{directory}/diff", f"{directory}/work"
    below = list(lower)
    number = 1
    while os.path.isdir(more := f"{directory}/diff{number}"):
        below.insert(number - 1, more)
        number += 1
    if read_only:
        below.insert(0, upper)
        upper = work = ""
    if not below:
        below = [f"{directory}/empty"]
    elif read_only and len(below) == 1 and not mount_program:
        below.append(f"{directory}/empty")  # an overlay without an upper needs two lowers
        files.make_directory(below[1])
    if len(below) > MOST_LOWERS:
        raise StorageError(
            f"cannot mount layer {layer[:12]}: it has {len(below)} layers, the kernel mounts {MOST_LOWERS} at most"
        )
    try:
        os.mkdir(target, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise StorageError(f"cannot mount at {target}: {reason(error)}") from None
    if mount_program:
        if (upper or below) and is_masked(below[0]) and "xattr_permissions" not in mountopt:
            mountopt += ",xattr_permissions=2"  # as the layers below have them
        _fuse(mount_program, target, below, upper, work, mountopt)
        return target
    flags = []
    if in_user_namespace():
        flags.append("userxattr")
        mountopt = ",".join(word for word in mountopt.split(",") if not word.startswith("metacopy"))
    if upper:
        try:
            # The kernel refuses a work directory that an earlier volatile mount has used.
            files.remove_tree(f"{work}/work/incompat")
        except OSError as error:
            raise StorageError(f"cannot clear {work}: {reason(error)}") from None
        if volatile:
            flags.append("volatile")
    try:
        _native(target, below, upper, work, flags, mountopt)
        return target
    except OSError as error:
        first = error
    try:
        _old_native(home, target, below, upper, work, flags, mountopt)
        return target
    except OSError as error:
        program = process.find("fuse-overlayfs")
        if program is None or not in_user_namespace():
            raise StorageError(
                f"cannot mount overlay {target}: {reason(error)}"
                + (f" ({first.filename}: {reason(first)})" if first.filename else ""),
                hint="apt-get install fuse-overlayfs" if program is None and in_user_namespace() else "",
            ) from None
    _fuse(program, target, below, upper, work, mountopt)
    return target


def mount_over(directory: str, upper: str, work: str, target: str) -> None:
    """Mount an overlay of any directory, writes going to ``upper``; see ``mount`` for who may.

    Raises StorageError.
    """
    flags = ["userxattr"] if in_user_namespace() else []
    try:
        _native(target, [directory], upper, work, flags, "")
    except OSError as error:
        raise StorageError(f"cannot mount an overlay over {directory}: {reason(error)}") from None


def unmount(target: str) -> bool:
    """Detach what is mounted at ``target``. False if nothing was.

    Raises StorageError.
    """
    try:
        syscalls.umount(target, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    except OSError as error:
        # Where mounts may not be removed, nothing of ours can have been mounted.
        if error.errno in (errno.EINVAL, errno.ENOENT, errno.EPERM):
            return False
        raise StorageError(f"cannot unmount {target}: {reason(error)}") from None
    return True
