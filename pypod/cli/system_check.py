"""``system check``: the exit code is 0 if nothing is wrong, 125 otherwise."""

from __future__ import annotations

from pypod.cli import output, targets
from pypod.engine import check, sizes
from pypod.errors import StorageError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    options = invocation.options
    try:
        min_age = sizes.parse_duration(options["max"]) / 1e9
    except ValueError as error:
        raise UsageError(f'invalid argument "{options["max"]}" for "-m, --max" flag: {error}') from None
    context, store = targets.open_engine(invocation)
    report = check.check(
        context,
        store,
        repair=options["repair"],
        force=options["force"],
        quick=options["quick"],
        min_age=min_age,
    )
    for text in report.mended:
        output.line(f"repaired {text}")
    for path in report.removed:
        output.line(f"removed {path}")
    for path in report.leftovers:
        output.line(f"leftover {path}")
    for text in report.damage:
        output.line(f"damaged {text}")
    if report.damage:
        hint = "pypod system check --repair, and load again what it removes"
        if options["repair"]:
            hint = "--force removes the containers that use what is damaged; a file that cannot be read needs a copy"
        raise StorageError("damage detected in local storage", hint=hint)
    if report.leftovers:
        raise StorageError("leftovers detected in local storage", hint="pypod system check --repair")
    return 0
