"""``run --pod`` and ``create --pod``: what a container gets by being in a pod."""

from __future__ import annotations

from pypod.base import files
from pypod.engine import container as containers
from pypod.engine import create as creation
from pypod.engine import pods
from pypod.errors import NoSuchPod, PypodError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.engine.images import Puller
    from pypod.engine.pods import Pod
    from storage.progress import Progress
    from storage.store import Store

# What is shared → the flag that chooses it, which is the configuration's field too.
_SPACES = {"cgroup": "cgroupns", "ipc": "ipc", "net": "network", "pid": "pid", "uts": "uts"}
_DNS_FLAGS = ("dns", "dns_option", "dns_search")
# With ``--pod new:NAME`` these describe the pod (podman-run(1)).
_OF_NEW_POD = (
    *("add_host", "dns", "dns_option", "dns_search", "gidmap", "hostname", "hosts_file", "ip", "ip6", "mac_address"),
    *("network", "network_alias", "no_hostname", "no_hosts", "pid", "publish", "uidmap", "userns"),
)
_SHARED_NETWORK = "network cannot be configured when it is shared with a pod"


def create(
    context: Context,
    store: Store,
    image: str,
    command: Sequence[str],
    flags: Mapping[str, Any],
    create_command: Sequence[str],
    *,
    puller: Puller | None,
    progress: Progress,
) -> Container:
    """``create.create`` for a container of a pod, which ``new:NAME`` makes: it goes again if the container fails.

    Raises PypodError.
    """
    word, flags = chosen(flags)

    def make(pod: Pod) -> Container:
        return _make(context, store, image, command, flags, create_command, pod, puller, progress)

    if word.startswith("new:"):
        return _in_new(context, store, word[4:], flags, create_command, make, puller, progress)
    return make(find(context, word, flags))


def chosen(flags: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The pod that the flags name, and the other flags. Raises UsageError, NoSuchPod."""
    rest = dict(flags)
    word = rest.pop("pod", None) or ""
    id_file = rest.pop("pod_id_file", None)
    if id_file:
        if word:
            raise UsageError("cannot specify both --pod and --pod-id-file")
        word = read_id(id_file)
    return word, rest


def find(context: Context, word: str, flags: Mapping[str, Any]) -> Pod:
    """The pod of that name or id. Raises NoSuchPod, UsageError."""
    if flags.get("userns"):
        raise UsageError("--userns and --pod cannot be set together")
    return pods.find(context, word)


def read_id(path: str) -> str:
    """The pod's id in a --pod-id-file. Raises NoSuchPod."""
    try:
        return files.read(path, 256).decode("ascii", "replace").split("\n")[0].strip()
    except OSError as error:
        raise NoSuchPod(f"reading pod ID file: open {path}: {reason(error)}") from None


def take_of_new(name: str, flags: dict[str, Any]) -> dict[str, Any]:
    """Take the flags that describe a new pod out of ``flags``. Raises UsageError if it has no name."""
    if not name:
        raise UsageError("new pod name must be at least one character")
    return {flag: flags.pop(flag) for flag in _OF_NEW_POD if flags.get(flag)}


def _in_new(
    context: Context,
    store: Store,
    name: str,
    flags: dict[str, Any],
    create_command: Sequence[str],
    make: Callable[[Pod], Container],
    puller: Puller | None,
    progress: Progress,
) -> Container:
    from pypod.engine import pod_create, pod_remove

    of_pod = take_of_new(name, flags)
    pod = pod_create.create(context, store, of_pod, create_command, name=name, puller=puller, progress=progress)
    try:
        return make(pod)
    except BaseException:
        pod_remove.remove(context, store, pod, force=True)
        raise


def _make(
    context: Context,
    store: Store,
    image: str,
    command: Sequence[str],
    flags: dict[str, Any],
    create_command: Sequence[str],
    pod: Pod,
    puller: Puller | None,
    progress: Progress,
) -> Container:
    whole = member_flags(context, store, flags, pod)
    if puller is not None and not whole.get("rootfs"):
        # Not under the pod's lock: it takes as long as it takes.
        from pypod.engine import images, rootless

        rootless.enter_user(context)
        images.find_or_pull(context, store, image, whole, puller)
    with pods.lock(context, pod.id) as held:
        if not pods.exists(context, pod.id):
            files.remove_tree(held.path)
            raise NoSuchPod(f"no pod with name or ID {pod.name} found: no such pod")
        return creation.create(context, store, image, command, whole, create_command, progress=progress)


def member_flags(context: Context, store: Store, flags: Mapping[str, Any], pod: Pod) -> dict[str, Any]:
    """The flags of a container, with those that it has by being in the pod. Raises UsageError, NoSuchContainer."""
    joined: dict[str, Any] = {}
    if pod.infra_id:
        joined = _joined(flags, pod, containers.find(context, store, pod.infra_id))
    whole = {**flags, **joined, "pod_id": pod.id}
    for flag, texts in pod.members.items():
        whole[flag] = [*texts, *(whole.get(flag) or ())]
    if pod.cgroup_path and not whole.get("cgroup_parent"):
        whole["cgroup_parent"] = pod.cgroup_path
    if pod.restart_policy and not any(map(whole.get, ("init_ctr", "restart", "rm"))):
        whole["restart"] = pod.restart_policy
    return whole


def _joined(flags: Mapping[str, Any], pod: Pod, infra: Container) -> dict[str, Any]:
    """The flags that join a member to what the pod shares, unless it has its own. Raises UsageError."""
    found: dict[str, Any] = {"requires": [*(flags.get("requires") or ()), infra.id]}
    for kind in pod.shares:
        flag = _SPACES[kind]
        if flags.get(flag) and not _of_pod(flags[flag]):
            continue
        if kind == "net":
            _check_network(flags)
        elif kind == "uts" and flags.get("hostname"):
            raise _invalid("cannot set hostname when joining the pod UTS namespace: invalid configuration")
        own = getattr(infra.config, flag)
        # The host's own is nobody's to join: a user may not.
        mode = "host" if own.mode == "host" else f"container:{infra.id}"
        found[flag] = [mode] if kind == "net" else mode
        if kind == "uts" and mode != "host":
            found["hostname"] = infra.config.hostname
        elif kind == "net":
            found.update((name, ()) for name in _DNS_FLAGS)
    if infra.config.userns.mode != "host" or infra.config.uid_map:
        found["userns"] = f"container:{infra.id}"
    if infra.config.mounts:
        found["volumes_from"] = [infra.id, *(flags.get("volumes_from") or ())]
    return found


def _of_pod(value: Any) -> bool:
    """``--network pod`` and its like ask for what is the default."""
    return bool(value in ("pod", ["pod"]))


def _check_network(flags: Mapping[str, Any]) -> None:
    if flags.get("publish") or flags.get("publish_all"):
        raise _invalid(f"published or exposed ports must be defined when the pod is created: {_SHARED_NETWORK}")
    if flags.get("add_host"):
        raise _invalid(f"extra host entries must be specified on the pod: {_SHARED_NETWORK}")
    if any(map(flags.get, ("ip", "ip6", "mac_address", "network_alias"))):
        raise _invalid(f"networks must be defined when the pod is created: {_SHARED_NETWORK}")
    if any(map(flags.get, _DNS_FLAGS)):
        from pypod.base import report

        report.warning("name servers are the pod's: --dns, --dns-option and --dns-search have no effect")


def _invalid(what: str) -> PypodError:
    return UsageError(f"invalid config provided: {what}")
