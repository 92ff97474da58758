"""Events read back: from the file or the journal, what was and what comes; filters, and what is shown of one."""

from __future__ import annotations

import os
import time

from pypod.base import fastjson, files, times, units
from pypod.engine import events
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from pypod.engine.context import Context

    Event = dict[str, Any]  # as it is written
    Test = Callable[[Event], bool]

KINDS = ("container", "image", "machine", "network", "pod", "secret", "system", "volume")
_BLOCK = 1 << 16
_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE = 0x02, 0x80, 0x100  # inotify(7)


def read(
    context: Context,
    *,
    since: int = 0,
    until: int = 0,
    follow: bool = True,
    everything: bool = False,
    tests: Sequence[Test] = (),
) -> Iterator[Event]:
    """The events from ``since`` to ``until`` (ns since 1970, 0 for no bound) that all ``tests`` take, as they come.

    The past is left out unless ``everything`` or one of the bounds is given. Raises UsageError if none are kept.
    """
    backend = events.backend(context)
    if backend == "none":
        raise UsageError('cannot read events with the "none" backend')
    past = everything or bool(since or until)
    if backend == "journald":
        from pypod.engine import events_journal

        found = events_journal.read(context.uid, everything=past, follow=follow)
    else:
        found = _from_file(events.log_path(context), everything=past, follow=follow, until=until)
    for event in found:
        if event is None:
            if until and time.time_ns() > until:
                return
            continue
        when = moment(event)
        if when >= since and (not until or when <= until) and all(test(event) for test in tests):
            yield event


def moment(event: Event) -> int:
    """When it happened, ns since 1970; 0 if the event does not say."""
    try:
        return times.parse_rfc3339(str(event.get("Time", "")))
    except ValueError:
        return 0


def _from_file(path: str, *, everything: bool, follow: bool, until: int) -> Iterator[Event | None]:
    """What is in the file and its predecessor, then what comes; None when all that there is has been given."""
    import select

    from pypod.linux import syscalls

    watch = -1
    reader = _Reader(path)
    try:
        if follow:
            files.make_directory(os.path.dirname(path))
            watch = syscalls.inotify(os.path.dirname(path), _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE)
        if not everything:
            reader.skip()
        yield from reader.new()
        if not follow:
            return
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        while True:
            yield None
            left = max((until - time.time_ns()) / 1e6, 0) + 1 if until else None
            if poll.poll(left):
                os.read(watch, 1 << 16)
            yield from reader.new()
    finally:
        reader.close()
        if watch >= 0:
            os.close(watch)


class _Reader:
    """Reads the lines of a file that is turned away when it is full: none is missed, none comes twice."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.open: list[_File] = []  # the predecessor too: somebody may be about to write to it
        self._look()

    def _look(self) -> None:
        """Open what is there and was not known."""
        for name in (self.path + ".1", self.path):
            try:
                fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            inode = os.fstat(fd).st_ino
            if any(file.inode == inode for file in self.open):
                os.close(fd)
            else:
                self.open.append(_File(fd, inode))
        while len(self.open) > 2:
            os.close(self.open.pop(0).fd)

    def skip(self) -> None:
        for file in self.open:
            file.at = os.fstat(file.fd).st_size

    def new(self) -> Iterator[Event]:
        for file in self.open:
            yield from file.events()
        known = len(self.open), self.open[-1].inode if self.open else 0
        self._look()
        if (len(self.open), self.open[-1].inode if self.open else 0) != known:
            for file in self.open:
                yield from file.events()

    def close(self) -> None:
        for file in self.open:
            os.close(file.fd)


class _File:
    def __init__(self, fd: int, inode: int) -> None:
        self.fd, self.inode, self.at, self.rest = fd, inode, 0, b""

    def events(self) -> Iterator[Event]:
        while data := os.pread(self.fd, _BLOCK, self.at):
            self.at += len(data)
            *lines, self.rest = (self.rest + data).split(b"\n")
            for line in lines:
                try:
                    event = fastjson.loads(line)
                except fastjson.BadJson:
                    continue  # of a disk that was full
                if isinstance(event, dict) and "Status" in event:
                    yield event


def tests(filters: Sequence[str]) -> list[Test]:
    """One test for each key; the values of one key are alternatives, but all labels must be there.

    Raises UsageError for a filter that is none.
    """
    groups: dict[str, list[Test]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        key = key.lower()
        if not equals or key not in _MAKERS:
            raise UsageError(
                f"failed to parse event filters: {text} is an invalid filter",
                hint="one of " + ", ".join(sorted(_MAKERS)),
            )
        groups.setdefault(key, []).append(_MAKERS[key](value))
    return [_together(made, all if key == "label" else any) for key, made in groups.items()]


def _together(made: list[Test], how: Callable[[Iterator[bool]], bool]) -> Test:
    return lambda event: how(test(event) for test in made)


def _status(value: str) -> Test:
    wanted = {"die": "died", "destroy": "remove"}.get(value, value)  # Docker's words
    return lambda event: bool(event.get("Status") == wanted)


def _named(kind: str) -> Callable[[str], Test]:
    """An object of this kind by its name or the beginning of its id."""

    def make(value: str) -> Test:
        return lambda event: (
            event.get("Type") == kind
            and (event.get("Name") == value or bool(value) and str(event.get("ID", "")).startswith(value))
        )

    return make


def _network(value: str) -> Test:
    return lambda event: (
        event.get("Type") == "network"
        and (event.get("network") == value or bool(value) and str(event.get("ID", "")).startswith(value))
    )


def _pod(value: str) -> Test:
    """The pod's own events, and those of its containers."""
    named = _named("pod")(value)
    return lambda event: named(event) or bool(value) and str(event.get("PodID", "")).startswith(value)


