"""A container's root directory as a descriptor, for cp, diff and whatever looks inside."""

from __future__ import annotations

import os

from pypod.engine import cleanup, rootless
from pypod.engine.container import observe
from pypod.errors import PypodError, StorageError, reason
from pypod.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from pypod.engine.container import Container, State
    from pypod.engine.context import Context
    from storage.store import Store


class Root:
    """The root directory of a container for the length of a ``with`` block, as ``fd``.

    Of a running container it is that of its first process, volumes and all; of another one the layer is mounted in
    a namespace of ours, under the container's lock. Entering this enters the user namespace. ``bare`` is the
    container's own file system alone, running or not: of what is mounted in it, only the mount points are seen.
    """

    def __init__(self, context: Context, store: Store, container: Container, *, bare: bool = False) -> None:
        self._bare = bare
        self.context = context
        self.store = store
        self.container = container
        self.fd = -1
        self.running = False
        self._lock = container.lock
        self._mounted = False
        # The namespace with the mounts: another Root of this process enters one of its own, and a namespace that
        # nobody holds takes its mounts along.
        self._namespace = -1

    def __enter__(self) -> Root:
        if self._enter_live():
            return self
        self._lock.acquire()
        try:
            # It may have been started while we waited, and its upper directory must not be mounted twice.
            if self._enter_live():
                self._lock.release()
                return self
            state = observe(self.container)
            if state.unclean:
                cleanup.enter(self.context, state)
                cleanup.finish(self.context, self.store, self.container)
            rootless.enter(self.context)
            self._namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            path = self.container.config.rootfs
            if not path:
                path = self.store.mount(
                    self.container.record.layer,
                    uid_map=self.container.config.uid_map,
                    gid_map=self.container.config.gid_map,
                )
                self._mounted = True
            self._open(path)
        except BaseException:
            self._leave()
            raise
        return self

    def _enter_live(self) -> bool:
        state = observe(self.container)
        if not state.live:
            return False
        rootless.enter_user(self.context)
        try:
            if self._bare:
                self._open_bare(state)
            else:
                self._open(f"/proc/{state.pid}/root")
        except StorageError:
            if proc.alive(state.pid, state.pid_start):
                raise
            return False
        if not proc.alive(state.pid, state.pid_start):
            # It has ended meanwhile: what was opened may be another process's.
            os.close(self.fd)
            self.fd = -1
            return False
        self.running = True
        return True

    def _open_bare(self, state: State) -> None:
        """The layer as the monitor has it mounted, where the container's mounts are not."""
        container = self.container
        if container.config.rootfs and not container.config.rootfs_overlay:
            self._open(container.config.rootfs)
            return
        if self.store.driver == "vfs" and not container.config.rootfs:
            self._open(self.store.diff_directory(container.record.layer))
            return
        where = (
            f"{container.rundir}/rootfs"
            if container.config.rootfs
            else f"{self.store.home}/{container.record.layer}/merged"
        )
        rootless.enter(self.context)
        if not rootless.join_mounts(self.context, state.conmon_pid, state.conmon_start):
            raise StorageError(
                f"cannot look into container {container.name}: its monitor is gone, which holds its file system",
                hint="stop the container first",
            )
        try:
            self._open(where)
        finally:
            rootless.private_mounts(self.context)

    def _open(self, path: str) -> None:
        try:
            self.fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"cannot look into container {self.container.name}: {reason(error)}") from None

    def _leave(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self._mounted:
            try:
                self.store.unmount(self.container.record.layer)
            except PypodError:
                pass  # the mount goes with this process's namespace
        if self._namespace >= 0:
            os.close(self._namespace)
            self._namespace = -1
        self._lock.release()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
