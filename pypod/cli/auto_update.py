"""``auto-update``: a line for each container that asks for newer images; 125 if one of them could not be updated."""

from __future__ import annotations

import os

from pypod.base import report
from pypod.cli import output, targets
from pypod.cli.create_command import dissect
from pypod.engine import auto_update
from pypod.errors import PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation

_FIELDS = ("Unit", "Container", "Image", "Policy", "Updated")


def run(invocation: Invocation) -> int:
    flags = invocation.options
    template = flags["format"]
    if flags["authfile"] and not os.path.exists(flags["authfile"]):
        raise PypodError(f"cannot read {flags['authfile']}: No such file or directory")
    context, store = targets.open_engine(invocation)
    wanted = auto_update.Wanted(
        dry_run=flags["dry_run"],
        rollback=flags["rollback"],
        authfile=os.path.abspath(flags["authfile"]) if flags["authfile"] else "",
        tls_verify=flags["tls_verify"],
    )
    outcome = auto_update.update(context, store, wanted, dissect)
    rows = [task.row() for task in outcome.tasks]
    if template is not None and output.is_json(template):
        output.json(rows)
    elif template is not None:
        from pypod.cli.gotemplate import Struct

        output.templated(template, [Struct(row, "entities.AutoUpdateReport") for row in rows])
    else:
        output.table([name.upper() for name in _FIELDS], [[row[name] for name in _FIELDS] for row in rows])
    output.flush()
    for note in outcome.notes:
        report.warning(note)
    for error in outcome.errors:
        targets.complain(error)
    return 125 if outcome.errors else 0
