"""What a killed ``create`` or ``rm`` has begun, so that the next one can take it away.

A container's directories exist before its record does, and after it. While it is being made or removed, a file
``<tmpdir>/creating/ID.LAYER.PID.START`` says so; one whose process is gone names leftovers that no record owns.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.errors import PypodError
from pypod.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.context import Context
    from storage.store import Store


def entry(context: Context, container_id: str, layer_id: str) -> str:
    """The path for ``begin`` and ``end`` of these (``layer_id`` may be "")."""
    pid = os.getpid()
    return f"{context.tmpdir}/creating/{container_id}.{layer_id}.{pid}.{proc.start_time(pid)}"


def begin(path: str) -> None:
    """Note that what ``entry`` was asked for is being made or removed.

    To be called where ``end`` is certain to follow: a signal may raise when the file is there already.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
    except FileNotFoundError:
        files.make_directory(os.path.dirname(path))
        os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))


def making(context: Context) -> set[str]:
    """The ids of the containers and layers that living processes are making or removing."""
    found: set[str] = set()
    directory = context.tmpdir + "/creating"
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        container_id, layer_id, pid, started = (name.split(".") + ["", "", "", ""])[:4]
        if pid.isdecimal() and started.isdecimal() and proc.alive(int(pid), int(started)):
            found |= {container_id, layer_id}
    return found


def end(path: str) -> None:
    """The container has its record, or nothing is left of it."""
    try:
        os.unlink(path)
    except OSError:
        pass


def after_boot(store: Store) -> None:
    """If this is the first use of the store since the machine was started, look whether it went down in order.

    In the user namespace. Costs two reads of small files otherwise.
    """
    try:
        known = files.read(store.graphroot + "/pypod/synced", 36)
    except OSError:
        known = b""
    if known != files.read("/proc/sys/kernel/random/boot_id", 36):
        from pypod.engine import unclean

        unclean.look(store)


def recover(context: Context, store: Store) -> None:
    """Remove what killed creators have left, with the files of the store that they were writing. In the user
    namespace.
    """
    try:
        names = os.listdir(context.tmpdir + "/creating")
    except OSError:
        return
    for name in names:
        container_id, _, rest = name.partition(".")
        layer_id, _, owner = rest.partition(".")
        pid, _, started = owner.partition(".")
        if not pid.isdecimal() or not started.isdecimal() or proc.alive(int(pid), int(started)):
            continue
        from storage.mend import sweep

        try:
            if not any(record.id == container_id for record in store.containers()):
                if layer_id:
                    store.delete_layer(layer_id)
                store.delete_container(container_id)
                files.remove_tree(f"{context.tmpdir}/exits/{container_id}")
            sweep(store)
        except PypodError:
            continue
        end(f"{context.tmpdir}/creating/{name}")
