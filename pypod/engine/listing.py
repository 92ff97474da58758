"""Lists of many containers: their configurations and states by way of copies (``base.kept``) in ``<tmpdir>/kept``.

What comes out is what reading each container's own files would give, in a tenth of the time.
"""

from __future__ import annotations

from pypod.base import fastjson
from pypod.base.kept import Kept
from pypod.base.record import from_json, known_in, replace
from pypod.engine import config as configuration
from pypod.engine import container as containers
from pypod.engine.container import Container, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pypod.engine.config import ContainerConfig
    from pypod.engine.context import Context
    from storage.records import Container as StorageRecord
    from storage.store import Store


def directory(context: Context) -> str:
    """Where copies are kept."""
    return context.tmpdir + "/kept"


def load(context: Context, store: Store, records: Iterable[StorageRecord]) -> list[Container]:
    """Those of the records' containers that are ours; what cannot be read is left out."""
    kept = Kept(directory(context) + "/containers", store.containers_dir)
    like: ContainerConfig | None = None
    try:
        like = configuration.from_json(kept.like) if kept.like else None
    except fastjson.BadJson:
        kept.distrust()
    result = []
    for found in records:
        userdata = store.container_directory(found.id)
        own = {"name": found.names[0], "layer": found.layer} if found.names else {"layer": found.layer}
        try:
            partly, values = kept.read(found.id, userdata + "/container.json")
            if partly and like:
                config = configuration.changed(like, {**values, **own})
            else:
                config = configuration.from_json(values, **own)
        except (OSError, fastjson.BadJson):
            continue
        result.append(containers.assemble(context, store, found, userdata, config))
    kept.keep()
    return result


def observed(context: Context, store: Store, found: Sequence[Container]) -> Iterator[tuple[Container, State]]:
    """See ``container.observed``."""
    kept = Kept(directory(context) + "/states", store.runroot)
    like = State()
    try:
        like = from_json(State, kept.like)
    except fastjson.BadJson:
        kept.distrust()
    for container in found:
        try:
            partly, values = kept.read(container.id, container.rundir + "/state.json")
            stored = replace(like, **known_in(State, values)) if partly else from_json(State, values)
        except (OSError, fastjson.BadJson):
            stored = containers.state_without_file(container)
        yield container, containers.observe(container, stored)
    kept.keep()
