"""``commit``: an image out of a container's changes and configuration."""

from __future__ import annotations

import os
import stat

from pypod.base import report
from pypod.cli import output, progress, targets
from pypod.engine import commit
from pypod.engine import container as containers
from pypod.errors import UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    options = invocation.options
    context, store = targets.open_engine(invocation)
    container = containers.find(context, store, invocation.args[0])
    wanted = commit.wish(
        store,
        invocation.args[1] if len(invocation.args) > 1 else "",
        author=options["author"] or "",
        changes=options["change"],
        config_file=options["config"] or "",
        format=options["format"],
        include_volumes=options["include_volumes"],
        message=options["message"] or "",
        pause=options["pause"],
        squash=options["squash"],
    )
    ids = IdFile(options["iidfile"] or "")
    with progress.watch(quiet=options["quiet"], form=options["progress"]) as seen:
        image, warnings = commit.commit(context, store, container, wanted, seen=seen)
    for warning in warnings:
        report.warning(warning)
    ids.write(image.id)
    output.line(image.id)
    return 0


class IdFile:
    """--iidfile: opened before the work, so that a wrong path costs nothing. "" for none."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        if path:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise self._error(error) from None

    def write(self, id: str) -> None:
        if self._fd >= 0:
            try:
                if stat.S_ISREG(os.fstat(self._fd).st_mode):
                    os.ftruncate(self._fd, 0)
                os.write(self._fd, id.encode())
            except OSError as error:
                raise self._error(error) from None

    def _error(self, error: OSError) -> UsageError:
        return UsageError(f"failed to write image ID: open {self._path}: {reason(error).lower()}")
