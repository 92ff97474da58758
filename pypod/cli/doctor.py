"""``doctor``: what this machine lacks, and the commands that cure it. The exit code is 125 if something is wrong."""

from __future__ import annotations

from pypod.cli import output
from pypod.engine import doctor
from pypod.errors import PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation

_MARKS = {doctor.OK: "ok", doctor.WARNING: "WARNING", doctor.ERROR: "ERROR", doctor.SKIPPED: "skipped"}


def run(invocation: Invocation) -> int:
    template = invocation.options["format"]
    findings = list(doctor.examine(invocation.globals))
    rows = [{"Check": one.check, "Status": one.status, "Message": one.message, "Cure": one.cure} for one in findings]
    if template is None:
        for one in findings:
            output.line(f"{_MARKS[one.status]:<8} {one.check}: {one.message}")
            if one.cure:
                output.line(f"{'':<8} cure: {one.cure}")
    elif output.is_json(template):
        output.json(rows, 2)
    else:
        from pypod.cli.gotemplate import Struct

        for row in rows:
            output.rendered(template, Struct(row, "doctor.Finding"))
    wrong = sum(one.status == doctor.ERROR for one in findings)
    if wrong:
        output.flush()
        raise PypodError(f"{wrong} of {len(findings)} checks failed")
    return 0
