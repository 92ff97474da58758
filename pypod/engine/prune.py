"""``system prune``: everything that nothing uses."""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine import (
    build_leftovers,
    disk_usage,
    events,
    image_names,
    networks,
    remove,
    rootless,
    volume_remove,
    volume_view,
    volumes,
)
from pypod.engine import container as containers
from pypod.errors import PypodError
from pypod.network.networks import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.engine.context import Context
    from storage.store import Store

FILTERS = ("label", "label!", "until")


@record
class Pruned:
    """What is gone: ids, names, and the bytes on disk."""

    pods: list[str]
    containers: list[str]
    networks: list[str]
    volumes: list[str]
    images: list[str]
    bytes: int
    problems: list[PypodError]


def prune(
    context: Context,
    store: Store,
    *,
    everything: bool = False,
    with_volumes: bool = False,
    with_builds: bool = False,
    filters: Sequence[str] = (),
) -> Pruned:
    """Remove what does not run and what nothing uses: ``everything``: also images with a name; ``with_builds``: also
    the working containers of buildah.

    Enters the user namespace. Raises UsageError for a bad filter; what cannot be removed is among the problems.
    """
    if with_builds:
        build_leftovers.end_processes(context, build_leftovers.of_buildah(store))
    rootless.enter_user(context)
    before = _used(context, store)
    problems: list[PypodError] = []
    pods = _pods(context, store, filters, problems)
    gone = _containers(context, store, filters, problems)
    if with_builds:
        working, more = build_leftovers.remove(store, build_leftovers.of_buildah(store))
        gone += [item.id for item in working]
        problems += more
    nets = _networks(context, store, filters, problems)
    vols = _volumes(context, store, filters, problems) if with_volumes else []
    images = [
        id
        for removed in image_names.prune(context, store, everything=everything, filters=filters)
        for id in removed.deleted
    ]
    size = max(before - _used(context, store), 0) if pods or gone or vols or images else 0
    return Pruned(
        pods=pods, containers=gone, networks=nets, volumes=vols, images=images, bytes=size, problems=problems
    )


def _used(context: Context, store: Store) -> int:
    return sum(line.size for line in disk_usage.report(context, store).lines())


def _pods(context: Context, store: Store, filters: Sequence[str], problems: list[PypodError]) -> list[str]:
    from pypod.engine import pod_filters, pod_remove, pod_view

    gone = []
    for item in pod_filters.select(pod_view.views(context, store), filters):
        if item.status in ("Exited", "Stopped"):
            try:
                pod_remove.remove(context, store, item.pod)
            except PypodError as error:
                problems.append(error)
                continue
            gone.append(item.pod.id)
    return gone


def _containers(context: Context, store: Store, filters: Sequence[str], problems: list[PypodError]) -> list[str]:
    found = containers.every(context, store)
    if filters:
        from pypod.engine import ps_view

        found = ps_view.select(context, store, found, filters)
    gone = []
    dependents = remove.Dependents(context, store)
    for container in found:
        if not container.config.pod and containers.observe(container).status in ("created", "exited"):
            try:
                gone += remove.remove(context, store, container, dependents=dependents)
            except PypodError as error:
                problems.append(error)
    return gone


def _networks(context: Context, store: Store, filters: Sequence[str], problems: list[PypodError]) -> list[str]:
    gone = []
    for item in networks.select(context, store, filters, FILTERS):
        if item["name"] != DEFAULT and not networks.users(context, store, item["name"]):
            try:
                gone.append(networks.remove(context, store, item["name"], force=False, timeout=None))
            except PypodError as error:
                problems.append(error)
    return gone


def _volumes(context: Context, store: Store, filters: Sequence[str], problems: list[PypodError]) -> list[str]:
    gone = []
    for volume in volume_view.select(context, store, filters, keys=FILTERS):
        if not volumes.users(context, store, volume.name):
            try:
                volume_remove.remove(context, store, volume.name)
            except PypodError as error:
                problems.append(error)
                continue
            events.volume(context, "prune", volume.name)
            gone.append(volume.name)
    return gone
