"""What a start changes on the host, one method per kind of change.

What a start works out depends on what it has just mounted, so planning and doing go hand in hand. All that is changed
up to the monitor goes through ``Deeds``: --dry-run takes the very same way with ``dry_deeds.Noted``, which changes
nothing and notes it. Whatever reads what a deed has made asks here too (``root``, ``has``, ``running``).
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.engine import rootfs
from pypod.errors import BadState
from pypod.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.config import ContainerConfig, Mount
    from pypod.engine.container import Container, State
    from pypod.engine.context import Context
    from pypod.engine.users import User
    from storage.overlay_mount import Plan
    from storage.records import Image
    from storage.store import Store


class Deeds:
    """Each is done at once. Raises OSError, unless another error is named."""

    unmade: Sequence[str] = ()  # the directories of volumes that would have to be made first

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """A file of ours, whole."""
        files.replace(path, data, mode=mode)

    def shm(self, target: str, size: int) -> None:
        """The tmpfs that becomes /dev/shm; ``size`` in bytes."""
        files.make_directory(target)
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("shm", target, "tmpfs", flags, f"mode=1777,size={size}")

    def pod_cgroup(self, context: Context, pod: str) -> None:
        """The cgroup of a pod, for its infra container."""
        from pypod.engine import pod_cgroup

        pod_cgroup.apply(context, pod)

    def layer(self, store: Store, config: ContainerConfig) -> str:
        """The container's layer; where it is mounted. Raises StorageError."""
        return store.mount(config.layer, volatile=config.auto_remove, uid_map=config.uid_map, gid_map=config.gid_map)

    def over(self, planned: Plan) -> None:
        """An overlay of a directory: writes are gone with the container's end. Raises StorageError."""
        from storage import overlay_mount

        files.remove_tree(os.path.dirname(planned.upper))
        for path in (planned.upper, planned.work, planned.target):
            files.make_directory(path)
        os.chmod(planned.upper, os.stat(planned.lower[0]).st_mode & 0o7777)
        overlay_mount.mount_over(planned)

    def image(self, store: Store, image: Image, target: str, config: ContainerConfig) -> None:
        """An image's files, read-only. Raises StorageError."""
        files.make_directory(target)
        store.mount(image.layer, read_only=True, target=target, uid_map=config.uid_map, gid_map=config.gid_map)

    def part(self, config: ContainerConfig, item: Mount, target: str) -> None:
        """A path inside a volume or host directory, mounted at ``target``."""
        from pypod.engine import subpaths

        subpaths.mount(config, item, target)

    def root(self, path: str) -> int:
        """A descriptor of the root file system that is mounted at ``path``."""
        return rootfs.open_root(path)

    def has(self, path: str) -> bool:
        """Whether there is such a directory by now."""
        return os.path.isdir(path)

    def has_file(self, other: Container, name: str) -> bool:
        """Whether another container has a file of that name in its run directory."""
        return os.path.exists(f"{other.rundir}/{name}")

    def let_through(self, places: Sequence[str]) -> None:
        """Let the container's root pass through the directories above its files: ours, but its ids do not have us.

        Search permission alone, and only what is ours to change; podman does the same.
        """
        for place in places:
            path = place
            while path not in ("/", ""):
                try:
                    mode = os.stat(path).st_mode
                    if not mode & 0o001:
                        os.chmod(path, mode & 0o7777 | 0o011)
                except OSError:
                    break  # not ours: the runtime will say what cannot be reached
                path = os.path.dirname(path)

    def append(self, root: int, path: str, addition: bytes) -> bool:
        """Add lines to a file of the root file system; False where that cannot be written."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        try:
            fd = syscalls.openat2(root, path.lstrip("/"), flags, mode=0o644)
        except OSError:
            return False  # no /etc, a read-only --rootfs, a file that is something else
        try:
            if os.fstat(fd).st_mode & 0o170000 != 0o100000:
                return False
            files.write_all(fd, addition)
            return True
        except OSError:
            return False  # a full or read-only file system
        finally:
            os.close(fd)

    def directory(self, root: int, path: str, uid: int, gid: int) -> None:
        """A directory of the root file system, with those above it."""
        rootfs.make_directory(root, path, uid=uid, gid=gid)

    def fill(self, context: Context, config: ContainerConfig, root: int, user: User) -> None:
        """Volumes get what the image has at their places. Raises PypodError."""
        from pypod.engine import volume_fill

        volume_fill.fill(context, config, root, user)

    def add_name(self, path: str, name: str) -> None:
        """A member's name in the hosts file of its pod."""
        from pypod.engine import pod_infra

        pod_infra.add_name(path, name)

    def running(self, container: Container, state: State, kind: str) -> str:
        """/proc/PID of a container whose namespace of this kind is to be joined. Raises BadState."""
        if state.status not in ("running", "paused"):
            raise BadState(
                f"cannot join {kind} namespace of container {container.id} as it is not running: container state"
                " improper"
            )
        return f"/proc/{state.pid}"


DEEDS = Deeds()
