"""``kube play``: pods, volumes and secrets out of a file; all of it, or nothing.

The whole file is read and translated before anything is made. What is made then is written down, and undone in
reverse order if a later step fails: an object that was there before stays as it was.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pypod.base import times
from pypod.engine import context as contexts
from pypod.engine import create as creation
from pypod.engine import kube_down, kube_volumes, networks, pod_create, pod_life, pod_remove, pods, rootless
from pypod.errors import InUse, PypodError, UsageError
from pypod.kube import read, translate
from pypod.kube.sources import Sources
from pypod.network import define
from pypod.network import networks as definitions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pypod.engine.context import Context
    from pypod.engine.images import Puller
    from pypod.engine.pods import Pod
    from pypod.kube.objects import File
    from storage.progress import Progress
    from storage.store import Store

NETWORK = "podman-default-kube-network"
_notify_socket = ""  # NOTIFY_SOCKET: the unit is ready when all pods run, not when their first container does


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``kube play`` is asked for. ``config_maps`` are the contents of more files, by their paths."""

    content: bytes
    config_maps: Mapping[str, bytes] = field(default_factory=dict)
    wishes: translate.Wishes = translate.Wishes()
    start: bool = True
    replace: bool = False
    addresses: Sequence[str] = ()  # of one pod each
    macs: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class PlayedPod:
    id: str
    containers: tuple[str, ...]  # without the init containers


@dataclass(frozen=True, kw_only=True)
class Played:
    """What was made: names of volumes, ids of all else."""

    file: File
    volumes: tuple[str, ...]
    secrets: tuple[str, ...]
    pods: tuple[PlayedPod, ...]
    warnings: tuple[str, ...]


def play(
    context: Context,
    store: Store,
    request: Request,
    create_command: Sequence[str],
    *,
    puller: Puller | None,
    progress: Progress,
) -> Played:
    """Raises PypodError of every kind; then nothing that was made is left."""
    global _notify_socket
    _notify_socket = os.environ.pop("NOTIFY_SOCKET", "")
    file = read.file(request.content)
    if not (file.pods or file.claims or file.secrets):
        raise UsageError("ConfigMaps in pypod are not a standalone object and must be used in a container")
    plans, warnings = _translate(context, file, request)
    _check_addresses(plans, request)
    kube_volumes.check(file)
    contexts.make_directories(context)
    rootless.enter_user(context)
    if request.replace:
        kube_down.pods_only(context, store, file)
    for plan in plans:
        pods.check_name(context, plan.name)
    undo: list[Callable[[], object]] = []
    try:
        for plan in plans:
            for place in plan.host_paths:
                kube_volumes.host_path(place, undo)
        if any(NETWORK in (plan.flags.get("network") or ()) for plan in plans):
            _network(context, store, undo)
        volumes = tuple(kube_volumes.claim(context, store, item, undo) for item in file.claims)
        secrets = tuple(kube_volumes.secret(context, item, undo) for item in file.secrets)
        made = []
        for number, plan in enumerate(plans):
            flags = {**plan.flags, **_addresses(request, number)}
            made.append(_pod(context, store, plan, flags, create_command, undo, puller=puller, progress=progress))
        if request.start:
            for pod, _ in made:
                pod_life.start_all(context, store, pod)
    except BaseException:
        _undo(undo)
        raise
    return Played(
        file=file,
        volumes=volumes,
        secrets=secrets,
        pods=tuple(PlayedPod(id=pod.id, containers=ids) for pod, ids in made),
        warnings=tuple(warnings),
    )


def _translate(context: Context, file: File, request: Request) -> tuple[list[translate.PodPlan], list[str]]:
    warnings = list(file.warnings)
    config_maps = {item.name: item.data for item in file.config_maps}
    for path, content in request.config_maps.items():
        try:
            more = read.file(content)
        except PypodError as error:
            raise UsageError(f"--configmap {path}: {error.message}", hint=error.hint) from None
        if more.pods or more.claims or more.secrets:
            raise UsageError(f"--configmap {path}: has other objects than config maps")
        for item in more.config_maps:
            if item.name in config_maps:
                raise UsageError(f"--configmap {path}: there is a config map {item.name} already")
            config_maps[item.name] = item.data
    sources = Sources(
        config_maps,
        {item.name: item.data for item in file.secrets},
        lambda name: kube_volumes.stored_secret(context, name),
    )
    plans = []
    for pod in file.pods:
        plan = translate.pod(pod, sources, request.wishes)
        warnings += plan.warnings
        plans.append(plan)
    return plans, warnings


