"""``create``: a container that is not started yet."""

from __future__ import annotations

import os

from pypod.cli.late import Late, Puller
from pypod.cli.targets import open_engine
from pypod.engine import create as creation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = open_engine(invocation)
    image, *command = invocation.args
    typed = ["pypod", *invocation.argv]
    flags = invocation.options
    if flags["dry_run"]:
        from pypod.cli import dry_run

        return dry_run.show(invocation, context, store)
    with Late(quiet=flags["quiet"]) as seen:
        container = creation.create(
            context, store, image, command, flags, typed, puller=Puller(flags, seen), progress=seen
        )
    os.write(1, f"{container.id}\n".encode())
    return 0
