"""--dry-run: what a start would change, noted instead of done."""

from __future__ import annotations

import os

from pypod.base.record import record
from pypod.engine import rootfs
from pypod.engine.deeds import Deeds
from pypod.linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine import config as config_types
    from pypod.engine.config import ContainerConfig
    from pypod.engine.container import Container, State
    from pypod.engine.context import Context
    from pypod.engine.users import User
    from storage.overlay_mount import Plan
    from storage.records import Image
    from storage.store import Store


@record
class Action:
    """Something that would be done: a verb, what kind of thing it is done to, and which one."""

    do: str
    what: str
    name: str


@record
class Mount:
    """A mount that we would make, in mount(8)'s terms.

    ``lower`` (nearest first), ``upper`` and ``work`` are an overlay's. ``program`` makes it, if not the kernel.
    """

    type: str
    source: str
    target: str
    options: list[str] = []
    lower: list[str] = []
    upper: str = ""
    work: str = ""
    program: str = ""


class Noted(Deeds):
    """See ``Deeds``. ``image`` is the container's, None with --rootfs."""

    def __init__(self, store: Store, image: Image | None, unmade: Sequence[str]) -> None:
        self.store = store
        self.image_below = image
        self.unmade = unmade
        self.writable = False  # the root file system has an upper directory of its own
        self.actions: list[Action] = []
        self.mounts: list[Mount] = []
        self.files: dict[str, bytes] = {}
        self.started: set[str] = set()  # ids of containers that would have been started before

    def note(self, do: str, what: str, name: str) -> None:
        self.actions.append(Action(do=do, what=what, name=name))

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        self.files[path] = data
        self.note("write", "file", path)

    def shm(self, target: str, size: int) -> None:
        options = ["nosuid", "nodev", "noexec", "mode=1777", f"size={size}"]
        self.mounts.append(Mount(type="tmpfs", source="shm", target=target, options=options))

    def shared_shm(self, other: Container, target: str) -> None:
        """The /dev/shm of a container whose IPC namespace is joined, taken along."""
        config = other.config
        if config.shm_size and config.ipc.mode in ("private", "shareable"):
            self.mounts.append(Mount(type="bind", source=other.rundir + "/shm", target=target, options=["bind"]))

    def pod_cgroup(self, context: Context, pod: str) -> None:
        self.note("make", "cgroup of pod", pod)

    def layer(self, store: Store, config: ContainerConfig) -> str:
        assert self.image_below is not None
        self.writable = True
        if store.driver == "vfs":
            path = store.files_path(store.home, config.layer)
            self.note("copy", "image's files to", path)
            return path
        from storage import mounting

        planned, idmapped = mounting.plan_new(
            store,
            config.layer,
            self.image_below,
            volatile=config.auto_remove,
            uid_map=config.uid_map,
            gid_map=config.gid_map,
        )
        self._overlay(planned, idmapped)
        return planned.target

    def _overlay(self, planned: Plan, idmapped: Sequence[tuple[str, str]] = ()) -> None:
        for source, target in idmapped:
            self.mounts.append(Mount(type="bind", source=source, target=target, options=["bind", "idmap"]))
        options = [*planned.flags, *(word for word in planned.mountopt.split(",") if word)]
        self.mounts.append(
            Mount(
                type="overlay",
                source="overlay",
                target=planned.target,
                options=options if planned.upper else [*options, "ro"],
                lower=planned.lower,
                upper=planned.upper,
                work=planned.work,
                program=planned.program,
            )
        )

    def over(self, planned: Plan) -> None:
        self.writable = True
        self._overlay(planned)

    def image(self, store: Store, image: Image, target: str, config: ContainerConfig) -> None:
        if store.driver == "vfs":
            source = store.diff_directory(image.layer)
            self.mounts.append(Mount(type="bind", source=source, target=target, options=["bind", "ro"]))
            return
        from storage import mounting

        _, planned, idmapped = mounting.plan(store, image.layer, False, True, target, config.uid_map)
        self._overlay(planned, idmapped)

    def part(self, config: ContainerConfig, item: config_types.Mount, target: str) -> None:
        source = f"{item.source}/{item.subpath}"
        self.mounts.append(Mount(type="bind", source=source, target=target, options=["rbind"]))

    def root(self, path: str) -> int:
        if self.image_below is not None:
            from storage import mounting

            return mounting.view(self.store, self.image_below)
        return rootfs.open_root(self.mounts[-1].lower[0] if self._is_overlay(path) else path)

    def _is_overlay(self, path: str) -> bool:
        return any(mount.target == path for mount in self.mounts)

    def has_file(self, other: Container, name: str) -> bool:
        from pypod.engine import netconfig

        return netconfig.gets(other.config, name) if other.id in self.started else super().has_file(other, name)

    def has(self, path: str) -> bool:
        return self._is_overlay(path) or super().has(path)

    def let_through(self, places: Sequence[str]) -> None:
        """Modes of directories above: nothing to tell of."""

    def append(self, root: int, path: str, addition: bytes) -> bool:
        """Whether it can be written is asked of what is there now."""
        kind = 0o100000
        try:
            try:
                fd = syscalls.openat2(root, path.lstrip("/"), os.O_PATH)
            except FileNotFoundError:
                kind = 0o040000  # it will be made, if there is a directory for it
                fd = syscalls.openat2(root, os.path.dirname(path).lstrip("/"), os.O_PATH)
        except OSError:
            return False
        try:
            if os.fstat(fd).st_mode & 0o170000 != kind:
                return False
            if not self.writable and not os.access(f"/proc/self/fd/{fd}", os.W_OK):
                return False
        finally:
            os.close(fd)
        self.note("add lines to", "the container's file", path)
        return True

    def directory(self, root: int, path: str, uid: int, gid: int) -> None:
        self.note("make", "the container's directory", path)

    def fill(self, context: Context, config: ContainerConfig, root: int, user: User) -> None:
        from pypod.engine import volumes
        from pypod.errors import NoSuchVolume

        for mount in config.mounts:
            if mount.type == "volume":
                try:
                    wanted = volumes.load(context, mount.name).needs_copy_up
                except NoSuchVolume:
                    wanted = True
                if wanted and mount.copy and rootfs.is_directory(root, mount.destination):
                    self.note("fill from the image", "volume", mount.name)
            if mount.chown and mount.type in ("bind", "volume"):
                self.note("give to the container's user", "directory", mount.source)

    def add_name(self, path: str, name: str) -> None:
        self.note("add the container's name to", "file", path)

    def running(self, container: Container, state: State, kind: str) -> str:
        if container.id not in self.started:
            return super().running(container, state, kind)
        return f"/proc/PID-of-{container.name}"

    def start(self, container: Container) -> None:
        """A container that this one needs."""
        self.started.add(container.id)
        self.note("start", "container", container.name)
