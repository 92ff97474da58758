"""``pod rm``: the containers of a pod, the infra container after the others, and at last its record.

If it is killed halfway the pod is still there, and can be removed again.
"""

from __future__ import annotations

import os

from pypod.base import files
from pypod.engine import container as containers
from pypod.engine import events, pod_life, pods, rootless
from pypod.engine import remove as removal
from pypod.errors import BadState, NoSuchContainer, NoSuchPod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.pods import Pod
    from storage.store import Store


def remove(context: Context, store: Store, pod: Pod, *, force: bool = False, timeout: int | None = None) -> None:
    """Remove a pod. Raises BadState (code 2) if something in it runs and ``force`` is off, PypodError.

    A running infra container alone holds up nobody: it goes with its pod.
    """
    rootless.enter_user(context)
    if force:
        pod_life.stop_all(context, store, pod, timeout=timeout, quiet=False)
    with pods.lock(context, pod.id) as held:
        if not pods.exists(context, pod.id):
            files.remove_tree(held.path)
            raise NoSuchPod(f"no pod with name or ID {pod.name} found: no such pod")
        members = pods.members(context, store, pod.id)
        for item in members:
            status = containers.observe(item).status
            if not force and not item.config.infra and status in ("running", "paused", "stopping"):
                raise BadState(
                    f"removing container {item.id} from pod {pod.id}: cannot remove container {item.id} as it is"
                    f" {status} - running or paused containers cannot be removed without force: container state"
                    " improper",
                    code=2,
                )
        dependents = removal.Dependents(context, store)
        for item in reversed(members):
            infra = item.config.infra
            try:
                removal.remove(
                    context,
                    store,
                    item,
                    force=force or infra,
                    volumes=infra,
                    timeout=timeout,
                    depend=force,
                    dependents=dependents,
                    infra=infra,
                )
            except NoSuchContainer:
                continue
        _remove_cgroup(context, pod)
        for name in pod.volumes:
            _remove_volume(context, store, name)
        pods.forget(context, pod.id)
    events.pod(context, "remove", pod.id, pod.name)


def in_the_way(
    context: Context, store: Store, container: Container, *, depend: bool = True, timeout: int | None = None
) -> None:
    """Remove a container whatever it does, with ``depend`` those that depend on it, an infra container with its pod.

    Raises PypodError.
    """
    if container.config.infra and pods.exists(context, container.config.pod):
        remove(context, store, pods.load(context, container.config.pod), force=True, timeout=timeout)
    else:
        removal.remove(context, store, container, force=True, depend=depend, timeout=timeout, infra=True)


def remove_empty(
    context: Context, store: Store, infras: list[Container], *, force: bool, timeout: int | None
) -> list[Container]:
    """Remove the pods that have nothing but one of these infra containers; those whose pods went. Raises PypodError.

    Without ``force`` only those that do not run.
    """
    gone = []
    for infra in infras:
        if not force and containers.observe(infra).live:
            continue
        try:
            pod = pods.load(context, infra.config.pod)
        except NoSuchPod:
            removal.remove(context, store, infra, force=force, volumes=True, timeout=timeout)
        else:
            if len(pods.members(context, store, pod.id)) > 1:
                continue
            remove(context, store, pod, force=force, timeout=timeout)
        gone.append(infra)
    return gone


def _remove_volume(context: Context, store: Store, name: str) -> None:
    """A volume of the pod's own; one that somebody else has come to use stays."""
    from pypod.engine import volumes

    if not volumes.users(context, store, name):
        volumes.delete(context, name)


def _remove_cgroup(context: Context, pod: Pod) -> None:
    """The pod's own cgroup, in every hierarchy; a slice by systemd."""
    if pod.cgroup_path.endswith(".slice"):
        from pypod.engine import scope_limits

        scope_limits.forget_pod(context, pod.cgroup_path)
        return
    if not pod.cgroup_path.startswith("/"):
        return
    root = "/sys/fs/cgroup"
    for place in (root, *(f"{root}/{name}" for name in os.listdir(root))):
        try:
            os.rmdir(place + pod.cgroup_path)
        except OSError:
            continue
