"""The flags that choose namespaces, for ``options``: names of containers become ids, maps become numbers."""

from __future__ import annotations

import os

from pypod.engine.config import Namespace
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.engine.context import Context
    from pypod.engine.imageinfo import ImageInfo
    from storage.store import Store


def choose(text: str, kind: str, default: str, context: Context, store: Store, dependencies: list[str]) -> Namespace:
    """One of --pid, --ipc, --uts and --cgroupns; a container that is joined is added to ``dependencies``.

    Raises UsageError, NoSuchContainer.
    """
    if not text and default in ("private", "shareable", "host"):
        return Namespace(mode=default)
    from pypod.engine import namespaces

    return _resolve(namespaces.parse(text or default, kind), context, store, dependencies)


def network(
    texts: Sequence[str], context: Context, store: Store, dependencies: list[str]
) -> tuple[Namespace, dict[str, list[str]]]:
    """--network: the namespace, and the options of its driver or networks. Raises UsageError, NoSuchContainer."""
    if not texts:
        return Namespace(mode="private"), {}
    if len(texts) == 1 and texts[0] in ("none", "host"):
        return Namespace(mode=texts[0]), {}
    from pypod.engine import namespaces

    found = namespaces.parse_network(texts)
    if found.namespace.mode == "bridge" and found.options:
        from pypod.engine import networks

        networks.check(context, found.options)
    return _resolve(found.namespace, context, store, dependencies), found.options


def _resolve(namespace: Namespace, context: Context, store: Store, dependencies: list[str]) -> Namespace:
    """container:NAME as container:ID, which stays true when the container is renamed. Raises NoSuchContainer."""
    if namespace.mode != "container":
        return namespace
    from pypod.engine import container

    found = container.find(context, store, namespace.value)
    dependencies.append(found.id)
    return Namespace(mode="container", value=found.id)


def userns(options: Mapping[str, Any], context: Context) -> str:
    """What --userns says, or else the environment or containers.conf; with --uidmap or --gidmap the flag alone."""
    text = str(options.get("userns") or "")
    if not text and not options.get("uidmap") and not options.get("gidmap"):
        text = os.environ.get("PODMAN_USERNS", "") or str(context.containers.get("userns") or "")
    return text


def _taken(store: Store, total: int) -> list[tuple[int, int]]:
    """The (first id, count) ranges that containers have for themselves, ours and podman's.

    A map of one row is one, unless it has all ids there are (nomap); keep-id's have three, and share the user's ids.
    """
    maps = [record.uid_map for record in store.containers()]
    ranges = [(int(rows[0]["host_id"]), int(rows[0]["size"])) for rows in maps if len(rows) == 1]
    return [(first, count) for first, count in ranges if first and first + count <= total and count < total - 1]


def user(
    options: Mapping[str, Any], image: ImageInfo | None, context: Context, store: Store, dependencies: list[str]
) -> tuple[Namespace, list[list[int]], list[list[int]], str]:
    """--userns, --uidmap and --gidmap: the namespace, its uid and gid map, and the user that it makes the default.

    Raises UsageError, NoSuchContainer.
    """
    text = userns(options, context)
    if text in ("", "host") and not options.get("uidmap") and not options.get("gidmap"):
        return Namespace(mode="host"), [], [], ""
    from pypod.engine import namespaces
    from pypod.linux import idmap

    # The caller is in the user namespace already, so its own map says how many ids there are.
    uid_ids = namespaces.ids_available(idmap.of_process())
    gid_ids = namespaces.ids_available(idmap.of_process(kind="gid"))
    if options.get("uidmap") or options.get("gidmap"):
        if text:
            raise UsageError("--userns and --uidmap/--gidmap cannot be used together")
        uids = options.get("uidmap") or options["gidmap"]
        gids = options.get("gidmap") or options["uidmap"]
        uid_map = namespaces.parse_map(uids, "--uidmap", uid_ids)
        return Namespace(mode="private"), uid_map, namespaces.parse_map(gids, "--gidmap", gid_ids), ""
    taken: list[tuple[int, int]] = []
    needed = 0
    if text.startswith("auto"):
        taken = _taken(store, uid_ids)
        needed = _highest_id(store, image) + 1
    choice = namespaces.user_namespace(
        text,
        rootless=context.rootless,
        uid=context.uid,
        gid=context.gid,
        uid_ids=uid_ids,
        gid_ids=gid_ids,
        auto_size=needed,
        auto_taken=taken,
        auto_least=context.storage.auto_userns_min,
        auto_most=context.storage.auto_userns_max,
        auto_within=_within(context) if text.startswith("auto") else (),
    )
    resolved = _resolve(choice.namespace, context, store, dependencies)
    if resolved.mode == "container":
        from pypod.engine import container

        other = container.find(context, store, resolved.value)
        # In a pod with keep-id the user is the same one in every container.
        return resolved, other.config.uid_map, other.config.gid_map, other.config.user if other.config.infra else ""
    return choice.namespace, choice.uid_map, choice.gid_map, choice.user


def _within(context: Context) -> list[tuple[int, int]]:
    """The (first id, count) ranges that root's --userns=auto takes ids from: storage.conf's user's (subuid(5)).

    Rootless, all ids that there are. Raises UsageError without such a user: other ids may be a real user's.
    """
    if context.rootless:
        return []
    from pypod.linux import idmap

    name = context.storage.root_auto_userns_user
    ranges = idmap.subordinate("/etc/subuid", name, -1)
    if not ranges:
        raise UsageError(
            f'cannot find mappings for user "{name}": no subuid ranges found for user "{name}" in /etc/subuid',
            hint=f"useradd --system --no-create-home {name}, give it ranges in /etc/subuid and /etc/subgid,"
            " or name a user who has some as root-auto-userns-user in storage.conf",
        )
    if ranges != idmap.subordinate("/etc/subgid", name, -1):
        raise UsageError(f"cannot use --userns=auto: the ranges of {name} in /etc/subuid and /etc/subgid differ")
    return ranges


def _highest_id(store: Store, image: ImageInfo | None) -> int:
    """The highest id in an image's passwd(5) and group(5), which --userns=auto must have room for; 0 if unknown."""
    if image is None:
        return 0
    from pypod.engine import rootfs, users

    layer = store.find_image(image.id).layer
    highest = 0
    for path, parse in (("etc/passwd", users.parse_passwd), ("etc/group", users.parse_group)):
        for directory in (store.diff_directory(layer), *store.lower_directories(layer)):
            try:
                root = rootfs.open_root(directory)
            except OSError:
                continue
            try:
                text = rootfs.read(root, path)
            except OSError:
                continue
            finally:
                os.close(root)
            if text:
                lines: Sequence[Any] = parse(text)
                found = [max(line.gid, getattr(line, "uid", 0)) for line in lines]
                highest = max(highest, *(item for item in found if item < 65534), 0)
                break
    return highest
