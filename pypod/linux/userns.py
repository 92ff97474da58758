"""Enter a user namespace of one's own: in process, without starting the interpreter again."""

from __future__ import annotations

import os

from pypod.base import process
from pypod.errors import NamespaceError, reason
from pypod.linux import idmap, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def _helper(name: str) -> str:
    path = process.find(name)
    if path is None:
        raise NamespaceError(
            f"cannot set up the user namespace: {name} is not installed", hint="apt-get install uidmap"
        )
    return path


def _words(helper: str, ranges: Sequence[idmap.Range]) -> list[str]:
    words = [helper, str(os.getpid())]
    for item in ranges:
        words += [str(item.inside), str(item.outside), str(item.count)]
    return words


def create(uid_ranges: Sequence[idmap.Range], gid_ranges: Sequence[idmap.Range]) -> None:
    """unshare(2) this process into a new user and mount namespace with these maps; it is root in there.

    The process must be single-threaded. newuidmap(1) and newgidmap(1) write the maps at the same time.
    Raises NamespaceError.
    """
    commands = [_words(_helper("newuidmap"), uid_ranges), _words(_helper("newgidmap"), gid_ranges)]
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    helpers = []
    try:
        for argv in commands:
            go_read, go_write = os.pipe2(os.O_CLOEXEC)
            pid = syscalls.prepare_helper(argv, go_fd=go_read, close_fd=go_write, err_fd=err_write)
            os.close(go_read)
            helpers.append((argv[0], pid, go_write))
        os.close(err_write)
        err_write = -1
        failure: OSError | None = None
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        except OSError as error:
            failure = error
        failed = ""
        for _, _, go_write in helpers:
            if failure is None:
                os.write(go_write, b"g")
            os.close(go_write)
        for argv0, pid, _ in helpers:
            if process.wait(pid) and failure is None and not failed:
                failed = argv0
        if failure is not None:
            raise NamespaceError(
                f"cannot create a user namespace: {reason(failure)}",
                hint="is user.max_user_namespaces 0, kernel.unprivileged_userns_clone 0, or does AppArmor restrict"
                " unprivileged user namespaces?",
            )
        if failed:
            said = os.read(err_read, 4096).decode("utf-8", "replace").strip()
            raise NamespaceError(
                f"cannot map the user namespace: {os.path.basename(failed)}: {said or 'failed'}",
                hint="check this user's ranges in /etc/subuid and /etc/subgid, and that newuidmap and newgidmap are"
                " set-uid root",
            )
    finally:
        os.close(err_read)
        if err_write >= 0:
            os.close(err_write)


_NS_GET_PARENT = 0xB702  # ioctl_ns(2)


def join(pid: int, started: int, *, parent: bool = False) -> bool:
    """Join the user namespace of a process, or that one's ``parent``.

    False if that process is gone or its namespace is not ours to join.
    """
    from pypod.linux import proc

    try:
        fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # The descriptor pins the namespace; only now is it known whose it is.
        if not proc.alive(pid, started):
            return False
        if parent:
            import fcntl

            inner = fd
            fd = fcntl.ioctl(inner, _NS_GET_PARENT)
            os.close(inner)
        syscalls.setns(fd, syscalls.CLONE_NEWUSER)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
