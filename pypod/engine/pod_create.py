"""``pod create``: from flags to a pod with its infra container; nothing is left behind if it fails."""

from __future__ import annotations

import os

from pypod.base import files, times
from pypod.engine import context as contexts
from pypod.engine import create as creation
from pypod.engine import events, names, option_engine, pod_cgroup, pods, rootless
from pypod.engine.pods import Pod
from pypod.errors import InUse, NoSuchContainer, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.images import Puller
    from storage.progress import Progress
    from storage.store import Store

SHARED = ("ipc", "net", "uts")
_KINDS = ("cgroup", "ipc", "net", "pid", "uts")
_EXIT_POLICIES = ("continue", "stop")
# The flags that describe the infra container as they would any other.
_INFRA_FLAGS = (
    *("add_host", "device", "dns", "dns_option", "dns_search", "gidmap", "hosts_file", "ip", "ip6", "label"),
    *("label_file", "mac_address", "network", "network_alias", "no_hostname", "no_hosts", "pid", "publish"),
    *("security_opt", "shm_size", "subgidname", "subuidname", "sysctl", "uidmap", "userns", "uts", "volume"),
    "volumes_from",
)
# Those of them that each member of the pod gets too.
_MEMBER_FLAGS = ("device", "security_opt")
_NETWORK_FLAGS = (
    *("add_host", "dns", "dns_option", "dns_search", "ip", "ip6", "mac_address", "network", "network_alias"),
    *("no_hosts", "publish"),
)


def create(
    context: Context,
    store: Store,
    flags: Mapping[str, Any],
    create_command: Sequence[str],
    *,
    name: str = "",
    volumes: Sequence[str] = (),
    puller: Puller | None = None,
    progress: Progress,
) -> Pod:
    """Make a pod by podman-pod-create(1)'s ``flags``; enters the user namespace. Raises PypodError of every kind.

    ``volumes`` are names of volumes, which the caller makes, that are removed with the pod.
    """
    id_file = flags.get("pod_id_file") or ""
    if id_file and os.path.exists(id_file):
        raise UsageError(f"pod id file exists. Ensure another pod is not using it or delete {id_file}")
    name = name or flags.get("name") or ""
    if name:
        try:
            names.check(name)
        except UsageError as error:
            raise UsageError(f"running pod create option: {error.message.partition(': ')[2]}") from None
    infra, shares = _shares(flags)
    _check(context, flags, infra)
    contexts.make_directories(context)
    rootless.enter_user(context)
    if os.path.isdir(pods.directory(context)):
        from pypod.engine import pod_check

        pod_check.leftovers(context, store, repair=True)
    if flags.get("replace"):
        if not name:
            raise UsageError("cannot replace pod without --name being set")
        _replace(context, store, name)
    if name:
        pods.check_name(context, name)
    else:
        name = pods.free_name(context)
    identity = names.random_id()
    parent, path = _cgroup(context, flags, identity)
    if not infra or flags.get("share_parent") is False:
        path = ""
    pod = Pod(
        id=identity,
        name=name,
        created=times.rfc3339(times.now()),
        create_command=list(create_command),
        labels=option_engine.labels(flags, {}),
        hostname=flags.get("hostname") or "",
        shares=shares,
        exit_policy=flags.get("exit_policy") or "continue",
        restart_policy=flags.get("restart") or "",
        cgroup_parent=parent,
        cgroup_path=path,
        limits=pod_cgroup.limits(context, flags, path),
        members={flag: list(flags[flag]) for flag in _MEMBER_FLAGS if flags.get(flag)},
        volumes=list(volumes),
    )
    lock = pods.lock(context, identity)
    try:
        with lock:
            made = _make(context, store, flags, pod, infra, puller, progress)
    except BaseException:
        if not pods.exists(context, identity):
            files.remove_tree(lock.path)
        raise
    events.pod(context, "create", pod.id, pod.name)
    return made


def _make(
    context: Context,
    store: Store,
    flags: Mapping[str, Any],
    pod: Pod,
    infra: bool,
    puller: Puller | None,
    progress: Progress,
) -> Pod:
    from pypod.base.record import replace

    holder = None
    if infra:
        holder = _infra(context, store, flags, pod, puller, progress)
        pod = replace(pod, infra_id=holder.id)
    try:
        if flags.get("pod_id_file"):
            creation.write_id(flags["pod_id_file"], pod.id, "pod")
        pods.save(context, pod)
    except BaseException:
        if holder is not None:
            from pypod.engine import remove

            remove.remove(context, store, holder, force=True, volumes=True)
        raise
    return pod


