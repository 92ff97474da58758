"""``container prune``: remove the containers that do not run."""

from __future__ import annotations

import sys

from pypod.cli import output, targets
from pypod.engine import container as containers
from pypod.engine import remove
from pypod.errors import NoSuchContainer, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    options = invocation.options
    for text in options["filter"]:
        if text.partition("=")[0] not in ("label", "label!", "until"):
            raise UsageError(f'"{text.partition("=")[0]}" is an invalid filter', hint="one of label, label!, until")
    context, store = targets.open_engine(invocation)
    if not options["force"] and not confirmed("WARNING! This will remove all non running containers."):
        return 0
    found = containers.every(context, store)
    if options["filter"]:
        from pypod.engine import ps_view

        found = ps_view.select(context, store, found, options["filter"])
    code = 0
    dependents = remove.Dependents(context, store)
    for container in found:
        if container.config.pod or containers.observe(container).status not in ("created", "exited"):
            continue  # what is in a pod goes with it
        try:
            remove.remove(context, store, container, dependents=dependents)
        except NoSuchContainer:
            continue
        except PypodError as error:
            targets.complain(error)
            code = error.code
            continue
        output.line(container.id)
    return code


def confirmed(warning: str) -> bool:
    """Ask on the terminal; anything but y means no."""
    output.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    output.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
