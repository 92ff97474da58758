"""The overlay driver's mounts: by the new mount API, by mount(2), or by a mount program."""

from __future__ import annotations

import errno
import os

from pypod.base import files, process
from pypod.base.record import record
from pypod.errors import StorageError, reason
from pypod.linux import syscalls
from storage import overlay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PAGE = 4096  # mount(2): no more data than this, with the zero at its end
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


@record
class Plan:
    """An overlay to be mounted. ``lower`` is nearest first; without ``upper`` it is read-only."""

    target: str
    lower: list[str]
    upper: str = ""
    work: str = ""
    flags: list[str] = []
    mountopt: str = ""
    program: str = ""  # what mounts it, if not the kernel


def _options(mountopt: str) -> tuple[list[str], list[str]]:
    """``mountopt`` in two: the mount's attributes, and the file system's own options."""
    words = [word for word in mountopt.split(",") if word]
    return (
        [word for word in words if word in _ATTRIBUTES],
        [word for word in words if word not in _ATTRIBUTES and word not in ("dev", "suid", "exec", "rw", "defaults")],
    )


def _detached(lower: Sequence[str], upper: str, work: str, flags: Sequence[str], mountopt: str) -> int:
    """An overlay that is mounted nowhere yet, as a descriptor. Raises OSError."""
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
        return syscalls.fsmount(fd, sum(_ATTRIBUTES[word] for word in attributes))
    finally:
        os.close(fd)


def _native(target: str, lower: Sequence[str], upper: str, work: str, flags: Sequence[str], mountopt: str) -> None:
    mounted = _detached(lower, upper, work, flags, mountopt)
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
    home: str, target: str, lower: Sequence[str], upper: str, work: str, flags: Sequence[str], mountopt: str
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


def plan(
    home: str,
    layer: str,
    lower: Sequence[str],
    *,
    read_only: bool,
    volatile: bool,
    mount_program: str,
    mountopt: str,
    target: str = "",
) -> Plan:
    """How a layer is mounted over ``lower`` at its ``merged`` (or ``target``). Nothing is done.

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
    if len(below) > overlay.MOST_LOWERS:
        raise StorageError(
            f"cannot mount layer {layer[:12]}: it has {len(below)} layers,"
            f" the kernel mounts {overlay.MOST_LOWERS} at most"
        )
    flags = []
    if mount_program:
        if (upper or below) and overlay.is_masked(below[0]) and "xattr_permissions" not in mountopt:
            mountopt += ",xattr_permissions=2"  # as the layers below have them
    else:
        if overlay.in_user_namespace():
            flags.append("userxattr")
            mountopt = ",".join(word for word in mountopt.split(",") if not word.startswith("metacopy"))
        if upper and volatile:
            flags.append("volatile")
    return Plan(
        target=target,
        lower=below,
        upper=upper,
        work=work,
        flags=flags,
        mountopt=mountopt,
        program=mount_program,
    )


def mount(home: str, planned: Plan) -> str:
    """Mount what ``plan`` says, in the current mount namespace; the path. Raises StorageError."""
    target, below, upper, work = planned.target, planned.lower, planned.upper, planned.work
    flags, mountopt = planned.flags, planned.mountopt
    try:
        os.mkdir(target, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise StorageError(f"cannot mount at {target}: {reason(error)}") from None
    if not upper and below[-1].endswith("/empty"):
        files.make_directory(below[-1])
    if planned.program:
        _fuse(planned.program, target, below, upper, work, mountopt)
        return target
    if upper:
        try:
            # The kernel refuses a work directory that an earlier volatile mount has used.
            files.remove_tree(f"{work}/work/incompat")
        except OSError as error:
            raise StorageError(f"cannot clear {work}: {reason(error)}") from None
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
        if program is None or not overlay.in_user_namespace():
            raise StorageError(
                f"cannot mount overlay {target}: {reason(error)}"
                + (f" ({first.filename}: {reason(first)})" if first.filename else ""),
                hint="apt-get install fuse-overlayfs" if program is None and overlay.in_user_namespace() else "",
            ) from None
    _fuse(program, target, below, upper, work, mountopt)
    return target


def plan_over(directory: str, upper: str, work: str, target: str) -> Plan:
    """An overlay of any directory, writes going to ``upper``."""
    flags = ["userxattr"] if overlay.in_user_namespace() else []
    return Plan(target=target, lower=[directory], upper=upper, work=work, flags=flags)


def view(home: str, directories: Sequence[str]) -> int:
    """A descriptor of a directory that shows these together, nearest first, to be read; nothing on disk changes.

    In a mount namespace of one's own. Raises StorageError.
    """
    flags = ["userxattr"] if overlay.in_user_namespace() else []
    try:
        if len(directories) > 1:
            return _detached(directories, "", "", flags, "")
        return os.open(directories[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        first = error
    # Over one of them, as no mount point can be made; once it is open, it need not be seen any more.
    target = directories[0]
    try:
        try:
            _old_native(home, target, directories, "", "", flags, "")
        except OSError:
            program = process.find("fuse-overlayfs")
            if program is None:
                raise first from None
            _fuse(program, target, directories, "", "", "")
        fd = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(f"cannot look into the layers of {target}: {reason(error)}") from None
    unmount(target)
    return fd


def mount_over(planned: Plan) -> None:
    """Mount what ``plan_over`` says; see ``mount`` for who may.

    Raises StorageError.
    """
    directory = planned.lower[0]
    try:
        _native(planned.target, planned.lower, planned.upper, planned.work, planned.flags, "")
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
