"""Bridge networks as objects: list, define, remove, and who uses them."""

from __future__ import annotations

import os

from pypod.engine import container as containers
from pypod.engine import events
from pypod.errors import InUse, NetworkError, UsageError, reason
from pypod.network import networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from pypod.network.define import Wish
    from storage.store import Store


def directory(context: Context) -> str:
    """Where the definitions are."""
    given = context.flags.get("network_config_dir")
    return os.path.abspath(given) if given else context.state_dir + "/networks"


def find(context: Context, reference: str) -> dict[str, Any]:
    """By name, id or unique prefix of an id. Raises NotFound."""
    return networks.find(directory(context), reference)


def create(context: Context, name: str, wish: Wish) -> dict[str, Any]:
    """Define a network. Raises InUse for a name or subnet that is taken, UsageError, NetworkError."""
    from pypod.engine import context as contexts
    from pypod.network import define, leases

    contexts.make_directories(context)
    place = directory(context)
    if context.rootless:
        made = define.create(place, name, wish)
    else:
        made = define.create_noted(leases.BRIDGES, place, name, wish)
    events.network(context, "create", name, str(made["id"]))
    return made


def check(context: Context, chosen: Mapping[str, Sequence[str]]) -> None:
    """What a container is to join, by names of networks, before it is made. Raises NotFound, UsageError."""
    from pypod.network import attachments

    for name, words in chosen.items():
        attachments.parse(find(context, name or networks.DEFAULT), words)


def users(context: Context, store: Store, name: str) -> list[Container]:
    """The containers that are configured to be on a network, whether they run or not."""
    return [item for item in containers.every(context, store) if name in bridges_of(context, item)]


def bridges_of(context: Context, container: Container) -> list[str]:
    """The names of the networks that a container is on."""
    config = container.config
    if config.network.mode in ("private", "default", "") and not context.rootless:
        return [networks.DEFAULT]
    return config.bridges


def view(context: Context, store: Store, network: dict[str, Any]) -> dict[str, Any]:
    """The network as ``network inspect`` shows it, with its running containers (podman-network-inspect(1))."""
    found = {}
    for container in users(context, store, network["name"]):
        status = containers.observe(container).network
        joined = (status.get("networks") or {}).get(network["name"])
        if not joined:
            continue
        subnets = []
        for address, prefix, gateway in (
            ("IPAddress", "IPPrefixLen", "Gateway"),
            ("GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway"),
        ):
            if joined[address]:
                place = {"ipnet": f"{joined[address]}/{joined[prefix]}"}
                subnets.append({**place, "gateway": joined[gateway]} if joined[gateway] else place)
        interface = status["netavark"]["networks"][network["name"]]["interface_name"]
        found[container.id] = {
            "name": container.name,
            "interfaces": {interface: {"subnets": subnets, "mac_address": joined["MacAddress"]}},
        }
    return {**network, "containers": found}


def reserved(context: Context) -> list[str]:
    """Networks that no bridge may overlap: the one by which a rootless user's bridges are connected."""
    if not context.rootless:
        return []
    words = context.engine.get("network_cmd_options")
    given = [str(word)[5:] for word in words if str(word).startswith("cidr=")] if isinstance(words, list) else []
    return given or ["10.0.2.0/24"]


def need_routes(context: Context) -> None:
    """Raise NetworkError unless netavark knows routes: an older one leaves them out in silence."""
    from pypod.base import process

    program = process.find("netavark", context.helper_dirs)
    if program is None:
        return
    words = process.run([program, "--version"]).stdout.decode("ascii", "replace").split()
    version = [int(part) if part.isdecimal() else 0 for part in words[-1].split(".")] if words else [0]
    if version < [1, 6]:
        raise NetworkError(f"cannot create network: routes need netavark 1.6 or later, this is {words[-1]}")


_FILTERS = ("name", "id", "driver", "label", "label!", "until", "dangling")
PRUNE_FILTERS = ("label", "label!", "until")


