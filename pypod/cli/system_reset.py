"""``system reset``: remove everything."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.cli.container_prune import confirmed
from pypod.engine import reset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation
    from pypod.engine.context import Context
    from storage.records import Container
    from storage.store import Store


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    if not invocation.options["force"] and not confirmed(_warning(context, store)):
        return 0
    problems = reset.reset(context, store)
    output.flush()
    for problem in problems:
        targets.complain(problem)
    return 125 if problems else 0


def _warning(context: Context, store: Store) -> str:
    lines = ["WARNING! This will remove:"]
    for what in ("all containers", "all pods", "all images", "all networks", "all volumes", "all secrets"):
        lines.append(f"        - {what}")
    lines.append(f'        - what the store keeps in the graphRoot directory: "{context.graphroot}"')
    lines.append(f'        - what it keeps in the runRoot directory: "{context.runroot}"')
    others: list[Container] = reset.foreign(context, store)
    if others:
        lines.append("WARNING! The following external containers will be purged:")
        lines += [f"\t- {one.id[:12]} ({', '.join(one.names)})" for one in others]
    return "\n".join(lines)
