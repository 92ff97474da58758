"""``pod top``: the processes of all running containers of a pod."""

from __future__ import annotations

from pypod.cli import output, pod_targets, targets
from pypod.engine import container as containers
from pypod.engine import pods, ps_view, top
from pypod.errors import BadState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    pod = pod_targets.one(invocation, context, "you must provide the name or id of a running pod")
    words = invocation.args[1:] if invocation.args[:1] == ["--"] else invocation.args
    running = [item for item in pods.members(context, store, pod.id) if containers.observe(item).status == "running"]
    if not running:
        raise BadState(f"pod top can only be used on pods with at least one running container: {pod.name} has none")
    columns = None if any(word.startswith("-") for word in words) else top.descriptors(words)
    if columns is None:
        code = 0
        for item in running:
            # ps(1) is the containers' own; the infra container has none.
            if not item.config.infra:
                code = top.in_container(context, item, words) or code
        return code
    rows: list[list[str]] = []
    seen = set()
    for item in running:
        # Each pid namespace once, where containers share one.
        namespace = ps_view.namespace_ids(containers.observe(item).pid).get("Pidns", "")
        if namespace and namespace in seen:
            continue
        seen.add(namespace)
        shown = top.table(context, item, columns)
        rows += [list(row) for row in (shown[1:] if rows else shown)]
    output.write(output.columns(rows))
    return 0