def select(
    context: Context, store: Store, filters: Sequence[str], allowed: Sequence[str] = _FILTERS
) -> list[dict[str, Any]]:
    """The networks that the filters describe: of one key any value will do, but every label. Raises UsageError."""
    found = networks.every(directory(context))
    wanted: dict[str, list[str]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if key == "label" and value.startswith("!"):
            key, value = "label!", value[1:]
        elif key.endswith("!"):
            key = key.strip()
        if not equals:
            raise UsageError(f"invalid argument {text!r}: filter must be KEY=VALUE")
        if key not in allowed:
            raise UsageError(f'invalid filter "{key}"', hint=f"one of {', '.join(allowed)}, with =VALUE")
        wanted.setdefault(key, []).append(value)
    for key, values in wanted.items():
        found = [item for item in found if _matches(context, store, item, key, values)]
    return found


def _matches(context: Context, store: Store, item: dict[str, Any], key: str, values: list[str]) -> bool:
    if key in ("label", "label!"):
        has = [_has_label(item.get("labels") or {}, value) for value in values]
        return all(has) if key == "label" else not any(has)
    if key == "dangling":
        if any(value not in ("true", "false", "1", "0") for value in values):
            raise UsageError(f'invalid dangling filter value "{values[0]}"')
        free = not users(context, store, item["name"]) and item["name"] != networks.DEFAULT
        return free is (values[-1] in ("true", "1"))
    if key == "until":
        from pypod.base import times
        from pypod.engine import filters

        made = times.parse_rfc3339(str(item.get("created") or "1970-01-01T00:00:00Z"))
        return all(made < filters.parse_moment(value) for value in values)
    if key == "id":
        return any(str(item.get("id", "")).startswith(value) for value in values)
    if key == "driver":
        return item.get("driver") in values
    import re

    try:
        return any(re.search(value, item["name"]) for value in values)
    except re.error as error:
        raise UsageError(f"invalid regular expression in filter name: {error}") from None


def _has_label(labels: dict[str, str], text: str) -> bool:
    label, with_value, wanted = text.partition("=")
    return label in labels and (not with_value or labels[label] == wanted)


def remove(context: Context, store: Store, reference: str, *, force: bool, timeout: int | None) -> str:
    """Forget a network, with ``force`` its containers too; its name. Raises NotFound, InUse (code 2)."""
    found = networks.find(directory(context), reference)
    name = str(found["name"])
    if name != networks.DEFAULT:
        attached = users(context, store, name)
        if attached and not force:
            raise InUse(
                f'"{name}" has associated containers with it. Use -f to forcibly delete containers and pods:'
                " network is being used",
                code=2,
            )
        for container in attached:
            from pypod.engine import pod_remove

            pod_remove.in_the_way(context, store, container, timeout=timeout)
    networks.remove(directory(context), name)
    events.network(context, "remove", name, str(found.get("id", "")))
    if not context.rootless and found.get("driver") == "bridge":
        _remove_bridge(str(found.get("network_interface", "")), name)
    return name


def _is_free(ports: str) -> bool:
    """Whether a bridge has lost its last port: that of a container that has just ended goes a moment later.

    Another store's network may have the same bridge, and containers on it.
    """
    import time

    for _ in range(100):
        try:
            if not os.listdir(ports):
                return True
        except OSError:
            return False  # there is no such bridge
        time.sleep(0.005)
    return False


def _remove_bridge(interface: str, name: str) -> None:
    """netavark leaves the bridge of a container whose namespace went first: it belongs to the network."""
    from pypod.network import leases, netlink

    if interface and _is_free(f"/sys/class/net/{interface}/brif"):
        try:
            netlink.delete_link(interface)
        except OSError as error:
            if error.errno != 19:  # ENODEV: somebody else was faster
                raise NetworkError(f"cannot remove bridge {interface}: {reason(error)}") from None
    leases.forget(leases.path_of(name))
