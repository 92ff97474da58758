"""``pod clone``: another pod with copies of the containers of one, in namespaces of its own."""

from __future__ import annotations

from pypod.base import times
from pypod.base.record import replace
from pypod.engine import clone as cloning
from pypod.engine import create, events, names, option_engine, pods, remove, rootless
from pypod.engine.config import Namespace
from pypod.engine.pods import Pod
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.engine.config import ContainerConfig
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.store import Store

_SPACES = ("cgroupns", "ipc", "network", "pid", "userns", "uts")


def clone(
    context: Context, store: Store, pod: Pod, flags: Mapping[str, Any], create_command: Sequence[str], *, name: str
) -> Pod:
    """Make it; nothing is left behind if it fails. Ports are the same: only one of the two can run with them.

    Named volumes are shared, anonymous ones are made anew. Enters the user namespace. Raises PypodError.
    """
    rootless.enter_user(context)
    name = names.check(name) if name else _free_name(context, pod)
    pods.check_name(context, name)
    members = pods.members(context, store, pod.id)
    if any(item.config.uid_map and item.config.userns.mode == "auto" for item in members):
        raise UsageError("cannot clone a pod with --userns=auto: it would have the other one's ids")
    ids = {item.id: names.random_id() for item in members}
    identity = names.random_id()
    fresh = replace(
        pod,
        id=identity,
        name=name,
        created=times.rfc3339(times.now()),
        create_command=list(create_command),
        labels={**pod.labels, **option_engine.labels(flags, {})},
        hostname=flags.get("hostname") or pod.hostname,
        infra_id=ids.get(pod.infra_id, ""),
        volumes=[],
        cgroup_path=pod.cgroup_path.replace(pod.id, identity),
    )
    made: list[Container] = []
    with pods.lock(context, identity):
        try:
            for item in members:
                made.append(_copy(context, store, item, pod, fresh, ids, flags))
            pods.save(context, fresh)
        except BaseException:
            for item in reversed(made):
                remove.remove(context, store, item, force=True, volumes=True, depend=True)
            pods.forget(context, identity)
            raise
    events.pod(context, "create", fresh.id, fresh.name)
    return fresh


def _copy(
    context: Context,
    store: Store,
    item: Container,
    pod: Pod,
    fresh: Pod,
    ids: Mapping[str, str],
    flags: Mapping[str, Any],
) -> Container:
    config = item.config
    if config.infra:
        name = flags.get("infra_name") or f"{fresh.id[:12]}-infra"
    else:
        name = cloning.free_name(store, item)
    changes: dict[str, Any] = {
        "id": ids[item.id],
        "pod": fresh.id,
        "dependencies": [ids.get(one, one) for one in config.dependencies],
        "needs": [ids.get(one, one) for one in config.needs],
        "cgroup_parent": config.cgroup_parent.replace(pod.id, fresh.id),
        **{field: _space(getattr(config, field), ids) for field in _SPACES},
    }
    if config.hostname and (config.infra or config.uts.value == pod.infra_id):
        changes["hostname"] = fresh.hostname or fresh.name
    copied: ContainerConfig = replace(cloning.fresh(context, config, name), **changes)
    image = None if config.rootfs else store.find_image(config.image_id)
    if config.uid_map:
        rootless.private_mounts(context)
    return create.from_config(context, store, copied, image)


def _space(space: Namespace, ids: Mapping[str, str]) -> Namespace:
    if space.mode != "container":
        return space
    return Namespace(mode="container", value=ids.get(space.value, space.value))


def _free_name(context: Context, pod: Pod) -> str:
    """The original's with -clone, or -clone1 and so on behind it."""
    taken = {other.name for other in pods.every(context)}
    number = 0
    while (name := f"{pod.name}-clone{number or ''}") in taken:
        number += 1
    return name
