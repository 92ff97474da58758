"""``exec``: another command in a running container."""

from __future__ import annotations

import os

from pypod.cli import targets
from pypod.engine import exec_spec, execute
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    container = targets.one(invocation, context, store)
    if not invocation.args:
        raise UsageError("must provide a non-empty command to start an exec session: invalid argument", code=255)
    options = exec_spec.ExecOptions(
        command=list(invocation.args),
        env=list(flags["env"]),
        env_files=list(flags["env_file"]),
        user=flags["user"] or "",
        workdir=flags["workdir"] or "",
        interactive=flags["interactive"],
        tty=flags["tty"],
        detach=flags["detach"],
        privileged=flags["privileged"],
        detach_keys=flags["detach_keys"],
        preserve_fds=int(flags["preserve_fds"] or 0),
    )
    if options.detach_keys is not None:
        from pypod.engine import attach

        attach.choose_detach_keys(context, options.detach_keys)
    if options.preserve_fds:
        from pypod.engine import attach

        attach.check_descriptors(options.preserve_fds)
    code, session = execute.execute(context, container, options)
    if options.detach:
        os.write(1, f"{session}\n".encode())
    return code
