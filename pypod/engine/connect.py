"""``network connect``, ``disconnect``, ``reload`` and ``update``: what is changed in a container, and on disk."""

from __future__ import annotations

from pypod.base.record import from_json, replace, to_json
from pypod.engine import container as containers
from pypod.engine import netconfig, networks, rootless
from pypod.engine.config import Namespace
from pypod.engine.container import Container, State, observe, save_state
from pypod.errors import BadState, InUse, NetworkError, NotFound, UsageError
from pypod.network import attachments, hotplug
from pypod.network.records import NetworkRequest, NetworkStatus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pypod.engine.context import Context
    from storage.store import Store


def connect(context: Context, store: Store, container: Container, reference: str, words: Sequence[str]) -> None:
    """Put a container on one more network, at once if it runs. Raises NotFound, UsageError, InUse, NetworkError."""
    _check_mode(context, container)
    network = networks.find(context, reference)
    name = str(network["name"])
    attachments.parse(network, words)
    _enter(context)
    with container.lock:
        container = containers.find(context, store, container.id)
        state = observe(container)
        # One that was killed half-way is gone on with.
        if name in networks.bridges_of(context, container) and (
            not _runs(state) or name in _joined(state, "networks")
        ):
            raise InUse(
                f"container {container.id} is already connected to network {name}: network is already connected"
            )
        chosen = _words(context, container, state)
        chosen.pop(name, None)
        interfaces = [_interface(own) for own in chosen.values()]
        interface = next((word for word in words if word.startswith("interface_name=")), "")
        own = [*words] if interface else [*words, f"interface_name={attachments.free_interface(interfaces)}"]
        before = container.config
        container = _store(container, {**chosen, name: own})
        if not _runs(state):
            return
        try:
            request, status = _request(context, container), _status(state)
            hotplug.connect(request, status, state.pid, name, _saver(container, state))
        except BaseException:
            containers.save_config(container, before)
            raise


def disconnect(context: Context, store: Store, container: Container, reference: str) -> None:
    """Take a container off a network, at once if it runs. Raises NotFound, UsageError, NetworkError."""
    _check_mode(context, container)
    joined = [*networks.bridges_of(context, container), *_joined(observe(container), "netavark")]
    # A network that is gone can be left, too.
    name = reference if reference in joined else str(networks.find(context, reference)["name"])
    _enter(context)
    with container.lock:
        container = containers.find(context, store, container.id)
        state = observe(container)
        plugged = _runs(state) and name in _joined(state, "netavark")
        if name not in networks.bridges_of(context, container) and not plugged:
            raise NotFound(f"container {container.name} is not connected to network {name}", code=125)
        chosen = _words(context, container, state)
        chosen.pop(name, None)
        container = _store(container, chosen)
        if plugged:
            request, status = _request(context, container), _status(state)
            hotplug.disconnect(request, status, state.pid, name, _saver(container, state))


def reload(context: Context, store: Store, container: Container) -> None:
    """Make the network of a running container anew. Raises BadState if it does not run, NetworkError."""
    _enter(context)
    with container.lock:
        state = observe(container)
        if not _runs(state):
            raise BadState(
                "cannot reload network unless container network has been configured: container state improper"
            )
        if state.network.get("driver") == "bridge":
            hotplug.reload(_request(context, container), _status(state), state.pid, _saver(container, state))


def update(context: Context, reference: str, add: Sequence[str], drop: Sequence[str]) -> str:
    """Change the name servers of a network; its name. Raises NotFound, UsageError, NetworkError."""
    from pypod.engine import addresses
    from pypod.network import networks as definitions

    for address in (*add, *drop):
        if not addresses.is_address(address):
            raise UsageError(f"{address} is not an ip address")
    place = networks.directory(context)
    name = str(networks.find(context, reference)["name"])
    rootless.enter_user(context)
    servers = definitions.change_servers(place, name, add, drop)
    request = NetworkRequest(
        id="",
        name="",
        mode="bridge",
        rundir="",
        helper_dirs=context.helper_dirs,
        uplink=netconfig.uplink_directory(context),
    )
    hotplug.tell_servers(request, name, servers)
    return name


def _runs(state: State) -> bool:
    return state.status in ("running", "paused", "initialized")


def _joined(state: State, stage: str) -> dict[str, Any]:
    """The networks of a running container: those that netavark was called for, or those that it has made."""
    found: dict[str, Any] = state.network.get(stage) or {}
    return (found.get("networks") or {}) if stage == "netavark" else found


def _check_mode(context: Context, container: Container) -> None:
    mode = container.config.network.mode
    if mode != "bridge" and (context.rootless or mode not in ("private", "default", "")):
        shown = "pasta or slirp4netns" if mode in ("private", "default", "") else mode
        raise UsageError(
            f'"{shown}" is not supported: invalid network mode', hint="create the container with --network bridge"
        )


def _enter(context: Context) -> None:
    rootless.enter(context)


def _words(context: Context, container: Container, state: State) -> dict[str, list[str]]:
    """The container's networks with all that was chosen for them, and the names that its interfaces have."""
    request = netconfig.request(context, container)
    result = {name: list(own) for name, own in attachments.words(request).items()}
    running = (state.network.get("netavark") or {}).get("networks") or {}
    taken = [_interface(own) for own in result.values()]
    for name, own in result.items():
        if not _interface(own):
            interface = str(running.get(name, {}).get("interface_name") or attachments.free_interface(taken))
            taken.append(interface)
            own.append(f"interface_name={interface}")
    return result


def _interface(words: Sequence[str]) -> str:
    return next((word[15:] for word in words if word.startswith("interface_name=")), "")


def _store(container: Container, chosen: dict[str, list[str]]) -> Container:
    """Write down the networks: --ip, --mac-address and --network-alias have become words of theirs."""
    config = replace(
        container.config,
        network=Namespace(mode="bridge", value="" if chosen else "empty"),
        network_options=chosen,
        static_ip="",
        static_ip6="",
        static_mac="",
        network_aliases=[],
    )
    return containers.save_config(container, config)


def _request(context: Context, container: Container) -> NetworkRequest:
    return netconfig.request(context, container)


def _status(state: State) -> NetworkStatus:
    if state.network.get("driver") != "bridge":
        raise NetworkError("cannot change the network of a container that is on no bridge")
    return from_json(NetworkStatus, state.network)


def _saver(container: Container, state: State) -> Callable[[NetworkStatus], object]:
    return lambda status: save_state(container, replace(state, network=to_json(status)))
