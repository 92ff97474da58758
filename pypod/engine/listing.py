"""Lists of many containers: their configurations and states by way of copies (``base.kept``) in ``<tmpdir>/kept``.

What comes out is what reading each container's own files would give, in a tenth of the time.
"""

from __future__ import annotations

from pypod.base import fastjson
from pypod.base.kept import Kept
from pypod.base.record import fields_of, from_json, replace
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
    like: ContainerConfig | None = configuration.from_json(kept.like) if kept.like else None
    result = []
    for found in records:
        userdata = store.container_directory(found.id)
        try:
            partly, values = kept.read(found.id, userdata + "/container.json")
        except (OSError, fastjson.BadJson):
            continue
        own = {**values, "layer": found.layer}
        if found.names:
            own["name"] = found.names[0]
        config = configuration.changed(like, own) if partly and like else configuration.from_json(own)
        result.append(containers.assemble(context, store, found, userdata, config))
    kept.keep()
    return result


def observed(context: Context, store: Store, found: Sequence[Container]) -> Iterator[tuple[Container, State]]:
    """See ``container.observed``."""
    kept = Kept(directory(context) + "/states", store.runroot)
    like = from_json(State, kept.like) if kept.like else State()
    for container in found:
        try:
            partly, values = kept.read(container.id, container.rundir + "/state.json")
        except (OSError, fastjson.BadJson):
            stored = containers.state_without_file(container)
        else:
            stored = replace(like, **_known(values)) if partly else from_json(State, values)
        yield container, containers.observe(container, stored)
    kept.keep()


def _known(values: dict[str, object]) -> dict[str, object]:
    known = fields_of(State)
    return {key: item for key, item in values.items() if key in known}
