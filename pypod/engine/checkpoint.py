"""``container checkpoint``: criu, called by the OCI runtime, writes a container's processes to disk.

The files are in ``checkpoint`` below the container's directory, where runc and podman have them; ``pre-checkpoint``
holds the memory that was written ahead. checkpoint_archive.py makes an archive of them, restore.py goes on with them.
"""

from __future__ import annotations

import os
import time

from pypod.base import files, process, times
from pypod.base.record import record, replace
from pypod.engine import cleanup, delete, events, runtimes
from pypod.engine.container import Container, State, observe, save_state, stored_state
from pypod.errors import BadState, NotFound, PypodError, RuntimeFailed, UsageError
from pypod.runtime import criu
from storage import output, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.context import Context
    from storage.store import Store

DIRECTORY, PREVIOUS = "checkpoint", "pre-checkpoint"
DUMP_LOG, RESTORE_LOG = "dump.log", "restore.log"
DUMP_STATISTICS, RESTORE_STATISTICS = "stats-dump", "stats-restore"
SHM = "devshm-checkpoint.tar"


@record
class Wanted:
    """What the flags ask for. ``export``: the archive's path, or ""; ``compress``: zstd, gzip or none."""

    keep: bool = False
    leave_running: bool = False
    tcp_established: bool = False
    file_locks: bool = False
    pre: bool = False
    previous: bool = False
    export: str = ""
    compress: str = "zstd"
    ignore_rootfs: bool = False
    ignore_volumes: bool = False


def check_host(context: Context, what: str) -> None:
    """Raise UsageError, NotFound unless containers can be checkpointed here; ``what`` is the attempt."""
    if context.rootless:
        raise UsageError(f"{what} a container requires root")
    if process.find("criu") is None:
        raise NotFound("checkpoint/restore requires criu: there is none", hint="apt-get install criu")


def check_container(container: Container, tcp_established: bool) -> None:
    """Raise UsageError for what cannot be restored."""
    config = container.config
    if config.pod:
        raise UsageError(f"cannot checkpoint container {container.name}: it belongs to a pod, which is not supported")
    if config.rootfs_overlay:
        raise UsageError(
            f"cannot checkpoint container {container.name}: what it writes is gone with its end (--rootfs :O)"
        )
    if tcp_established and config.network.mode != "host":
        # Its addresses come to the network namespace after the restored process, too late for connections.
        raise UsageError(
            f"cannot checkpoint the connections of container {container.name}: only those of --network=host are"
            " supported"
        )


def runtime_words(*, tcp_established: bool, file_locks: bool) -> list[str]:
    """The flags that the runtime's checkpoint and restore have in common."""
    words = ["--tcp-established"] if tcp_established else []
    words += ["--file-locks"] if file_locks else []
    return words


def empty_network(runtime: str, container: Container) -> list[str]:
    """runc's flag for a network namespace of the container's own: pypod fills it, not criu. crun has none."""
    own = container.config.network.mode not in ("host", "ns", "container")
    return ["--empty-ns", "network"] if own and os.path.basename(runtime) == "runc" else []


def checkpoint(context: Context, store: Store, container: Container, wanted: Wanted) -> dict[str, Any]:
    """Do it; what --print-stats shows of this container. Enters the container's namespaces.

    If criu fails, the container runs on. Raises UsageError, BadState, RuntimeFailed, PypodError.
    """
    _check(container, observe(container), wanted)
    if not wanted.export:
        return _checkpoint(context, store, container, wanted, None)
    # The file first: its path may lead elsewhere in the container's mount namespace.
    with output.File(wanted.export) as file:
        return _checkpoint(context, store, container, wanted, file)


def _check(container: Container, state: State, wanted: Wanted) -> None:
    if state.status != "running":
        raise BadState(f'"{state.status}" is not running, cannot checkpoint: container state improper')
    if container.config.auto_remove and not wanted.export:
        raise UsageError("cannot checkpoint containers that have been started with '--rm' unless '--export' is used")
    check_container(container, wanted.tcp_established)
    if wanted.previous and not os.path.isdir(f"{container.userdata}/{PREVIOUS}"):
        raise BadState(f"container {container.name} has no pre-checkpoint: --pre-checkpoint makes one")


