"""--pid, --ipc, --uts, --cgroupns, --network, --userns: which namespaces a container has, and its id maps."""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine.config import Namespace
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.linux.idmap import Range

_MODES = {
    "pid": ("host", "private"),
    "ipc": ("host", "private", "shareable", "none"),
    "uts": ("host", "private"),
    "cgroup": ("host", "private"),
}

# Modes of the network that take options after a colon.
_NETWORK_DRIVERS = ("pasta", "slirp4netns", "bridge")


def parse(text: str, kind: str) -> Namespace:
    """One of --pid, --ipc, --uts, --cgroupns. Raises UsageError."""
    mode, colon, value = text.partition(":")
    if mode in ("container", "ns") and colon:
        return _joined(mode, value, kind)
    if mode in _MODES[kind] and not colon:
        return Namespace(mode=mode)
    raise UsageError(f"unrecognized namespace mode {text} passed for --{kind}: invalid argument")


def _joined(mode: str, value: str, kind: str) -> Namespace:
    if not value:
        what = "a container's name or ID" if mode == "container" else "a path"
        raise UsageError(f"must provide {what} to join a {kind} namespace: invalid argument")
    if mode == "ns" and not value.startswith("/"):
        raise UsageError(f"cannot join {kind} namespace {value}: not an absolute path")
    return Namespace(mode=mode, value=value)


@record
class NetworkChoice:
    """The mode, and for a bridge the networks with their options."""

    namespace: Namespace
    options: dict[str, list[str]] = {}


def parse_network(texts: Sequence[str]) -> NetworkChoice:
    """All --network flags. Raises UsageError."""
    if not texts:
        return NetworkChoice(namespace=Namespace(mode="private"))
    networks: dict[str, list[str]] = {}
    single = None
    for text in texts:
        mode, colon, value = text.partition(":")
        if mode in ("container", "ns") and colon:
            single = NetworkChoice(namespace=_joined(mode, value, "network"))
        elif mode in ("", "private", "default", "none", "host"):
            if colon:
                raise UsageError(f"invalid network {text!r}: {mode} takes no options")
            single = NetworkChoice(namespace=Namespace(mode="private" if mode in ("", "default") else mode))
        elif mode in ("pasta", "slirp4netns"):
            single = NetworkChoice(namespace=Namespace(mode=mode), options={mode: value.split(",")} if value else {})
        elif mode == "bridge" and not colon:
            single = NetworkChoice(namespace=Namespace(mode="bridge"))
        else:
            # bridge:OPTIONS are those of the default network.
            name = "" if mode == "bridge" else mode
            networks.setdefault(name, []).extend(word for word in value.split(",") if word)
    if single is not None:
        if len(texts) > 1:
            raise UsageError(
                f"cannot set multiple networks with {single.namespace.mode}: only bridge networks can be combined:"
                " invalid argument"
            )
        return single
    return NetworkChoice(namespace=Namespace(mode="bridge"), options=networks)


@record
class UserNamespace:
    """The choice, and the maps: [id in the container, id in the namespace that we run in, count]."""

    namespace: Namespace
    uid_map: list[list[int]] = []
    gid_map: list[list[int]] = []
    user: str = ""  # the user that keep-id makes the default
    keep_id: bool = False


def _keep(own: int, highest: int, total: int) -> list[list[int]]:
    """The ids of a namespace of ``total`` ids such that 0 out there (the user) is ``own`` in here."""
    if total <= 1:
        return [[own, 0, 1]]
    result = []
    below = min(own, total - 1)
    if below:
        result.append([0, 1, below])
    result.append([own, 0, 1])
    if total - 1 > below:
        result.append([own + 1, below + 1, total - 1 - below])
    return result


