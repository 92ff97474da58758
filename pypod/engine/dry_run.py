"""``run --dry-run`` and ``create --dry-run``: the way of ``create`` and ``start``, with nothing done.

The configuration comes from ``create.configure``, mounts and OCI config from ``start.make_bundle``, the command lines
from what ``start`` and the network's drivers use themselves. What is missing is the doing: see ``deeds``.
"""

from __future__ import annotations

from pypod import network
from pypod.base import fastjson
from pypod.base.record import record, replace
from pypod.engine import container as containers
from pypod.engine import create, images, names, rootless, runtimes, start
from pypod.engine.container import Container
from pypod.engine.dry_deeds import Action, Mount, Noted
from pypod.errors import NoSuchContainer, NoSuchVolume, PypodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pypod.engine.config import ContainerConfig
    from pypod.engine.context import Context
    from pypod.network.steps import Step
    from storage.records import Image
    from storage.store import Store


@record
class Outcome:
    """What would be done. Without ``spec`` no more is known: ``unknown`` says why.

    ``mounts`` are ours, in order; the runtime's are in ``spec``, the OCI config. ``runtime`` are the command lines of
    the runtime in order. ``error`` is what starting a container that ``create`` makes would say.
    """

    id: str = ""
    name: str = ""
    image: str = ""
    image_id: str = ""
    actions: list[Action] = []
    mounts: list[Mount] = []
    spec: dict[str, Any] = {}
    monitor: list[str] = []
    runtime: list[list[str]] = []
    network: str = ""  # its mode
    network_steps: list[Step] = []
    unknown: str = ""
    error: str = ""


def plan(
    context: Context,
    store: Store,
    image_name: str,
    command: Sequence[str],
    flags: Mapping[str, Any],
    create_command: Sequence[str],
    *,
    starts: bool,
    sources: Callable[[str], Sequence[str]],
    preserve_fds: int = 0,
) -> Outcome:
    """What ``create`` and, with ``starts``, the start after it would do now.

    ``sources`` says from where an image would be pulled by a pull policy (``pull.sources``).
    Moves this process into namespaces of its own. Raises the PypodError that the real one would raise; without
    ``starts`` those of the start are told in the outcome.
    """
    chosen, new_pod = _in_pod(context, store, flags)
    actions = [Action(do="make", what="pod", name=new_pod)] if new_pod else []
    name = create.check(chosen)
    rootless.enter_unseen(context)
    image = info = None
    if not chosen.get("rootfs"):
        image, policy = images.here(context, store, image_name, chosen, pulls=True)
        if image is None:
            if policy:
                actions.append(Action(do="pull", what="image", name=", else ".join(sources(policy))))
            else:
                actions.append(Action(do="make from the package", what="image", name=image_name))
            return Outcome(name=name, image=image_name, actions=actions, unknown="the image is not here")
        if policy:
            actions.append(Action(do="ask the registry for", what="image", name=image_name))
        info = images.image_info(store, image, image_name)
    config = create.configure(context, store, image_name, command, chosen, create_command, info, name)
    actions += _before(context, store, config, chosen, image, name)
    if new_pod:
        unknown = "what its container gets from the pod is known when it is there"
        return Outcome(image=config.image, image_id=config.image_id, actions=actions, unknown=unknown)
    config = replace(config, layer=names.random_id() if image is not None else "")
    container = Container(
        id=config.id,
        name=config.name,
        record=_record(config),
        config=config,
        userdata=store.container_directory(config.id),
        rundir=store.run_directory(config.id),
        exit_file=f"{context.tmpdir}/exits/{config.id}",
    )
    noted = Noted(store, image, [mount.source for mount in config.mounts if mount.type == "volume"])
    noted.actions += actions
    known = Outcome(
        id=config.id, name=config.name, image=config.image, image_id=config.image_id, actions=noted.actions
    )
    try:
        return _start(context, store, container, noted, known, preserve_fds)
    except PypodError as error:
        if starts:
            raise
        return replace(known, error=error.message)