def _checkpoint(
    context: Context, store: Store, container: Container, wanted: Wanted, file: output.File | None
) -> dict[str, Any]:
    goes_on = wanted.pre or wanted.leave_running
    state = observe(container)
    cleanup.enter(context, state)
    exit_lock = cleanup.ExitLock(container)
    try:
        if not goes_on:
            exit_lock.acquire()
        with container.lock:
            state = observe(container)
            _check(container, state, wanted)
            took = _dump(context, container, state, wanted)
            if not goes_on:
                cleanup.wait_for_end(container, state)
                cleanup.finish(context, store, container)
            events.container(context, container, "checkpoint")
            if file is not None:
                from pypod.engine import checkpoint_archive

                checkpoint_archive.write(context, store, container, wanted, file)
            found = criu.statistics(f"{container.userdata}/{DUMP_STATISTICS}")
            if not wanted.keep:
                for name in (DUMP_LOG, DUMP_STATISTICS):
                    files.remove_tree(f"{container.userdata}/{name}")
            if not goes_on and container.config.auto_remove:
                delete.delete(context, store, container)
        exit_lock.done()
    finally:
        exit_lock.release()
    return {"Id": container.id, "runtime_checkpoint_duration": took, "criu_statistics": found}


def _dump(context: Context, container: Container, state: State, wanted: Wanted) -> int:
    """Call the runtime, and note what it has done; microseconds. The caller holds the lock."""
    target = f"{container.userdata}/{PREVIOUS if wanted.pre else DIRECTORY}"
    fresh = target + ".new"  # beside it: a kept checkpoint is there until the next one is whole
    log = f"{container.userdata}/{DUMP_LOG}"
    files.remove_tree(fresh)
    files.remove_tree(log)
    files.make_directory(fresh)
    words = runtime_words(tcp_established=wanted.tcp_established, file_locks=wanted.file_locks)
    words += empty_network(state.runtime, container)
    if wanted.pre:
        words.append("--pre-dump")
    elif wanted.leave_running:
        words.append("--leave-running")
    if wanted.previous:
        words += ["--parent-path", f"../{PREVIOUS}"]
    begin = time.monotonic()
    try:
        runtime = runtimes.of(context, container, state.runtime, state.cgroup_manager)
        runtime.checkpoint(container.id, fresh, container.userdata, words)
    except RuntimeFailed as error:
        files.remove_tree(fresh)
        raise failed("checkpoint", container, error, log) from None
    took = int((time.monotonic() - begin) * 1e6)
    files.remove_tree(target)
    os.rename(fresh, target)
    if wanted.pre:
        return took
    _keep_shm(container)
    if wanted.leave_running:
        return took
    # A restart policy is for containers that end by themselves.
    save_state(
        container,
        replace(
            stored_state(container),
            stopped_by_user=True,
            checkpointed=True,
            checkpointed_at=times.now(),
            checkpoint_log=log if wanted.keep else "",
            checkpoint_path=target,
        ),
    )
    return took


def failed(what: str, container: Container, error: PypodError, log: str) -> PypodError:
    """The error for a runtime whose criu failed, with criu's own words, which are in its log."""
    why = criu.cause(log)
    if "unknown command" in error.message:  # Debian's crun
        return RuntimeFailed(
            f"cannot {what} container {container.name}: its runtime is built without criu: {error.message}",
            hint="make it with --runtime runc",
        )
    said = error.message.partition("\n")[0]  # runc's second line is the path of the log
    return RuntimeFailed(
        f"cannot {what} container {container.name}: {said}" + (f": criu: {why}" if why else ""),
        hint=f"criu's log is {log}" if os.path.exists(log) else "criu check tells what this kernel lacks",
    )


def _keep_shm(container: Container) -> None:
    """/dev/shm is a mount that ends with the container, and no file system of its layer."""
    path = container.rundir + "/shm"
    if not os.path.ismount(path):
        return
    with output.File(f"{container.userdata}/{SHM}") as file, pack.open_tree(path, one_file_system=True) as tree:
        for piece in tree:
            file.write(piece)


def forget(container: Container) -> None:
    """Remove a checkpoint that has been used."""
    for name in (DIRECTORY, PREVIOUS, SHM, DUMP_LOG, DUMP_STATISTICS, RESTORE_LOG, RESTORE_STATISTICS):
        files.remove_tree(f"{container.userdata}/{name}")
