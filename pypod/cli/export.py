"""``export``: a container's root file system as a tar archive."""

from __future__ import annotations

import os

from pypod.base import process
from pypod.cli import targets
from pypod.engine import container as containers
from pypod.engine import container_export
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    path = invocation.options["output"]
    check_output(path, "export")
    context, store = targets.open_engine(invocation)
    container_export.export(context, store, containers.find(context, store, invocation.args[0]), path or "-")
    return 0


def check_output(path: str | None, verb: str) -> None:
    """Refuse what cannot be written to before anything is read.

    Raises UsageError, for a terminal in podman's words.
    """
    if not path:
        if 1 in process.closed:
            raise UsageError(f"cannot {verb}: standard output is closed")
        if os.isatty(1):
            raise UsageError(f"refusing to {verb} to terminal. Use -o flag or redirect")
    elif ":" in path:
        raise UsageError(f"invalid filename (should not contain ':') \"{path}\"")
