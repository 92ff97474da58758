"""``import``: make an image of a root file system's archive."""

from __future__ import annotations

from pypod.cli import output, progress, targets
from pypod.engine import image_load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    options = invocation.options
    context, store = targets.open_engine(invocation)
    with progress.watch(quiet=options["quiet"], form=options["progress"]) as seen:
        image = image_load.import_archive(
            context,
            store,
            invocation.args[0],
            invocation.args[1] if len(invocation.args) > 1 else "",
            changes=options["change"],
            message=options["message"] or "",
            os_name=options["os"] or "",
            arch=options["arch"] or "",
            variant=options["variant"] or "",
            signature_policy=options["signature_policy"] or "",
            progress=seen,
        )
    output.line(f"sha256:{image.id}")
    return 0
