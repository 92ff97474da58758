"""Bridge networks as objects: list, define, remove, and who uses them."""

from __future__ import annotations

import os

from pypod.engine import container as containers
from pypod.errors import InUse, NetworkError, UsageError, reason
from pypod.network import networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.store import Store


def directory(context: Context) -> str:
    """Where the definitions are."""
    given = context.flags.get("network_config_dir")
    return os.path.abspath(given) if given else context.state_dir + "/networks"


def find(context: Context, reference: str) -> dict[str, Any]:
    """By name, id or unique prefix of an id. Raises NotFound."""
    return networks.find(directory(context), reference)


def users(context: Context, store: Store, name: str) -> list[Container]:
    """The containers that are configured to be on a network, whether they run or not."""
    found = []
    for container in containers.every(context, store):
        mode = container.config.network.mode
        if mode != "bridge" and not (mode in ("private", "default", "") and not context.rootless):
            continue
        names = [key or networks.DEFAULT for key in container.config.network_options] or [networks.DEFAULT]
        if name in names:
            found.append(container)
    return found


def select(context: Context, filters: Sequence[str]) -> list[dict[str, Any]]:
    """The networks that all filters describe: name, id, driver, label. Raises UsageError."""
    found = networks.every(directory(context))
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals or key not in ("name", "id", "driver", "label"):
            raise UsageError(f'invalid filter "{text}"', hint="one of driver, id, label, name, with =VALUE")
        if key == "label":
            label, with_value, wanted = value.partition("=")
            found = [
                item
                for item in found
                if label in (item.get("labels") or {}) and (not with_value or item["labels"][label] == wanted)
            ]
        elif key == "driver":
            found = [item for item in found if item.get("driver") == value]
        elif key == "id":
            found = [item for item in found if str(item.get("id", "")).startswith(value)]
        else:
            found = [item for item in found if value in item["name"]]
    return found


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
            from pypod.engine import remove as removal

            removal.remove(context, store, container, force=True, depend=True, timeout=timeout)
    networks.remove(directory(context), name)
    if not context.rootless:
        _remove_bridge(str(found.get("network_interface", "")), name)
    return name


def _remove_bridge(interface: str, name: str) -> None:
    """netavark leaves the bridge when the last container goes: it belongs to the network."""
    from pypod.network import leases, netlink

    if interface and os.path.isdir(f"/sys/class/net/{interface}/bridge"):
        try:
            netlink.delete_link(interface)
        except OSError as error:
            if error.errno != 19:  # ENODEV: somebody else was faster
                raise NetworkError(f"cannot remove bridge {interface}: {reason(error)}") from None
    leases.forget(leases.path_of(name))