def _volume(value: str) -> Test:
    return lambda event: event.get("Type") == "volume" and str(event.get("Name", "")).startswith(value)


def _label(value: str) -> Test:
    from pypod.engine import filters

    matches = filters.label_test(value)
    return lambda event: matches(event.get("Attributes") or {})


def _kind(value: str) -> Test:
    if value not in KINDS:
        raise UsageError(f'failed to parse event filters: unknown event type: "{value}"', hint=", ".join(KINDS))
    return lambda event: bool(event.get("Type") == value)


_MAKERS: dict[str, Callable[[str], Test]] = {
    "container": _named("container"),
    "event": _status,
    "image": _named("image"),
    "label": _label,
    "network": _network,
    "pod": _pod,
    "status": _status,
    "type": _kind,
    "volume": _volume,
}


def report(event: Event) -> dict[str, Any]:
    """An event with the keys of podman 5."""
    shown: dict[str, Any] = {}
    for key in ("ContainerExitCode", "ID", "Image", "Name", "network"):
        if key in event:
            shown[key] = event[key]
    when = moment(event)
    shown.update(
        {
            "Status": event.get("Status", ""),
            "time": when // 1_000_000_000,
            "timeNano": when,
            "Type": event.get("Type", ""),
        }
    )
    for key in ("health_status", "PodID"):
        if event.get(key):
            shown[key] = event[key]
    shown["Attributes"] = event.get("Attributes")
    return shown


def line(event: Event, *, short: bool = False) -> str:
    """An event for people, in podman's words; what would steer the terminal is shown as an escape."""
    text = _line(event, short)
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _line(event: Event, short: bool) -> str:
    id = str(event.get("ID", ""))
    if short:
        id = id[:12]
    kind, name = event.get("Type", ""), event.get("Name", "")
    head = f"{units.timestamp(moment(event))} {kind} {event.get('Status', '')}"
    if kind in ("container", "pod"):
        details = [f"image={event.get('Image', '')}", f"name={name}"]
        details += [f"{key}={event[found]}" for key, found in _DETAILS if event.get(found)]
        details += [f"{key}={value}" for key, value in (event.get("Attributes") or {}).items()]
        return f"{head} {id} ({', '.join(details)})"
    if kind == "network":
        return f"{head} {id} (container={id}, name={event.get('network', name)})"
    if kind == "image":
        return f"{head} {id} {name}"
    if kind == "secret":
        return f"{head} {id}"
    return f"{head} {name}".rstrip()


_DETAILS = (("pod_id", "PodID"), ("health_status", "health_status"))
