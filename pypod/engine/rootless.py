"""Into the namespaces in which containers live, in process.

A rootless user's containers share one user namespace, as long as anything keeps it alive: a running container's
monitor, a CLI at work, or podman's pause process. There is no process of ours whose job is to hold it: each
candidate is a file ``<tmpdir>/holders/PID.START`` which whoever finds it stale removes. When there is no holder
the namespace is made anew with the same mapping (5 ms).

The mount namespace is private to each CLI call and inherited by the monitor that it starts, so a container's root
file system is seen by nobody else and goes when the monitor goes.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.base.locks import FileLock
from pypod.engine.context import CONFIGURED, ROOTLESS_GID, ROOTLESS_UID, Context, in_namespace
from pypod.errors import NamespaceError, reason
from pypod.linux import idmap, proc, syscalls, userns


def enter(context: Context) -> None:
    """Become root in the user's namespace (a real root stays what it is), with a private mount namespace.

    The process must be single-threaded. Raises NamespaceError.
    """
    if context.rootless and not in_namespace():
        enter_user(context)
    private_mounts(context)


def enter_user(context: Context) -> None:
    """The user namespace alone: enough for exec, kill and removing files of subordinate ids."""
    if not context.rootless or in_namespace():
        return
    holders = context.tmpdir + "/holders"
    try:
        files.make_directory(holders)
        with FileLock(holders + "/.lock"):
            if not _join_holder(context, holders):
                _create(context)
            # For those who come while we have not started a monitor yet.
            register(context, os.getpid())
    except OSError as error:
        raise NamespaceError(f"cannot enter the user namespace: {error.filename}: {reason(error)}") from None
    _tell(context)


def enter_unseen(context: Context) -> None:
    """Into a user namespace with the same maps and a mount namespace, of which nobody else learns.

    For who only looks: nothing is written, and nothing that is mounted here is seen elsewhere. Raises NamespaceError.
    """
    if context.rootless and not in_namespace():
        _create(context)
        _tell(context)
    else:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            syscalls.mount("", "/", flags=syscalls.MS_SLAVE | syscalls.MS_REC)
        except OSError as error:
            raise NamespaceError(f"cannot set up the mount namespace: {reason(error)}") from None


def _tell(context: Context) -> None:
    os.environ[CONFIGURED] = "done"
    os.environ[ROOTLESS_UID] = str(context.uid)
    os.environ[ROOTLESS_GID] = str(context.gid)


def register(context: Context, pid: int, container: str = "") -> None:
    """Remember that ``pid`` lives in the user namespace and keeps it alive.

    ``container``, "PID START", is the process to ask if that one, its monitor, was killed.
    """
    if context.rootless:
        files.make_directory(context.tmpdir + "/holders")
        path = f"{context.tmpdir}/holders/{pid}.{proc.start_time(pid)}"
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        if container:
            os.write(fd, container.encode())
        os.close(fd)


def forget(context: Context, pid: int, started: int) -> None:
    """The opposite of ``register``."""
    try:
        os.unlink(f"{context.tmpdir}/holders/{pid}.{started}")
    except OSError:
        pass


def _join_holder(context: Context, holders: str) -> bool:
    names = os.listdir(holders)
    # Each call looks from another place on, so that those who have ended are found wherever they stand.
    first = os.getpid() % len(names)
    for name in names[first:] + names[:first]:
        pid, _, started = name.partition(".")
        if not pid.isdecimal() or not started.isdecimal():
            continue
        if proc.alive(int(pid), int(started)):
            if _is_ours(context, int(pid)) and userns.join(int(pid), int(started)):
                return True
        elif _join_container(context, f"{holders}/{name}"):
            return True
    return _join_podman(context)


def _join_container(context: Context, path: str) -> bool:
    """A holder is gone: the container whose monitor it was may live on. If not, neither shall the file."""
    words = files.read(path).split()
    if len(words) == 2 and proc.alive(int(words[0]), int(words[1])):
        pid, started = int(words[0]), int(words[1])
        # With --userns it has a namespace of its own, made in the one that we look for.
        return userns.join(pid, started, parent=not _is_ours(context, pid))
    os.unlink(path)
    return False


def _join_podman(context: Context) -> bool:
    """podman's pause process holds a namespace with the same mapping: then both tools' containers share it."""
    try:
        pid = int(files.read(context.runtime_dir + "/libpod/tmp/pause.pid"))
    except (OSError, ValueError):
        return False
    return _is_ours(context, pid) and userns.join(pid, proc.start_time(pid))


def _is_ours(context: Context, pid: int) -> bool:
    try:
        first = idmap.of_process(pid)
    except OSError:
        return False
    # More than one id: podman may have made a namespace for a user without subordinate ids. With
    # ignore_chown_errors we have made such a one ourselves, or would.
    return (
        (len(first) > 1 or context.storage.ignore_chown_errors)
        and first[0].inside == 0
        and first[0].outside == context.uid
    )


def mapping(context: Context) -> tuple[list[idmap.Range], list[idmap.Range]]:
    """The uid and gid map of the user's containers.

    Raises NamespaceError if /etc/subuid or /etc/subgid gives the user nothing, unless ignore_chown_errors is set.
    """
    import pwd

    try:
        user = pwd.getpwuid(context.uid).pw_name
    except KeyError:
        user = str(context.uid)
    result = []
    for path, own in (("/etc/subuid", context.uid), ("/etc/subgid", context.gid)):
        ranges = idmap.subordinate(path, user, context.uid)
        if not ranges and not context.storage.ignore_chown_errors:
            raise NamespaceError(
                f"cannot set up the user namespace: {path} has no range for user {user}",
                hint=f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user};"
                " or, for containers of one id, ignore_chown_errors in storage.conf",
            )
        result.append(idmap.rootless(own, ranges))
    if min(map(len, result)) == 1:
        return result[0][:1], result[1][:1]  # one id: who asks for ignore_chown_errors can do with that
    return result[0], result[1]


def _create(context: Context) -> None:
    uid_ranges, gid_ranges = mapping(context)
    userns.create(uid_ranges, gid_ranges)


# The mount namespace without any container's mounts, from which each container's own is copied: one command may
# start several, and an overlay that stays visible in another container's namespace would outlive its own.
_clean = -1


def _clean_mounts(context: Context) -> None:
    """Be in a mount namespace of this process in which what is mounted below graphroot and runroot stays there.

    All else keeps its propagation, so that shared bind mounts of a root user work as they do with podman.
    """
    global _clean
    if _clean >= 0:
        syscalls.setns(_clean, syscalls.CLONE_NEWNS)
        return
    for path in (context.graphroot, context.runroot):
        files.make_directory(path)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    if not context.rootless:
        # The kernel makes a user namespace's copies slaves; root's would still be peers of the host's mounts, and
        # what we mount on a peer appears on the host.
        for place in _mount_points((context.graphroot, context.runroot)):
            syscalls.mount("", place, flags=syscalls.MS_SLAVE)
    for path in (context.graphroot, context.runroot):
        tree = syscalls.open_tree(path, syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE)
        try:
            syscalls.mount_setattr(tree, propagation=syscalls.MS_PRIVATE, recursive=True)
            if path == context.graphroot and os.path.exists(
                f"{context.runroot}/{context.driver}-layers/mountpoints.json"
            ):
                _drop_mounts(context)
            syscalls.move_mount(tree, path)
        finally:
            os.close(tree)
    _clean = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def clean_mounts() -> int:
    """The mount namespace without any container's mounts, as a descriptor; -1 if there has been no need for it."""
    return _clean


