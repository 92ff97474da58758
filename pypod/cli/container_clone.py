"""``container clone``: make a container like another one."""

from __future__ import annotations

import os

from pypod.cli import targets
from pypod.engine import clone
from pypod.engine import container as containers
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    options = invocation.options
    if options["force"] and not options["destroy"]:
        raise UsageError("cannot set --force without --destroy: invalid argument")
    if options["pod"]:
        raise UsageError("--pod is not supported for clones: make the container with create --pod")
    reference, name, image = [*invocation.args, "", ""][:3]
    if name and options["name"]:
        raise UsageError("the clone's name was given twice, by --name and as an argument")
    context, store = targets.open_engine(invocation)
    made = clone.clone(
        context,
        store,
        containers.find(context, store, reference),
        options,
        name=options["name"] or name,
        image_name=image,
        destroy=options["destroy"],
        force=options["force"],
    )
    os.write(1, f"{made.id}\n".encode())
    if options["run"]:
        from pypod.engine import run as running

        running.run_detached(context, store, made)
    return 0
