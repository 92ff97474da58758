"""``system prune``: remove everything that nothing uses."""

from __future__ import annotations

from pypod.base import units
from pypod.cli import output, targets
from pypod.cli.container_prune import confirmed
from pypod.engine import prune
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    options = invocation.options
    for text in options["filter"]:
        key = text.partition("=")[0]
        if key not in prune.FILTERS:
            raise UsageError(f"{key} is an invalid filter", hint="one of " + ", ".join(prune.FILTERS))
    context, store = targets.open_engine(invocation)
    if not options["force"] and not confirmed(_warning(options)):
        return 0
    done = prune.prune(
        context,
        store,
        everything=options["all"],
        with_volumes=options["volumes"],
        with_builds=options["build"],
        filters=options["filter"],
    )
    _list("Deleted Pods", done.pods)
    _list("Deleted Containers", done.containers)
    _list("Deleted Networks", done.networks)
    _list("Deleted Volumes", done.volumes)
    _list("Deleted Images", done.images)
    output.line(f"Total reclaimed space: {units.size(done.bytes, space=False, digits=4)}")
    output.flush()
    for problem in done.problems:
        targets.complain(problem)
    return 125 if done.problems else 0


def _warning(options: Mapping[str, Any]) -> str:
    lines = ["all stopped pods", "all stopped containers", "all networks not used by at least one container"]
    if options["volumes"]:
        lines.append("all volumes not used by at least one container")
    if options["all"]:
        lines.append("all images without at least one container associated with them")
    else:
        lines.append("all dangling images")
    if options["build"]:
        lines.append("all build containers")
    return "WARNING! This command removes:\n" + "".join(f"\t- {line}\n" for line in lines)


def _list(heading: str, found: list[str]) -> None:
    if found:
        output.line(heading)
        for item in found:
            output.line(item)
