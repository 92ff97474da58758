"""``run``: create and start a container, and stay with it unless -d."""

from __future__ import annotations

import os

from pypod.cli.late import Late, Puller
from pypod.cli.targets import open_engine
from pypod.engine import attach, create
from pypod.engine import run as running
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    flags = invocation.options
    context, store = open_engine(invocation)
    detach = flags["detach"]
    if flags["tty"] and flags["interactive"] and not detach and not os.isatty(0):
        os.write(
            2, b"Warning: the input device is not a TTY. The --tty and --interactive flags might not work properly\n"
        )
    if detach and flags["attach"]:
        raise UsageError("cannot specify the --attach and --detach options together: invalid argument")
    if flags["preserve_fds"]:
        attach.check_descriptors(int(flags["preserve_fds"]))
    image, *command = invocation.args
    streams = attach.choose_streams(flags["attach"], interactive=flags["interactive"], terminal=flags["tty"])
    detach_keys = attach.choose_detach_keys(context, flags["detach_keys"])
    typed = ["pypod", *invocation.argv]
    if flags["dry_run"]:
        from pypod.cli import dry_run

        return dry_run.show(invocation, context, store, preserve_fds=int(flags["preserve_fds"] or 0))
    with Late(quiet=flags["quiet"]) as seen:
        container = create.create(
            context, store, image, command, flags, typed, puller=Puller(flags, seen), progress=seen
        )
    if detach:
        running.run_detached(context, store, container, preserve_fds=int(flags["preserve_fds"] or 0))
        os.write(1, f"{container.id}\n".encode())
        return 0
    code = running.run_attached(
        context,
        store,
        container,
        streams,
        detach_keys=detach_keys,
        sig_proxy=flags["sig_proxy"],
        preserve_fds=int(flags["preserve_fds"] or 0),
        remove_on_failure=True,
    )
    if flags["rmi"]:
        running.remove_image(store, container)
    return code
