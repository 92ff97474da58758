"""``untag``: take names from an image, or all of them."""

from __future__ import annotations

from pypod.cli import targets
from pypod.engine import image_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    image_names.untag(context, store, invocation.args[0], invocation.args[1:])
    return 0