def _check_addresses(plans: Sequence[translate.PodPlan], request: Request) -> None:
    for flag, given in (("--ip", request.addresses), ("--mac-address", request.macs)):
        if len(given) > len(plans):
            raise UsageError(f"{flag} was given {len(given)} times for {len(plans)} pods")


def _addresses(request: Request, number: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if number < len(request.addresses):
        address = request.addresses[number]
        found["ip6" if ":" in address else "ip"] = address
    if number < len(request.macs):
        found["mac_address"] = request.macs[number]
    return found


def _network(context: Context, store: Store, undo: list[Callable[[], object]]) -> None:
    """The network on which all played pods find each other, made with the first of them."""
    if definitions.exists(networks.directory(context), NETWORK):
        return
    wish = define.Wish(created=times.rfc3339(times.now()), reserved=networks.reserved(context))
    try:
        networks.create(context, NETWORK, wish)
    except InUse:
        if not definitions.exists(networks.directory(context), NETWORK):
            raise
        return  # somebody else's play was faster

    def remove() -> None:
        if not networks.users(context, store, NETWORK):
            networks.remove(context, store, NETWORK, force=False, timeout=None)

    undo.append(remove)


def _pod(
    context: Context,
    store: Store,
    plan: translate.PodPlan,
    flags: Mapping[str, Any],
    create_command: Sequence[str],
    undo: list[Callable[[], object]],
    *,
    puller: Puller | None,
    progress: Progress,
) -> tuple[Pod, tuple[str, ...]]:
    pod = pod_create.create(
        context,
        store,
        flags,
        create_command,
        volumes=[item.name for item in plan.volumes],
        puller=puller,
        progress=progress,
    )
    undo.append(lambda: pod_remove.remove(context, store, pod, force=True, timeout=0))
    for volume in plan.volumes:
        kube_volumes.own(context, store, volume, pod)
    ids = []
    for item in plan.containers:
        whole = {**item.flags, "pod": pod.id}
        try:
            made = creation.create(
                context, store, item.image, item.command, whole, create_command, puller=puller, progress=progress
            )
        except PypodError as error:
            error.message = f"container {item.name}: {error.message}"
            raise
        if not made.config.init_type:
            ids.append(made.id)
    return pod, tuple(ids)


def _undo(steps: list[Callable[[], object]]) -> None:
    for step in reversed(steps):
        try:
            step()
        except (PypodError, OSError):
            continue  # the user is told what went wrong first


def read_file(path: str) -> bytes:
    """A file, or stdin for "-"; a little more than what is allowed at most. Raises UsageError."""
    from pypod.errors import reason
    from pypod.kube import yamltext

    try:
        fd = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = b""
            while len(content) <= yamltext.SIZE and (chunk := os.read(fd, 1 << 20)):
                content += chunk
        finally:
            if fd:
                os.close(fd)
    except OSError as error:
        raise UsageError(f"open {path}: {reason(error).lower()}") from None
    return content


def tell_systemd() -> None:
    """That the pods run, if a unit waits to hear it."""
    from pypod.systemd import notify

    if _notify_socket:
        try:
            notify.send(_notify_socket, f"MAINPID={os.getpid()}\nREADY=1")
        except OSError:
            pass  # systemd says so itself, when it has waited for long enough


def wait(context: Context, store: Store, played: Played) -> list[int]:
    """Until no container of the pods runs but the infra containers; their exit codes. Raises PypodError."""
    from pypod.engine import container as containers
    from pypod.engine import wait as waiting
    from pypod.errors import NoSuchContainer

    codes = []
    for pod in played.pods:
        for identity in pod.containers:
            try:
                code = waiting.wait(context, store, containers.find(context, store, identity), ["stopped"], 0.25)
            except NoSuchContainer:
                continue
            codes.append(code)
    return codes
