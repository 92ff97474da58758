"""``image prune``: remove images that are not needed."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import image_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    options = invocation.options
    if not options["force"]:
        import os

        which = "images without at least one container associated with them" if options["all"] else "dangling images"
        if options["build_cache"]:
            which += " and persistent build cache"
        os.write(1, f"WARNING! This command removes all {which}.\n".encode())
        os.write(1, b"Are you sure you want to continue? [y/N] ")
        if os.read(0, 16)[:1].lower() != b"y":
            return 0
    context, store = targets.open_engine(invocation)
    for removed in image_names.prune(
        context, store, everything=options["all"], external=options["external"], filters=options["filter"]
    ):
        for id in removed.deleted:
            output.line(id)
    if options["build_cache"]:
        from pypod.engine import build_leftovers, rootless

        rootless.enter_user(context)
        build_leftovers.remove_cache()
    return 0