def user_namespace(
    text: str,
    *,
    rootless: bool,
    uid: int,
    gid: int,
    uid_ids: int,
    gid_ids: int,
    auto_size: int = 0,
    auto_taken: Sequence[tuple[int, int]] = (),
    auto_least: int = 1024,
    auto_most: int = 65536,
    auto_within: Sequence[tuple[int, int]] = (),
) -> UserNamespace:
    """--userns. ``uid_ids`` and ``gid_ids`` are how many ids the namespace has that we run in; ``auto_taken`` the
    (first id, count) ranges of other containers' auto maps; ``auto_size`` what an image without a size needs, which
    becomes ``auto_least`` at least and ``auto_most`` at most. ``auto_within``: the ranges to choose from, if not all.

    Raises UsageError.
    """
    mode, colon, value = text.partition(":")
    options: dict[str, str] = {}
    for word in value.split(",") if colon and mode in ("keep-id", "auto", "nomap") else ():
        key, separator, item = word.partition("=")
        if not separator:
            raise UsageError(f"invalid option {word!r} in --userns {text}: must be KEY=VALUE")
        options[key] = item
    if mode in ("", "host") and not colon:
        return UserNamespace(namespace=Namespace(mode="host"))
    if mode in ("container", "ns") and colon:
        return UserNamespace(namespace=_joined(mode, value, "user"))
    if mode == "private" and not colon:
        # An own namespace with the ids of the one around it, but for podman's sake no id of ours to be kept.
        return UserNamespace(
            namespace=Namespace(mode="private"), uid_map=[[0, 0, uid_ids]], gid_map=[[0, 0, gid_ids]]
        )
    if mode == "keep-id":
        if not rootless:
            raise UsageError("keep-id is only supported in rootless mode")
        own = _number(options.pop("uid", str(uid)), text)
        group = _number(options.pop("gid", str(gid)), text)
        if options:
            raise UsageError(f"unknown option specified: {next(iter(options))!r}: --userns {text}")
        return UserNamespace(
            namespace=Namespace(mode="keep-id", value=value),
            uid_map=_keep(own, own, uid_ids),
            gid_map=_keep(group, group, gid_ids),
            user=f"{own}:{group}",
            keep_id=True,
        )
    if mode == "nomap" and not colon:
        if not rootless:
            raise UsageError("nomap is only supported in rootless mode: invalid argument")
        if uid_ids < 2 or gid_ids < 2:
            raise UsageError("--userns nomap needs subordinate ids (see subuid(5))")
        return UserNamespace(
            namespace=Namespace(mode="nomap"),
            uid_map=[[0, 1, uid_ids - 1]],
            gid_map=[[0, 1, gid_ids - 1]],
            user="0:0",
        )
    if mode == "auto":
        size = min(max(auto_size, auto_least), auto_most)
        ranges = sorted(auto_within) or [(1, min(uid_ids, gid_ids) - 1)]
        return _auto(text, options, size, ranges, auto_taken)
    raise UsageError(f"unrecognized namespace mode {text} passed for --userns: invalid argument")


def _auto(
    text: str,
    options: dict[str, str],
    needed: int,
    ranges: Sequence[tuple[int, int]],
    taken: Sequence[tuple[int, int]],
) -> UserNamespace:
    size = _number(options.pop("size", "0"), text) or needed
    extra = {kind: options.pop(kind, "") for kind in ("uidmapping", "gidmapping")}
    if options:
        raise UsageError(f"unknown option specified: {next(iter(options))!r}: --userns {text}")
    if any(extra.values()):
        raise UsageError(f"uidmapping and gidmapping in --userns {text} are not supported yet")
    left = 0
    for start, length in ranges:
        first = start
        for begin, count in sorted(taken):
            if first + size <= begin:
                break
            if begin + count > first:
                first = begin + count
        if first + size <= start + length:
            break
        left = max(left, start + length - first)
    else:
        raise UsageError(
            f"not enough unused IDs in user namespace: {size} are needed, {left} are left",
            hint="give the user a larger range in /etc/subuid and /etc/subgid, or --userns auto:size=N",
        )
    ids = [[0, first, size]]
    return UserNamespace(namespace=Namespace(mode="auto"), uid_map=ids, gid_map=[list(item) for item in ids])


def _number(text: str, whole: str) -> int:
    if not text.isdecimal() or int(text) > 4294967294:
        raise UsageError(f"invalid number {text!r} in --userns {whole}")
    return int(text)


def parse_map(texts: Sequence[str], flag: str, total: int) -> list[list[int]]:
    """--uidmap or --gidmap CONTAINER:HOST[:COUNT]; host ids are those of the namespace that we run in.

    Raises UsageError.
    """
    result = []
    for text in (part for whole in texts for part in whole.split(",")):
        words = text.split(":")
        if len(words) not in (2, 3) or not all(word.isdecimal() for word in words):
            raise UsageError(f"invalid {flag} {text!r}: must be CONTAINER:HOST[:COUNT]")
        first, host = int(words[0]), int(words[1])
        count = int(words[2]) if len(words) == 3 else 1
        if count < 1:
            raise UsageError(f"invalid {flag} {text!r}: the count must be positive")
        if host + count > total:
            raise UsageError(f"invalid {flag} {text!r}: only the ids 0 to {total - 1} are there")
        result.append([first, host, count])
    return result


def ids_available(ranges: Sequence[Range]) -> int:
    """How many ids a namespace has, counted from 0 without a gap; 4294967295 for the initial one."""
    total = 0
    for item in sorted(ranges, key=lambda one: one.inside):
        if item.inside != total:
            break
        total += item.count
    return total
