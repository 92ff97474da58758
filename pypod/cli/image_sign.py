"""``image sign``: sign images."""

from __future__ import annotations

from pypod.cli import registry_settings, targets
from pypod.engine import image_sign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.cli.invocation import Invocation


def run(invocation: Invocation) -> int:
    options = invocation.options
    settings = registry_settings.of(options)
    _, store = targets.open_engine(invocation)
    image_sign.sign(
        store,
        invocation.args,
        options["sign_by"] or "",
        settings,
        directory=options["directory"] or "",
        all_=options["all"],
    )
    return 0