def _infra(
    context: Context,
    store: Store,
    flags: Mapping[str, Any],
    pod: Pod,
    puller: Puller | None,
    progress: Progress,
) -> Container:
    wanted: dict[str, Any] = {flag: flags[flag] for flag in _INFRA_FLAGS if flags.get(flag)}
    wanted.update(
        {
            "name": flags.get("infra_name") or f"{pod.id[:12]}-infra",
            "pod_id": pod.id,
            "is_infra": True,
            "conmon_pidfile": flags.get("infra_conmon_pidfile"),
            "entrypoint": flags.get("infra_command"),
            "cgroup_parent": pod.cgroup_path or flags.get("cgroup_parent"),
            "http_proxy": False,
        }
    )
    if wanted.get("uts") != "host":
        wanted["hostname"] = pod.hostname or pod.name
    image = flags.get("infra_image") or str(context.engine.get("infra_image") or "")
    if not image:
        from pypod.engine import pod_infra

        image = pod_infra.rootfs(context)
        if wanted.get("volume") or wanted.get("volumes_from"):
            image += ":O"  # the mount points are its own
        wanted.update(rootfs=True, read_only=True, read_only_tmpfs=False, passwd=False)
        wanted["entrypoint"] = wanted["entrypoint"] or pod_infra.COMMAND
    return creation.create(context, store, image, [], wanted, pod.create_command, puller=puller, progress=progress)


def _shares(flags: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """Whether there is an infra container, and what the members share. Raises UsageError."""
    given = flags.get("share")
    words = [word for word in (given or "").split(",") if word and word != "none"]
    shares: list[str] = list(SHARED) if given is None or any(word.startswith("+") for word in words) else []
    for word in words:
        kind = word.removeprefix("+")
        if kind not in _KINDS:
            raise UsageError(
                f"invalid kernel namespace to share: {kind}. Options are: cgroup, ipc, net, pid, uts or none"
            )
        if kind not in shares:
            shares.append(kind)
    if flags.get("infra") is False:
        if words:
            raise UsageError(f"cannot set share({','.join(words)}) namespaces without an infra container")
        return False, []
    return bool(shares), shares


def _check(context: Context, flags: Mapping[str, Any], infra: bool) -> None:
    if not infra:
        if flags.get("publish"):
            raise UsageError("you must have an infra container to publish port bindings to the host")
        if any(map(flags.get, _NETWORK_FLAGS)):
            raise UsageError("NoInfra and network modes cannot be used together")
        if flags.get("infra_command"):
            raise UsageError("cannot set infra-command without an infra container")
    if flags.get("publish") and any(text in ("host", "none") for text in flags.get("network") or ()):
        raise UsageError("PortMappings can only be used with Bridge or slirp4netns networking")
    policy = flags.get("exit_policy") or "continue"
    if policy not in _EXIT_POLICIES:
        raise UsageError(f'running pod create option: invalid pod exit policy: "{policy}"')
    option_engine.restart({"restart": flags.get("restart")})
    for flag in ("gpus", "shm_size_systemd"):
        if flags.get(flag):
            raise UsageError(f"--{flag.replace('_', '-')} is not supported yet")


def _cgroup(context: Context, flags: Mapping[str, Any], identity: str) -> tuple[str, str]:
    """The parent of the pod's cgroup, and the parent of its members' ones, as --cgroup-parent takes it."""
    from pypod.engine import limits

    parent = flags.get("cgroup_parent") or ""
    manager = limits.manager(context)
    if manager == "systemd":
        parent = parent or ("user.slice" if context.rootless else "machine.slice")
        if not parent.endswith(".slice"):
            raise UsageError(f"did not receive systemd slice as cgroup parent when using systemd: {parent}")
        return parent, f"{os.path.basename(parent).removesuffix('.slice')}-libpod_pod_{identity}.slice"
    if manager == "cgroupfs" and (parent or not context.rootless):
        parent = "/" + (parent or "libpod_parent").strip("/")
        return parent, f"{parent}/{identity}"
    return parent, ""


def _replace(context: Context, store: Store, name: str) -> None:
    from pypod.engine import pod_remove

    for pod in pods.every(context):
        if pod.name == name:
            try:
                pod_remove.remove(context, store, pod, force=True)
            except NoSuchContainer:
                pass
            except PypodError as error:
                raise InUse(f"cannot replace pod {name}: {error.message}") from None
