"""``logs``: what containers wrote, stdout to stdout and stderr to stderr."""

from __future__ import annotations

import os

from conmon import logs
from pypod.base import files
from pypod.cli import targets
from pypod.engine import container as containers
from pypod.errors import PypodError, StorageError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.container import Container

_COLOURS = (37, 31, 32, 33, 34, 35, 36)
_FULL = 1 << 16  # bytes gathered before they are written


def run(invocation: Invocation) -> int:
    options = invocation.options
    since, until = targets.period(options["since"], options["until"])
    context, store = targets.open_engine(invocation)
    chosen: list[Container] = []
    for target in targets.choose(invocation, context, store):
        if target.error is not None:
            raise target.error
        assert target.container is not None
        readable(target.container)
        chosen.append(target.container)
    if len(chosen) == 1:
        return show(chosen, [""], options, since, until)
    prefixes = [container.name if options["names"] else container.id[:12] for container in chosen]
    return show(chosen, prefixes, options, since, until)


def show(chosen: list[Container], prefixes: list[str], options: dict[str, Any], since: int, until: int) -> int:
    """Write the logs of containers, each line after its container's prefix; the exit code. Raises StorageError."""
    if not options["follow"] and len(chosen) > 1:
        merged(chosen, prefixes, options, since, until)
        return 0
    jobs = [
        job(container, number, options, since, until, prefix)
        for number, (container, prefix) in enumerate(zip(chosen, prefixes, strict=True))
    ]
    if len(jobs) > 1:
        return together(jobs)
    for work in jobs:
        work()
    return 0


def readable(container: Container) -> None:
    """Raise UsageError unless the container's log driver keeps what can be read."""
    driver = container.config.log_driver
    if driver not in ("k8s-file", "json-file", "journald"):
        raise UsageError(
            f"this container is using the '{driver}' log driver, cannot read logs: this container is not logging"
            " output"
        )


def job(
    container: Container, number: int, options: dict[str, Any], since: int, until: int, prefix: str
) -> Callable[[], None]:
    """What writes one container's log, each line after ``prefix``; ``number`` chooses the colour."""
    name = prefix and prefix + " "
    colour = _COLOURS[number % len(_COLOURS)] if options["color"] else 0
    sink = _Sink(name, timestamps=options["timestamps"], colour=colour, eager=options["follow"])

    def work() -> None:
        try:
            for entry in _entries(container, options, since, until):
                sink.take(entry)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError(f"cannot read log of container {container.name}: {reason(error)}") from None
        sink.flush()

    return work


def _entries(container: Container, options: dict[str, Any], since: int, until: int) -> Iterator[logs.Entry]:
    """What is to be shown of one log, wherever it is. Raises OSError, PypodError."""
    bounds = {"tail": options["tail"], "since": since, "until": until}

    def ended() -> bool:
        return not containers.observe(container).live

    if container.config.log_driver == "journald":
        from pypod.engine import journal_logs

        if options["follow"]:
            return journal_logs.follow(container.id, ended, **bounds)
        return journal_logs.read(container.id, **bounds)
    if options["follow"]:
        return logs.follow(container.log_file, ended, **bounds)
    return logs.read(container.log_file, **bounds)


def merged(chosen: list[Container], prefixes: list[str], options: dict[str, Any], since: int, until: int) -> None:
    """Write the logs of several containers as one, in the order of time."""
    import heapq

    sinks = [
        _Sink(
            prefix and prefix + " ",
            timestamps=options["timestamps"],
            colour=_COLOURS[number % len(_COLOURS)] if options["color"] else 0,
            eager=False,
        )
        for number, prefix in enumerate(prefixes)
    ]

    def entries(number: int) -> Iterator[tuple[str, int, logs.Entry]]:
        container = chosen[number]
        try:
            for entry in _entries(container, options, since, until):
                yield entry[0], number, entry
        except OSError as error:
            raise StorageError(f"cannot read log of container {container.name}: {reason(error)}") from None

    last = -1
    for _, number, entry in heapq.merge(*map(entries, range(len(chosen)))):
        if number != last and last >= 0:
            sinks[last].flush()
        sinks[number].take(entry)
        last = number
    if last >= 0:
        sinks[last].flush()


def together(jobs: list[Callable[[], None]]) -> int:
    """Follow several logs at once, a process for each: a line is written whole."""
    children = []
    for work in jobs:
        pid = os.fork()
        if pid:
            children.append(pid)
            continue
        code = 1
        try:
            work()
            code = 0
        except PypodError as error:
            targets.complain(error)
            code = error.code
        except (KeyboardInterrupt, BrokenPipeError):
            pass
        finally:
            os._exit(code)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    return max(codes)


class _Sink:
    """Puts entries together to lines and writes them where they belong."""

    def __init__(self, name: str, *, timestamps: bool, colour: int, eager: bool) -> None:
        self.name = name.encode("utf-8", "surrogateescape")
        self.timestamps = timestamps
        self.before, self.after = (f"\033[{colour}m".encode(), b"\033[0m") if colour else (b"", b"")
        self.eager = eager
        self.fd = 1
        self.size = 0
        self.parts: list[bytes] = []
        self.open: set[str] = set()  # streams in the middle of a line

    def take(self, entry: logs.Entry) -> None:
        stamp, stream, piece, text = entry
        fd = 2 if stream == "stderr" else 1
        if fd != self.fd:
            self.flush()
            self.fd = fd
        line = text
        if stream not in self.open:
            if self.timestamps:
                line = stamp.encode() + b" " + line
            line = self.name + line
        line = self.before + line + self.after
        if piece:
            self.open.add(stream)
        else:
            self.open.discard(stream)
            line += b"\n"
        self.parts.append(line)
        self.size += len(line)
        if self.eager or self.size > _FULL:
            self.flush()

    def flush(self) -> None:
        if self.parts:
            files.write_all(self.fd, b"".join(self.parts))
            self.parts.clear()
            self.size = 0
