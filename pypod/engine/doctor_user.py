"""What rootless containers need of the user's account, and of the kernel for it (user_namespaces(7), subuid(5))."""

from __future__ import annotations

import os

from pypod.engine.doctor import bad, fine, number, skip, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pypod.engine.doctor import Finding, User

_LEAST_IDS = 65536  # as many as images use
_PERSIST = "echo {0}={1} | sudo tee /etc/sysctl.d/90-pypod.conf && sudo sysctl --system"


def runtime_directory(user: User) -> Iterator[Finding]:
    """XDG_RUNTIME_DIR (file-hierarchy(7))."""
    check = "runtime-directory"
    if not user.rootless:
        return
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    usual = f"/run/user/{user.uid}"
    if not given:
        if os.path.isdir(usual):
            yield fine(check, f"XDG_RUNTIME_DIR is not set, {usual} is used")
        else:
            message = f"XDG_RUNTIME_DIR is not set and there is no {usual}: containers are not known after a reboot"
            yield warn(check, message, f"sudo loginctl enable-linger {user.name}")
        return
    problem = _unusable(given, user.uid)
    if problem:
        yield bad(check, f"XDG_RUNTIME_DIR {given} {problem}", f"export XDG_RUNTIME_DIR={usual}")
    else:
        yield fine(check, f"XDG_RUNTIME_DIR is {given}")


def _unusable(path: str, uid: int) -> str:
    try:
        found = os.stat(path)
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    if found.st_mode & 0o170000 != 0o040000:
        return "is not a directory"
    if found.st_uid not in (uid, os.geteuid()):
        return "belongs to another user, as after su or sudo"
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return "cannot be written to"
    return ""


def linger(user: User) -> Iterator[Finding]:
    """Whether the user's services, and so the containers, outlive the session (loginctl(1))."""
    if not user.rootless or not os.path.isdir("/run/systemd/system"):
        return
    if os.path.exists(f"/var/lib/systemd/linger/{user.name}"):
        yield fine("linger", "containers outlive the session")
    else:
        message = "systemd ends what you run when your last session ends, containers too"
        yield warn("linger", message, f"sudo loginctl enable-linger {user.name}")


def subordinate_ids(user: User) -> Iterator[Finding]:
    """/etc/subuid and /etc/subgid: enough ids, and nobody else's."""
    from pypod.linux import idmap

    if not user.rootless:
        return
    for check, path, flag in (
        ("subuid", "/etc/subuid", "--add-subuids"),
        ("subgid", "/etc/subgid", "--add-subgids"),
    ):
        ranges = idmap.subordinate(path, user.name, user.uid)
        count = sum(size for _, size in ranges)
        first = _free(path)
        cure = f"sudo usermod {flag} {first}-{first + _LEAST_IDS - 1} {user.name}"
        stranger = _shared(path, user, ranges)
        if not ranges:
            yield bad(check, f"{path} has no range for {user.name}", cure)
        elif count < _LEAST_IDS:
            message = f"{path} gives {user.name} {count} ids: images with ids up to {_LEAST_IDS - 1} cannot be used"
            yield warn(check, message, cure)
        elif stranger:
            message = f"{path} gives ids of {user.name} to {stranger} too: containers are not kept apart"
            yield warn(check, message, f"sudoedit {path}")
        else:
            yield fine(check, f"{count} ids in {path}")


def _entries(path: str) -> list[tuple[str, int, int]]:
    from pypod.base import files

    try:
        lines = files.read(path).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        owner, _, rest = line.strip().partition(":")
        first, _, count = rest.partition(":")
        if first.isdecimal() and count.isdecimal():
            found.append((owner, int(first), int(count)))
    return found


def _free(path: str) -> int:
    """The first id behind all ranges, as useradd(8) deals them out."""
    return max([100000, *(first + count for _, first, count in _entries(path))])


def _shared(path: str, user: User, mine: list[tuple[int, int]]) -> str:
    for owner, first, count in _entries(path):
        if owner not in (user.name, str(user.uid)) and any(
            first < begin + size and begin < first + count for begin, size in mine
        ):
            return owner
    return ""


def id_map_programs(user: User) -> Iterator[Finding]:
    """newuidmap(1), newgidmap(1): there, and with the right to map."""
    from pypod.base import process

    if not user.rootless:
        return
    for name, capability in (("newuidmap", "cap_setuid"), ("newgidmap", "cap_setgid")):
        path = process.find(name)
        if path is None:
            yield bad(name, f"{name} is not installed", "sudo apt-get install uidmap")
            continue
        found = os.stat(path)
        privileged = found.st_uid == 0 and found.st_mode & 0o4000
        if not privileged:
            try:
                privileged = bool(os.getxattr(path, "security.capability"))
            except OSError:
                privileged = 0
        if not privileged:
            message = f"{path} may not map ids: it is neither set-uid root nor has it {capability}"
            yield bad(name, message, f"sudo chown root {path} && sudo chmod u+s {path}")
        elif os.statvfs(path).f_flag & os.ST_NOSUID:
            message = f"{path} lies on a file system that is mounted nosuid"
            yield bad(name, message, f"sudo mount -o remount,suid {_mount_point(path)}")
        else:
            yield fine(name, path)


def _mount_point(path: str) -> str:
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


def user_namespaces(user: User) -> Iterator[Finding]:
    """The switches that turn user namespaces off, and whether one can be made."""
    from pypod.engine.doctor import attempt
    from pypod.linux import syscalls

    check = "user-namespaces"
    if not user.rootless:
        return
    from pypod.engine.context import in_namespace

    if in_namespace():
        yield skip(check, "this is inside the user namespace already")
        return
    for path, off, name, good in (
        ("/proc/sys/user/max_user_namespaces", 0, "user.max_user_namespaces", 28633),
        ("/proc/sys/kernel/unprivileged_userns_clone", 0, "kernel.unprivileged_userns_clone", 1),
    ):
        if number(path) == off:
            yield bad(check, f"{name} is {off}", _PERSIST.format(name, good))
            return
    failure = attempt(lambda: syscalls.unshare(syscalls.CLONE_NEWUSER))
    if failure is not None:
        yield bad(check, f"cannot make a user namespace: {failure.message}", failure.hint)
        return
    name = "kernel.apparmor_restrict_unprivileged_userns"
    if number("/proc/sys/" + name.replace(".", "/")) == 1:
        message = f"{name} is 1: AppArmor takes the rights away that containers need in a user namespace"
        yield bad(check, message, _PERSIST.format(name, 0))
        return
    yield fine(check, "can be made")


CHECKS: tuple[Callable[[User], Iterator[Finding]], ...] = (
    runtime_directory,
    linger,
    subordinate_ids,
    id_map_programs,
    user_namespaces,
)
