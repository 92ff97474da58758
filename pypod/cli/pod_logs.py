"""``pod logs``: what the containers of a pod wrote, in the order of time."""

from __future__ import annotations

from pypod.cli import logs, pod_targets, targets
from pypod.engine import container as containers
from pypod.engine import pods
from pypod.errors import NoSuchContainer, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.pods import Pod
    from storage.store import Store


def run(invocation: Invocation) -> int:
    options = invocation.options
    since, until = targets.period(options["since"], options["until"])
    if options["latest"] and invocation.args:
        raise UsageError("--latest and pod name cannot be used together")
    context, store = targets.open_engine(invocation)
    pod = pod_targets.one(invocation, context, "specify one pod name or ID, or --latest")
    if options["container"]:
        chosen = [_member(context, store, pod, options["container"])]
    else:
        chosen = [item for item in pods.members(context, store, pod.id) if not item.config.infra]
    for item in chosen:
        logs.readable(item)
    alone = bool(options["container"])
    prefixes = ["" if alone else item.name if options["names"] else item.id[:12] for item in chosen]
    return logs.show(chosen, prefixes, options, since, until)


def _member(context: Context, store: Store, pod: Pod, word: str) -> Container:
    try:
        found = containers.find(context, store, word)
    except NoSuchContainer:
        found = None
    if found is None or found.config.pod != pod.id:
        raise NoSuchContainer(f"container {word} is not in pod {pod.name}: no such container")
    return found
