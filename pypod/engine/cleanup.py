"""What is left to do when a container's process has ended. Idempotent, and done from what is on disk alone.

Three may want to do it: the CLI that is attached or that stopped the container, the monitor's exit command, and any
later CLI that finds that both have died. The container's lock lets one in; the others find nothing to do.
"""

from __future__ import annotations

import os
import time

from conmon import exits
from pypod.base import files
from pypod.base.locks import FileLock
from pypod.base.record import replace
from pypod.engine import ended, events, rootless, runtimes
from pypod.engine.container import Container, State, observe, read_exit_file, save_state, stored_state
from pypod.errors import BadState, PypodError
from pypod.linux import proc, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store


_NEWS_MS = 5000  # for the monitor to say how it ended
_LOOK_MS = 50  # between two looks whether somebody else has cleaned up
_told: set[tuple[str, int]] = set()  # whose end this process has told


class ExitLock:
    """``exit.lock``: while somebody holds it the monitor does not start its exit command, the clean-up is his.

    The kernel drops it with its holder, and only then must the exit command do the work. ``done`` tells the monitor
    that nothing is left to do.
    """

    def __init__(self, container: Container) -> None:
        self.lock = FileLock(container.rundir + "/exit.lock")

    def acquire(self, *, blocking: bool = False) -> bool:
        """False if another process cleans up."""
        try:
            return self.lock.acquire(blocking=blocking)
        except FileNotFoundError:
            return False  # its directory is gone, the container with it

    @property
    def held(self) -> bool:
        return self.lock.fd >= 0

    def done(self) -> None:
        if self.held:
            os.pwrite(self.lock.fd, b"done", 0)
            self.lock.release()

    def release(self) -> None:
        self.lock.release()


def goes(container: Container, state: State) -> bool:
    """Whether a container that has ended is to be removed now (--rm).

    Not one that was checkpointed: until its archive is written, it is in no other place.
    """
    return container.config.auto_remove and not state.checkpointed


def finish(context: Context, store: Store, container: Container) -> State:
    """Record how the container ended and undo what its start made. The caller holds its lock and is in its namespace.

    Raises BadState if it still runs. Returns the final state.
    """
    before = stored_state(container)
    if not before.live:
        return before
    state = observe(container)
    if state.live:
        raise BadState(
            f"container {container.id} is {state.status}: container state improper",
            hint=f"pypod stop {container.name}",
        )
    if not before.pid:
        end_half_made(container)
    if before.pid and (container.id, before.pid) not in _told:
        # Of a --rm container nothing is written down: the same end may come by here twice.
        _told.add((container.id, before.pid))
        if state.oom_killed:
            events.container(context, container, "oom")
        events.container(context, container, "died", exit_code=state.exit_code)
    problems = undo(context, store, container, before, ended=before.pid != 0)
    # Sessions whose keepers were killed: with the container the processes have ended, too.
    files.remove_tree(container.rundir + "/exec")
    final = replace(
        state,
        pid=0,
        conmon_pid=0,
        network={},
        health_timer="",
        error=state.error or "; ".join(problems),
        unclean=False,
    )
    if final.status == "created":
        files.remove_tree(container.userdata + "/config.json")
    if not goes(container, final):
        if container.config.restarts:
            # The next start overwrites what is known of this end, and somebody may be about to ask.
            ended.note(context, container.id, final.exit_code)
        save_state(container, final)
        files.remove_tree(container.exit_file)
        events.container(context, container, "cleanup")
    if container.config.pod and not container.config.infra:
        from pypod.engine import pod_exit

        pod_exit.member_ended(context, store, container, final)
    return final


def end_half_made(container: Container) -> None:
    """A CLI was stopped between starting the monitor and hearing of the container's process: end the monitor.

    Its command line is all that is known of it. Its runtime goes with it, which would go on to make directories
    below the root file system's path after that has been removed.
    """
    quiet = 0
    for _ in range(200):
        doomed = _starters(container)
        for pid in doomed:
            try:
                os.kill(pid, 9)
            except OSError:
                continue
        # One that forked during the look and ended is not seen, nor its child: a single empty look proves nothing.
        quiet = 0 if doomed else quiet + 1
        if quiet == 2:
            return
        time.sleep(0.005)


