"""``image exists``: the exit code says it, 1 if there is none."""

from __future__ import annotations

from pypod.cli import targets
from pypod.errors import NoSuchImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    _, store = targets.open_engine(invocation)
    try:
        store.find_image(invocation.args[0], lists=True)
    except NoSuchImage:
        return 1
    return 0
