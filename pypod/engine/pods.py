"""Pods on disk: ``<graphroot>/pypod/pods/ID.json``, written when all else of the pod is there, removed last.

Who is in a pod is not written there: each container's configuration says which pod it belongs to, so no list can go
stale. ``ID.lock`` beside the record is held by who makes or removes the pod and by who adds a container to it; it is
taken before the locks of containers, as ``.names.lock``, which guards the names of new pods, is.
"""

from __future__ import annotations

import os

from pypod.base import fastjson, files, times
from pypod.base.locks import FileLock
from pypod.base.record import from_json, record, to_json
from pypod.engine import container as containers
from pypod.engine.container import Container
from pypod.errors import InUse, NoSuchPod, StorageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.engine.context import Context
    from storage.store import Store


@record
class Pod:
    """The record on disk, in podman-pod-inspect(1)'s terms. ``infra_id`` is "" for a pod without infra container."""

    version: int = 1
    id: str
    name: str
    created: str  # RFC 3339 with nanoseconds
    create_command: list[str] = []
    labels: dict[str, str] = {}
    hostname: str = ""  # as given
    shares: list[str] = []  # of cgroup, ipc, net, pid, uts
    infra_id: str = ""
    exit_policy: str = "continue"
    restart_policy: str = ""  # of members that have none of their own
    cgroup_parent: str = ""  # as shown
    cgroup_path: str = ""  # where the cgroups of members are made; "": not in one of the pod's
    limits: dict[str, Any] = {}  # of the pod's cgroup, by pod inspect's keys
    members: dict[str, Any] = {}  # flags that every member gets: volume, device, security_opt, …
    volumes: list[str] = []  # that go with it: those that ``kube play`` made for this pod alone


def directory(context: Context) -> str:
    return context.state_dir + "/pods"


def _path(context: Context, identity: str) -> str:
    return f"{directory(context)}/{identity}.json"


def lock(context: Context, identity: str) -> FileLock:
    """The lock of one pod: taken before its containers' locks."""
    files.make_directory(directory(context))
    return FileLock(f"{directory(context)}/{identity}.lock")


def names_lock(context: Context) -> FileLock:
    """Held by who writes a record: taken after a pod's lock."""
    return FileLock(directory(context) + "/.names.lock")


def load(context: Context, identity: str) -> Pod:
    """By full id. Raises NoSuchPod, StorageError."""
    try:
        return from_json(Pod, files.read_json(_path(context, identity)))
    except (FileNotFoundError, NotADirectoryError):
        raise NoSuchPod(f"no pod with name or ID {identity} found: no such pod") from None
    except OSError as error:
        raise StorageError(f"cannot read pod {identity[:12]}: {error.filename}: {reason(error)}") from None
    except fastjson.BadJson as error:
        raise StorageError(f"cannot read pod {identity[:12]}: {error}") from None


def every(context: Context) -> list[Pod]:
    """All pods, oldest first; what cannot be read is left out."""
    result = []
    try:
        names = os.listdir(directory(context))
    except OSError:
        return []
    for name in names:
        if name.endswith(".json") and not name.startswith("."):
            try:
                result.append(load(context, name.removesuffix(".json")))
            except (NoSuchPod, StorageError):
                continue
    result.sort(key=lambda pod: times.order(pod.created))
    return result


def find(context: Context, reference: str) -> Pod:
    """By name, full id or a prefix of an id that only one has. Raises NoSuchPod."""
    known = every(context)
    for pod in known:
        if reference in (pod.name, pod.id):
            return pod
    found = [pod for pod in known if reference and pod.id.startswith(reference)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NoSuchPod(f"more than one result for ID or name {reference}: pod already exists")
    raise NoSuchPod(f"no pod with name or ID {reference} found: no such pod")


def latest(context: Context) -> Pod:
    """The one made last. Raises NoSuchPod."""
    found = every(context)
    if not found:
        raise NoSuchPod("no pods exist: no such pod")
    return found[-1]


def exists(context: Context, identity: str) -> bool:
    return os.path.exists(_path(context, identity))


def check_name(context: Context, name: str) -> None:
    """Raise InUse if a pod has this name."""
    if any(pod.name == name for pod in every(context)):
        raise InUse(f'adding pod to state: name "{name}" is in use: pod already exists')


def free_name(context: Context) -> str:
    from pypod.engine import names

    taken = {pod.name for pod in every(context)}
    while True:
        name = names.random_name()
        if name not in taken:
            return name


def save(context: Context, pod: Pod) -> None:
    """Make a new pod known. Raises InUse if its name has been taken meanwhile, StorageError."""
    try:
        with names_lock(context):
            check_name(context, pod.name)
            files.replace_json(_path(context, pod.id), to_json(pod), durable=True)
    except OSError as error:
        raise StorageError(f"cannot write pod {pod.name}: {reason(error)}") from None


def forget(context: Context, identity: str) -> None:
    """Take the record off the disk. The caller holds the pod's lock, whose file goes too."""
    files.remove_tree(_path(context, identity))
    files.remove_tree(f"{directory(context)}/{identity}.lock")


def members(context: Context, store: Store, identity: str) -> list[Container]:
    """The containers of a pod, the infra container first, then oldest first."""
    return by_pod(containers.every(context, store)).get(identity, [])


def by_pod(found: list[Container]) -> dict[str, list[Container]]:
    """Containers by the id of their pod, in the order of ``members``."""
    result: dict[str, list[Container]] = {}
    for item in found:
        if item.config.pod:
            result.setdefault(item.config.pod, []).append(item)
    for items in result.values():
        items.sort(key=lambda item: not item.config.infra)
    return result