def _starters(container: Container) -> list[int]:
    """The processes of a monitor that starts this container, and of its runtime."""
    id = f"\0{container.id}\0".encode()
    layer = container.config.layer.encode()
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getppid() and proc.start_time(int(name)):
            try:
                line = files.read(f"/proc/{name}/cmdline")
            except OSError:
                continue
            if id in line and (b"\0-c" + id in line or (b"\0create\0" in line and b"\0--bundle\0" in line)):
                found += [int(name), *proc.descendants(int(name))]
            elif layer and line.endswith(b"\0init\0") and _sees(name, layer):
                # runc's child, orphaned by the death of both: only its mounts tell whose it is.
                found.append(int(name))
    return found


def _sees(pid: str, layer: bytes) -> bool:
    try:
        return layer in files.read(f"/proc/{pid}/mountinfo")
    except OSError:
        return False


def undo(context: Context, store: Store, container: Container, state: State, *, ended: bool) -> list[str]:
    """Health checks, network, the runtime's record and mounts come to an end. What fails is reported, not raised.

    Unless the container is known to have ``ended``, the runtime's delete kills what is left of it.
    """
    problems = []
    if state.health_timer:
        from pypod.engine import health_timer

        health_timer.disarm(context, state)
    if state.network:
        from pypod.network import teardown

        try:
            teardown(state.network)
        except PypodError as error:
            problems.append(error.message)
    # The runtime's delete and our unmounting do not need each other; the runtime is the slower one.
    deleting = 0
    try:
        runtime = runtimes.of(context, container, state.runtime, state.cgroup_manager)
        if not ended or not runtime.forget(container.id):
            deleting = runtime.start_delete(container.id)
    except (PypodError, OSError) as error:
        problems.append(str(error))
    unmount(store, container)
    if deleting:
        runtime.finish_delete(deleting)
    rootless.forget(context, state.conmon_pid, state.conmon_start)
    return problems


def unmount(store: Store, container: Container) -> None:
    """Detach what this mount namespace has of the container; in another one there is nothing to do."""
    if container.config.layer:
        try:
            store.unmount(container.config.layer)
        except (PypodError, OSError):
            pass
    mounts = list(enumerate(container.config.mounts))
    images = [f"image{number}" for number, item in mounts if item.type == "image"]
    parts = [f"subpath{number}" for number, item in mounts if item.subpath]
    for name in ("shm", "rootfs", *images, *parts):
        try:
            syscalls.umount(f"{container.rundir}/{name}", syscalls.MNT_DETACH)
        except OSError:
            pass


def enter(context: Context, state: State) -> None:
    """Enter the namespaces in which a live container's mounts are, if its monitor lives; else the user namespace.

    The exit command, which the monitor starts, is there already, also when nobody has noted the monitor: what hides
    other containers' mounts would hide those that are to be taken away.
    """
    rootless.enter_user(context)
    if state.conmon_pid not in (0, os.getppid()):
        rootless.join_mounts(context, state.conmon_pid, state.conmon_start)


def wait_for_end(container: Container, state: State, timeout_ms: int | None = None) -> bool:
    """Block until the container's process and the news of its end are there. False when the time is up."""
    if not _wait_pid(state.pid, state.pid_start, timeout_ms):
        return False
    # The monitor writes the exit file within a millisecond or so; if it was killed there will be none.
    for _ in range(_NEWS_MS // _LOOK_MS):
        if read_exit_file(container) is not None or not proc.alive(state.conmon_pid, state.conmon_start):
            break
        fresh = stored_state(container)
        if not fresh.live or fresh.pid != state.pid:
            break  # somebody has cleaned up, and the file is gone again
        try:
            exits.wait(container.exit_file, state.conmon_pid, state.conmon_start, timeout_ms=_LOOK_MS)
        except OSError:
            time.sleep(_LOOK_MS / 1000)  # no room for another inotify instance
    return True


def _wait_pid(pid: int, started: int, timeout_ms: int | None) -> bool:
    import select

    if not proc.alive(pid, started):
        return True
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        if not proc.alive(pid, started):
            return True
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(timeout_ms))
    finally:
        os.close(fd)
