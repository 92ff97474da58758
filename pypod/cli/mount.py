"""``mount`` and ``umount``: containers' root file systems for programs of the host."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import container as containers
from pypod.engine import events, mounted
from pypod.errors import BadState, NoSuchContainer, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.context import Context
    from storage.records import Container
    from storage.store import Store


def check_format(text: str | None) -> bool:
    """Whether JSON is wanted. Raises UsageError for anything but json."""
    if text is not None and not output.is_json(text):
        raise UsageError(f'unknown --format argument: "{text}"')
    return text is not None


def _chosen(invocation: Invocation, context: Context, store: Store) -> list[Container]:
    if invocation.options["latest"]:
        return [containers.latest(context, store).record]
    return mounted.find(store, invocation.args)


def run(invocation: Invocation) -> int:
    """``mount``."""
    options = invocation.options
    if options["all"] and options["latest"]:
        raise UsageError("--all and --latest cannot be used together")
    if invocation.args and options["all"]:
        raise UsageError("no arguments are needed with --all")
    if invocation.args and options["latest"]:
        raise UsageError("--latest and containers cannot be used together")
    as_json = check_format(options["format"])
    context, store = targets.open_engine(invocation)
    mounted.check_namespace(context, store, invocation.path)
    if not (invocation.args or options["all"] or options["latest"]):
        show(mounted.listing(store), as_json=as_json, full=options["no_trunc"])
        return 0
    code = 0
    for found in mounted.ours(context, store) if options["all"] else _chosen(invocation, context, store):
        try:
            output.line(mounted.mount(context, store, found))
            _tell(context, store, found, "mount")
        except PypodError as error:
            output.flush()
            targets.complain(error)
            code = code or error.code
    return code


def _tell(context: Context, store: Store, found: Container, status: str) -> None:
    try:
        events.container(context, containers.load(context, store, found), status)
    except NoSuchContainer:
        pass  # another tool's


def show(found: list[mounted.Mounted], *, as_json: bool, full: bool) -> None:
    """What is mounted, one line for each container."""
    if as_json:
        output.json([_json(item) for item in found], 1)
        return
    for item in found:
        output.line(f"{item.id if full else item.id[:12]}  {item.path}")


def _json(item: mounted.Mounted) -> dict[str, Any]:
    return {"id": item.id, "Names": item.names, "mountpoint": item.path}


def umount(invocation: Invocation) -> int:
    """``umount``."""
    options = invocation.options
    context, store = targets.open_engine(invocation)
    mounted.check_namespace(context, store, invocation.path)
    if options["all"]:
        words = [item.id for item in mounted.listing(store)]
        chosen = mounted.find(store, words)
    else:
        chosen = _chosen(invocation, context, store)
        words = [chosen[0].id] if options["latest"] else list(invocation.args)
    code = 0
    for word, found in zip(words, chosen, strict=True):
        try:
            if mounted.unmount(context, store, found, force=options["force"]):
                _tell(context, store, found, "unmount")
        except BadState as error:
            if not options["all"]:  # with --all, what runs is left alone
                targets.complain(error)
                code = code or error.code
            continue
        except PypodError as error:
            targets.complain(error)
            code = code or error.code
            continue
        output.line(word)
        output.flush()
    return code
