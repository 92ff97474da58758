"""``create``: a container that is not started yet."""

from __future__ import annotations

import os

from pypod.cli.late_progress import Late
from pypod.cli.targets import open_engine
from pypod.engine import create as creation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = open_engine(invocation)
    image, *command = invocation.args
    typed = ["pypod", *invocation.argv]
    seen = Late(quiet=invocation.options["quiet"])
    container = creation.create(context, store, image, command, invocation.options, typed, progress=seen)
    os.write(1, f"{container.id}\n".encode())
    return 0
