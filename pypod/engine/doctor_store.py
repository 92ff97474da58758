"""The configuration files, and the file system that graphroot lies on."""

from __future__ import annotations

import os
import time

from pypod.engine.doctor import attempt, bad, fine, warn, within
from pypod.errors import ConfigError, PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pypod.engine.context import Context
    from pypod.engine.doctor import Finding

_LITTLE, _NOTHING = 2 << 30, 200 << 20  # bytes left: a warning, an error
_YOUNGEST = 1735689600  # 2025-01-01: a clock before that has not been set, and every certificate is "not yet valid"
_REMOTE = {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs", "lustre", "ceph", "glusterfs"}


def configuration(context: Context) -> Iterator[Finding]:
    """containers.conf and storage.conf have been read; the others are read when they are wanted."""
    from pypod.registry import policy_file, registries_conf

    readers: tuple[tuple[str, Callable[[], object]], ...] = (
        ("registries.conf", lambda: registries_conf.load()),
        ("policy.json", lambda: policy_file.read("", context.home)),
    )
    for name, read in readers:
        try:
            read()
        except PypodError as error:
            yield bad("configuration", error.message, error.hint)
            return
        except OSError as error:
            yield bad("configuration", f"cannot read {name}: {error.strerror}")
            return
    yield fine("configuration", "containers.conf, storage.conf, registries.conf and policy.json can be read")


def _existing(path: str) -> str:
    """The path, or the nearest directory above it that is there."""
    while not os.path.isdir(path) and path != "/":
        path = os.path.dirname(path)
    return path


def graphroot(context: Context) -> Iterator[Finding]:
    """May be written to, on a file system that layers can live on."""
    place = _existing(context.graphroot)
    kind, options = file_system(place)
    if not os.access(place, os.W_OK | os.X_OK):
        cure = f"sudo chown -R {context.uid}:{context.gid} {place}" if context.graphroot == place else ""
        yield bad("graphroot", f"{place} cannot be written to", cure)
    elif kind in _REMOTE:
        message = (
            f"{context.graphroot} is on {kind}, which keeps neither owners of subordinate ids nor overlay's marks"
        )
        yield bad("graphroot", message, _elsewhere(context))
    elif "noexec" in options:
        message = f"{context.graphroot} is on a file system that is mounted noexec: containers cannot start programs"
        yield bad("graphroot", message, f"sudo mount -o remount,exec {mount_point(place)}")
    else:
        yield fine("graphroot", f"{context.graphroot} on {kind}")


def _elsewhere(context: Context) -> str:
    """The command that moves the store to a local disk."""
    path = f"{context.home}/.config/containers/storage.conf" if context.rootless else "/etc/containers/storage.conf"
    place = f"/var/tmp/containers-{context.uid}"
    return f"""printf '[storage]\\ndriver = "overlay"\\ngraphroot = "{place}"\\n' > {path}"""


def overlay(context: Context) -> Iterator[Finding]:
    """An overlay mount where the layers are, tried as containers do it."""
    if context.driver != "overlay":
        message = f"the store's driver is {context.driver}: each container is a whole copy of its image"
        yield warn("overlay", message)
        return
    place = _existing(context.graphroot)
    if not os.access(place, os.W_OK | os.X_OK):
        return  # told above
    failure = attempt(lambda: _try_overlay(context, place))
    if failure is None:
        yield fine("overlay", "can be mounted" if not context.mount_program else f"by {context.mount_program}")
    else:
        cure = failure.hint or "sudo apt-get install fuse-overlayfs, and set mount_program in storage.conf"
        yield bad("overlay", f"cannot mount an overlay in {place}: {failure.message}", cure)


def _try_overlay(context: Context, place: str) -> None:
    import shutil
    import tempfile

    from pypod.linux import syscalls

    within(context)
    directory = tempfile.mkdtemp(prefix=".pypod-doctor-", dir=place)
    try:
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(f"{directory}/{name}")
        os.mkdir(f"{directory}/lower/removed")
        options = ",".join(f"{name}dir={directory}/{name}" for name in ("lower", "upper", "work"))
        if context.mount_program:
            from pypod.base import process

            done = process.run([context.mount_program, "-o", options, f"{directory}/merged"])
            if done.status:
                raise ConfigError(f"{context.mount_program}: {done.message}")
        else:
            syscalls.mount("overlay", f"{directory}/merged", "overlay", 0, options + ",userxattr" * context.rootless)
        # A removed directory is where an overlay without the right marks gives itself away.
        os.rmdir(f"{directory}/merged/removed")
        os.mkdir(f"{directory}/merged/removed")
        syscalls.umount(f"{directory}/merged", syscalls.MNT_DETACH)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def space(context: Context) -> Iterator[Finding]:
    """Bytes and inodes that are left where the layers are."""
    found = os.statvfs(_existing(context.graphroot))
    left = found.f_bavail * found.f_frsize
    cure = "pypod image prune -a"
    if left < _LITTLE:
        tell = bad if left < _NOTHING else warn
        yield tell("disk-space", f"{left >> 20} MiB are left for {context.graphroot}", cure)
    elif found.f_files and found.f_favail < 50_000:
        yield warn("disk-space", f"{found.f_favail} inodes are left for {context.graphroot}", cure)
    else:
        yield fine("disk-space", f"{left / (1 << 30):.1f} GiB are left")


def clock(context: Context) -> Iterator[Finding]:
    """The time of day: certificates, tokens and logs depend on it."""
    now = time.time()
    cure = "sudo timedatectl set-ntp true"
    try:
        newest = os.stat(context.graphroot).st_mtime
    except OSError:
        newest = 0
    if now < _YOUNGEST:
        message = f"it is {time.strftime('%Y-%m-%d', time.gmtime(now))} by this machine's clock"
        yield bad("clock", f"{message}: registries' certificates are not valid yet", cure)
    elif newest > now + 60:
        yield warn("clock", "the store was written to in the future: the clock has been set back", cure)
    else:
        yield fine("clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def file_system(path: str) -> tuple[str, list[str]]:
    """The kind and the options of the file system that a path lies on (proc_pid_mountinfo(5))."""
    from pypod.base import files

    best = ("", "unknown", [""])
    point = mount_point(path)
    for line in files.read("/proc/self/mountinfo").decode("utf-8", "replace").splitlines():
        fields = line.split(" ")
        if fields[4] == point:
            best = (point, fields[fields.index("-") + 1], fields[5].split(","))
    return best[1], best[2]


def mount_point(path: str) -> str:
    """Where the file system of a path is mounted."""
    path = os.path.realpath(path)
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


CHECKS = (graphroot, clock, overlay, space)  # a try of overlay writes to graphroot, which the clock's looks at
