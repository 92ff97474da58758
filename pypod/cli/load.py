"""``load``: images out of an archive or an OCI layout directory."""

from __future__ import annotations

import os

from pypod.cli import output, progress, targets
from pypod.engine import image_load
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    source = invocation.options["input"] or "-"
    if source == "-" and os.isatty(0):
        raise UsageError("cannot read from terminal, use command-line redirection or the --input flag")
    context, store = targets.open_engine(invocation)
    options = invocation.options
    with progress.watch(quiet=options["quiet"], form=options["progress"]) as seen:
        loaded = image_load.load(
            context, store, source, signature_policy=options["signature_policy"] or "", progress=seen
        )
    for image, names in loaded:
        for name in names or [f"sha256:{image.id}"]:
            output.line(f"Loaded image: {name}")
    return 0
