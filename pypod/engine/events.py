"""Events: what changed, told to whoever listens. ``events_read`` reads them back.

One line of JSON for each at the end of ``<tmpdir>/events/events.log``, as podman's file backend has it. A full file
becomes ``events.log.1`` in place of the one before. Writers take no lock: a line is one write(2) with O_APPEND, and
who has written to a file that was removed meanwhile writes once more. Nothing depends on an event: what cannot be
written is not.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, files, times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.container import Container
    from pypod.engine.context import Context

JOURNAL = "/run/systemd/journal/socket"
BACKENDS = ("file", "journald", "none")
_LIMIT = 1_000_000  # bytes of both files together (containers.conf: events_logfile_max_size)


def backend(context: Context) -> str:
    """Where events go: file, journald or none. The file stands in for a journal that is not there.

    Raises UsageError for another one.
    """
    chosen = str(context.flags.get("events_backend") or context.engine.get("events_logger") or "file")
    if chosen not in BACKENDS:
        from pypod.errors import UsageError

        raise UsageError(f'configuring runtime: "{chosen}" is not a valid events backend: invalid argument')
    return "file" if chosen == "journald" and not os.path.exists(JOURNAL) else chosen


def log_path(context: Context) -> str:
    """The file backend's file."""
    return str(context.engine.get("events_logfile_path") or context.tmpdir + "/events/events.log")


def container(
    context: Context,
    subject: Container,
    status: str,
    *,
    exit_code: int | None = None,
    health: str = "",
    **attributes: str,
) -> None:
    """Something happened to a container. ``attributes`` come beside its labels."""
    config = subject.config
    more: dict[str, Any] = {"health_status": health} if health else {}
    if config.pod:
        more["PodID"] = config.pod
    more["Attributes"] = {**config.labels, **attributes} if attributes else config.labels
    _emit(context, "container", status, subject.name, id=subject.id, image=config.image, exit_code=exit_code, **more)


def image(context: Context, status: str, id: str, name: str = "") -> None:
    """Something happened to an image. ``name`` is the image's, or that of the archive or registry it went to."""
    _emit(context, "image", status, name, id=id, Attributes=None)


def volume(context: Context, status: str, name: str) -> None:
    """Something happened to a volume."""
    _emit(context, "volume", status, name, Attributes=None)


def network(context: Context, status: str, name: str, id: str = "", container_name: str = "") -> None:
    """A network was made or removed (``id`` is its own), or a container was put on it or taken off."""
    _emit(context, "network", status, container_name or name, id=id, network=name, Attributes=None)


def pod(context: Context, status: str, id: str, name: str) -> None:
    """Something happened to a pod."""
    _emit(context, "pod", status, name, id=id, Attributes=None)


def secret(context: Context, status: str, id: str, name: str) -> None:
    """Something happened to a secret."""
    _emit(context, "secret", status, name, id=id, Attributes=None)


def system(context: Context, status: str, name: str = "") -> None:
    """Something happened to the whole."""
    _emit(context, "system", status, name, Attributes=None)


def _emit(
    context: Context,
    kind: str,
    status: str,
    name: str,
    *,
    id: str = "",
    image: str = "",
    network: str = "",
    exit_code: int | None = None,
    **more: Any,
) -> None:
    where = backend(context)
    if where == "none":
        return
    # The order of podman's keys; what is empty it leaves out.
    event: dict[str, Any] = {} if exit_code is None else {"ContainerExitCode": exit_code}
    for key, value in (("ID", id), ("Image", image), ("Name", name), ("network", network)):
        if value:
            event[key] = value
    event.update({"Status": status, "Time": times.rfc3339(times.now()), "Type": kind}, **more)
    if where == "journald":
        from pypod.engine import events_journal

        events_journal.send(event)
        return
    line = fastjson.dumps(event).encode() + b"\n"
    path = log_path(context)
    try:
        # A second time if the file has been turned away twice between open and write.
        if not _append(context, path, line):
            _append(context, path, line)
    except OSError:
        pass


def _append(context: Context, path: str, line: bytes) -> bool:
    """Whether the line is in a file that has a name."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
    except FileNotFoundError:
        files.make_directory(os.path.dirname(path))
        fd = os.open(path, flags, 0o600)
    try:
        if os.write(fd, line) < len(line):
            os.write(fd, b"\n")  # no room for the rest: the next one begins a line of its own
        found = os.fstat(fd)
        if found.st_size > 4096:
            limit = _limit(context) // 2
            if limit and found.st_size > limit:
                _turn(path, fd)
        return found.st_nlink > 0
    finally:
        os.close(fd)


def _limit(context: Context) -> int:
    wanted = context.engine.get("events_logfile_max_size")
    if wanted is None:
        return _LIMIT
    from pypod.engine import sizes

    try:
        return sizes.parse_size(str(wanted))
    except ValueError:
        return _LIMIT


def _turn(path: str, fd: int) -> None:
    import fcntl

    # Others may see the same full file: only one renames it, and only while it has that name.
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    if os.stat(path).st_ino == os.fstat(fd).st_ino:
        os.rename(path, path + ".1")
