"""``system migrate`` and ``system renumber``."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import events, reset
from pypod.engine.context import open_context
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    """``system migrate``: without a word, as podman."""
    if invocation.options["migrate_db"]:
        raise UsageError("--migrate-db is podman's: there is no database here")
    context, store = targets.open_engine(invocation)
    reset.migrate(context, store, invocation.options["new_runtime"] or "")
    return 0


def renumber(invocation: Invocation) -> int:
    """``system renumber``: a lock is a file of its container here, so there is nothing to number."""
    events.system(open_context(invocation.globals), "renumber")
    return 0
