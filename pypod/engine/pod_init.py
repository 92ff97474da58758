"""Init containers: one after the other, each to a good end, before the others of their pod are started."""

from __future__ import annotations

from pypod.engine import container as containers
from pypod.engine import remove, start
from pypod.engine import wait as waiting
from pypod.errors import PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.store import Store


def run(context: Context, store: Store, members: Sequence[Container]) -> None:
    """Run those of ``members`` that are init containers, unless some of the others run: then their time is over.

    Those of type ``once`` are removed when they have done their work. Raises PypodError when one cannot be started or
    ends with another code than 0.
    """
    wanted = [item for item in members if item.config.init_type]
    others = [item for item in members if not item.config.init_type and not item.config.infra]
    if not wanted or any(containers.observe(item).live for item in others):
        return
    for item in wanted:
        start.start_detached(context, store, item)
        code = waiting.wait(context, store, item, ["stopped"], 0.1)
        if code:
            raise PypodError(
                f"initialization failed on container {item.name}: it exited with code {code}",
                hint=f"pypod logs {item.name}",
            )
        if item.config.init_type == "once":
            remove.remove(context, store, item, force=True, volumes=True)