def _drop_mounts(context: Context) -> None:
    """Take away the layers that ``mount`` has mounted, before the copy of the tree covers them.

    Covered they could not be unmounted any more, and a mount point of this namespace's cannot be removed.
    """
    home = os.path.realpath(f"{context.graphroot}/{context.driver}")
    try:
        syscalls.umount(home, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
    except OSError:
        pass  # the driver's directory is no mount point: then nothing of ours is mounted in it


def _mount_points(paths: tuple[str, ...]) -> set[str]:
    """The mount points of the file systems that ``paths`` lie on (proc_pid_mountinfo(5))."""
    points = []
    for line in files.read("/proc/self/mountinfo").splitlines():
        point = line.split(b" ", 5)[4]
        if b"\\" in point:
            for code in (b"040", b"011", b"012", b"134"):
                point = point.replace(b"\\" + code, bytes([int(code, 8)]))
        points.append(os.fsdecode(point))
    result = set()
    for path in paths:
        real = os.path.realpath(path)
        above = [one for one in points if one == "/" or (real + "/").startswith(one + "/")]
        if not above:  # the root directory is that of a chroot(2), which is no mount point
            raise OSError(22, "the root directory is no mount point (chroot)", real)
        result.add(max(above, key=len))
    return result


def private_mounts(context: Context) -> None:
    """A new mount namespace for one container. Raises NamespaceError."""
    cwd, path = _working_directory()
    try:
        _clean_mounts(context)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        _go_back(cwd, path)
    except OSError as error:
        raise NamespaceError(
            f"cannot set up the mount namespace: {error.filename or 'unshare'}: {reason(error)}"
        ) from None
    finally:
        if cwd >= 0:
            os.close(cwd)


def _working_directory() -> tuple[int, str]:
    """Where we are, as a descriptor and by name, for ``_go_back``: setns(2) leaves us in "/".

    -1, and then we are in "/", where it is gone, or not ours to enter (sudo -u USER in /root).
    """
    try:
        cwd = os.open(".", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        os.chdir("/")
        return -1, ""
    try:
        return cwd, os.getcwd()
    except OSError:
        return cwd, ""  # it has been removed, or has no name here


def _go_back(cwd: int, path: str) -> None:
    """To the same directory by this mount namespace's own mounts: on the earlier one's, getcwd(3) finds no way up
    if it lies on another file system than "/".

    Where it has no such name here, the descriptor leads there. Raises OSError.
    """
    if cwd < 0:
        return
    try:
        os.chdir(path)
        if os.path.samestat(os.stat("."), os.fstat(cwd)):
            return
    except OSError:
        pass  # a directory above may not be ours to pass
    os.fchdir(cwd)


def join_mounts(context: Context, pid: int, started: int) -> bool:
    """Join the mount namespace of a monitor, to see the mounts of its container. False if it is gone."""
    cwd, path = _working_directory()
    fd = -1
    try:
        _clean_mounts(context)
        fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        if not proc.alive(pid, started):
            return False
        syscalls.setns(fd, syscalls.CLONE_NEWNS)
        return True
    except OSError:
        return False
    finally:
        _go_back(cwd, path)
        if cwd >= 0:
            os.close(cwd)
        if fd >= 0:
            os.close(fd)