def _in_pod(context: Context, store: Store, flags: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The flags of a container with those that it has by its pod, and the name of a pod that is to be made first.

    Raises UsageError, NoSuchPod, InUse.
    """
    if not flags.get("pod") and not flags.get("pod_id_file"):
        return flags, ""
    from pypod.engine import pod_member, pods

    word, rest = pod_member.chosen(flags)
    if not word.startswith("new:"):
        return pod_member.member_flags(context, store, rest, pod_member.find(context, word, rest)), ""
    name = word.removeprefix("new:")
    pod_member.take_of_new(name, rest)
    pods.check_name(context, name)
    return rest, name


def _before(
    context: Context,
    store: Store,
    config: ContainerConfig,
    flags: Mapping[str, Any],
    image: Image | None,
    name: str,
) -> list[Action]:
    """What ``create`` does before there is a container. Raises InUse."""
    found = []
    if name:
        try:
            old = containers.find(context, store, name) if flags.get("replace") else None
        except NoSuchContainer:
            old = None
        if old is not None and old.name == name:
            found.append(Action(do="remove", what="container", name=name))
        else:
            from storage import containers as records

            records.check_names(store, [name])
    for mount in config.mounts:
        if mount.type == "volume":
            from pypod.engine import volumes

            try:
                volumes.load(context, mount.name)
            except NoSuchVolume:
                found.append(Action(do="create", what="volume", name=mount.name))
    if image is not None and config.uid_map and store.driver != "vfs" and context.rootless:
        from storage import mapped

        if not mapped.find(store, image, config.uid_map, config.gid_map):
            found.append(Action(do="copy, with other owners,", what="image", name=config.image))
    found.append(Action(do="create", what="container", name=config.name))
    found += [Action(do="copy", what="secret", name=one.name) for one in config.secrets if one.kind == "mount"]
    files = (config.cidfile, config.pidfile, config.conmon_pidfile)
    return found + [Action(do="write", what="file", name=path) for path in files if path]


def _record(config: ContainerConfig) -> Any:
    from storage.records import Container as StorageRecord

    return StorageRecord(id=config.id, names=[config.name], image=config.image_id, layer=config.layer)


def _shown(config: ContainerConfig, spec: dict[str, Any]) -> dict[str, Any]:
    """The OCI config, for anybody to read: without the secrets that are variables."""
    hidden = {one.target for one in config.secrets if one.kind == "env"}
    if hidden:
        from pypod.engine.secret_use import HIDDEN

        variables = [entry.partition("=")[::2] for entry in spec["process"]["env"]]
        spec["process"]["env"] = [f"{key}={HIDDEN if key in hidden else value}" for key, value in variables]
    return spec


def _start_needs(context: Context, store: Store, container: Container, noted: Noted) -> None:
    for id in container.config.needs:
        other = containers.find(context, store, id)
        if containers.observe(other).status not in ("running", "paused") and id not in noted.started:
            _start_needs(context, store, other, noted)
            noted.start(other)


def _start(
    context: Context, store: Store, container: Container, noted: Noted, known: Outcome, preserve_fds: int
) -> Outcome:
    """``start.start_needs``, ``enter``, ``initialize`` and ``start``, as far as they can be foreseen."""
    config = container.config
    _start_needs(context, store, container, noted)
    if config.ipc.mode == "container":
        noted.shared_shm(containers.find(context, store, config.ipc.value), container.rundir + "/shm")
    path = runtimes.path_of(context, config.runtime)
    told = start.told_at(config, start.systemd()[0])
    made, request = start.make_bundle(context, store, container, noted, told)
    runtime = runtimes.of(context, container, path, made.cgroup_manager)
    options = start.monitor_options(context, container, runtime, preserve_fds, told)
    from conmon import spawn

    return replace(
        known,
        mounts=noted.mounts,
        spec=_shown(config, fastjson.loads(noted.files[container.userdata + "/config.json"].decode())),
        monitor=spawn.argv(options),
        runtime=[spawn.runtime_argv(options), runtime.argv("start", container.id)],
        network=request.mode,
        network_steps=network.plan(request),
    )
