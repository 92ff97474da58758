"""What builds have left: working containers of buildah, and the directories of ``RUN --mount=type=cache``.

buildah removes its working containers itself, also of a build that fails or gets SIGTERM. One that was killed leaves
them, with the process of the RUN that it was at, and nobody else's containers look different; ``build.MARK`` tells
those that pypod has begun, and their build's pid.
"""

from __future__ import annotations

import os
import signal

from pypod.base import fastjson, files
from pypod.engine import image_users
from pypod.engine.build import MARK
from pypod.errors import PypodError, StorageError, reason
from pypod.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.context import Context
    from storage.records import Container
    from storage.store import Store


def of_killed_builds(store: Store) -> list[Container]:
    """The working containers of pypod's builds that are no longer there."""
    found = []
    for item in store.containers():
        builder = _builder(store, item)
        if builder is not None and not proc.alive(*builder):
            found.append(item)
    return found


def of_buildah(store: Store) -> list[Container]:
    """All working containers, but for those of pypod's builds that go on."""
    found = []
    for item in store.containers():
        if image_users.owner(store, item) == "buildah":
            builder = _builder(store, item)
            if builder is None or not proc.alive(*builder):
                found.append(item)
    return found


def end_processes(context: Context, containers: Sequence[Container]) -> None:
    """Kill what still runs in working containers, of which nobody will ever learn how it ends.

    A rootless user's are in buildah's user namespace: to be called outside of our own.
    """
    layers = {item.layer for item in containers if item.layer}
    for pid in _pids() if layers and context.driver == "overlay" else ():
        started = proc.start_time(pid)
        if _root_layer(pid) in layers and proc.alive(pid, started):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue


def remove(store: Store, containers: Sequence[Container]) -> tuple[list[Container], list[PypodError]]:
    """Remove working containers; which are gone, and what went wrong. In the user namespace."""
    gone: list[Container] = []
    problems: list[PypodError] = []
    for item in containers:
        try:
            if store.delete_container(item.id):
                gone.append(item)
        except StorageError as error:
            problems.append(error)
    return gone, problems


def remove_cache() -> None:
    """Remove what RUN --mount=type=cache has kept for later builds. In the user namespace. Raises StorageError."""
    place = os.environ.get("TMPDIR") or "/var/tmp"
    uid = os.environ.get("_CONTAINERS_ROOTLESS_UID") or str(os.getuid())
    for path in (f"{place}/buildah-cache", f"{place}/buildah-cache-{uid}"):  # as up to 1.28, and later
        try:
            # Everybody may write in there: another user's directory, or a link, is not ours to remove.
            if os.lstat(path).st_uid == os.geteuid():
                files.remove_tree(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageError(f"cannot remove {path}: {reason(error)}") from None


def _builder(store: Store, item: Container) -> tuple[int, int] | None:
    """The pid of the build that a container belongs to, and when that started; None if pypod has not begun it."""
    try:
        document = fastjson.loads(files.read(f"{store.container_directory(item.id)}/buildah.json"))
    except (OSError, fastjson.BadJson):
        return None
    options = document.get("CommonBuildOpts") if isinstance(document, dict) else None
    secrets = options.get("Secrets") if isinstance(options, dict) else None
    for secret in secrets if isinstance(secrets, list) else ():
        for word in str(secret).split(","):
            if word.startswith(f"id={MARK}"):
                pid, _, started = word[len(MARK) + 3 :].partition("-")
                if pid.isdecimal() and started.isdecimal():
                    return int(pid), int(started)
    return None


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _root_layer(pid: int) -> str:
    """The layer that a process has as its root directory, by its id; "" for none (proc_pid_mountinfo(5))."""
    try:
        text = files.read(f"/proc/{pid}/mountinfo")
    except OSError:
        return ""
    for line in text.splitlines():
        words = line.split(b" ")
        if len(words) > 4 and words[4] == b"/":
            for option in words[-1].split(b","):
                if option.startswith(b"upperdir="):
                    # …/ID/diff
                    return os.fsdecode(option.rpartition(b"/")[0].rpartition(b"/")[2].removeprefix(b"upperdir="))
    return ""
