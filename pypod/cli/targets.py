"""Which containers a command means, and doing it to each of them: one line per success, one per failure."""

from __future__ import annotations

import os

from pypod.base import files
from pypod.base.record import record
from pypod.engine import container as containers
from pypod.engine.container import Container
from pypod.engine.context import Context, open_context
from pypod.errors import NoSuchContainer, PypodError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pypod.cli.invocation import Invocation
    from storage.store import Store


@record
class Target:
    """A container as the user named it; ``error`` instead of the container if it was not found."""

    typed: str
    container: Container | None = None
    error: PypodError | None = None


def open_engine(invocation: Invocation) -> tuple[Context, Store]:
    """The context of the global flags, and its store."""
    context = open_context(invocation.globals)
    return context, containers.open_store(context)


def read_cidfile(path: str) -> str:
    """The container's id in a --cidfile. Raises NoSuchContainer."""
    try:
        return files.read(path, 256).decode("ascii", "replace").split("\n")[0].strip()
    except OSError as error:
        raise NoSuchContainer(f"cannot read CIDFile {path}: {reason(error)}") from None


def one(invocation: Invocation, context: Context, store: Store) -> Container:
    """The single container of commands like exec and attach: --latest, --cidfile or the first argument, which is
    taken off the arguments.

    Raises NoSuchContainer, UsageError.
    """
    if invocation.options.get("latest"):
        return containers.latest(context, store)
    cidfile = invocation.options.get("cidfile")
    if cidfile:
        return containers.find(context, store, read_cidfile(cidfile))
    if not invocation.args:
        raise UsageError("must provide a name or ID: provide a container, or --latest")
    return containers.find(context, store, invocation.args.pop(0))


def choose(
    invocation: Invocation,
    context: Context,
    store: Store,
    *,
    states: Collection[str] = (),
    keep_missing: bool = False,
) -> list[Target]:
    """Everything that the arguments, --cidfile, --latest, --all and --filter mean.

    ``states`` restricts --all and --filter to containers in these states. With --ignore what does not exist is left
    out, unless ``keep_missing``. Raises UsageError if nothing was named.
    """
    options = invocation.options
    cidfiles = options.get("cidfile") or []
    filters = options.get("filter") or []
    if options.get("all") or filters or options.get("running"):
        if invocation.args and not filters:
            raise UsageError("no arguments are needed with --all")
        found = containers.every(context, store)
        if filters:
            from pypod.engine import ps_view

            found = ps_view.select(context, store, found, filters)
        if invocation.args:
            named = {containers.find(context, store, word).id for word in invocation.args}
            found = [item for item in found if item.id in named]
        if options.get("running"):
            states = ("running",)
        if states:
            found = [item for item, state in containers.observed(context, store, found) if state.status in states]
        return [Target(typed=item.id, container=item) for item in found]
    if options.get("latest"):
        if invocation.args:
            raise UsageError("--latest and containers cannot be used together")
        found_latest = containers.latest(context, store)
        return [Target(typed=found_latest.id, container=found_latest)]
    words: list[str] = []
    result = []
    for path in cidfiles:
        try:
            words.append(read_cidfile(path))
        except NoSuchContainer as error:
            if not options.get("ignore"):
                result.append(Target(typed=path, error=error))
    words += invocation.args
    if not words and not cidfiles:
        raise UsageError("you must provide at least one name or id")
    for word in words:
        try:
            result.append(Target(typed=word, container=containers.find(context, store, word)))
        except NoSuchContainer as error:
            if keep_missing or not options.get("ignore"):
                result.append(Target(typed=word, error=error))
    return result


def period(since: str | None, until: str | None) -> tuple[int, int]:
    """--since and --until in ns since 1970; 0 for no bound. A duration is that long ago for the first, that far ahead
    for the second, as podman has it. Raises UsageError.
    """
    if not since and not until:
        return 0, 0
    from pypod.engine import filters

    return (
        filters.parse_moment(since) if since else 0,
        (filters.parse_moment(until, ahead=True) or 1) if until else 0,  # 0 itself is a time, too
    )


def complain(error: PypodError) -> None:
    """One error among several, at once, as the entry point writes the last one."""
    from pypod.base import report

    report.error(error)


def each(targets: list[Target], action: Callable[[Container], object], *, quiet: bool = False) -> int:
    """Do ``action`` to each; print what the user typed for each success. The first failure's exit code, else 0.

    Raises the error of a target that was not found, before anything is done to the others.
    """
    code = 0
    for target in targets:
        if target.error is not None:
            raise target.error
    for target in targets:
        try:
            assert target.container is not None
            action(target.container)
        except PypodError as error:
            complain(error)
            code = code or error.code
            continue
        if not quiet:
            os.write(1, f"{target.typed}\n".encode())
    return code
