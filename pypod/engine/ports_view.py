"""The published ports of running containers, for ``port``."""

from __future__ import annotations

from pypod.base.record import record
from pypod.engine import container as containers
from pypod.engine.container import observe
from pypod.errors import NoSuchContainer, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.container import Container
    from pypod.engine.context import Context
    from storage.store import Store


@record
class Published:
    """One port of a container and where it is reached."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int

    @property
    def address(self) -> str:
        ip = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip or "0.0.0.0"
        return f"{ip}:{self.host_port}"


def publisher(context: Context, store: Store, container: Container) -> Container:
    """The container itself, or the one whose network it shares: a member of a pod is reached at the pod's ports."""
    if container.config.network.mode != "container":
        return container
    try:
        return containers.find(context, store, container.config.network.value)
    except NoSuchContainer:
        return container


def published(container: Container) -> list[Published]:
    """Every single port, ranges spelt out; nothing if the container does not run."""
    if observe(container).status not in ("running", "paused"):
        return []
    result = []
    for mapping in container.config.ports:
        for protocol in mapping.protocol.split(","):
            for offset in range(mapping.range):
                result.append(
                    Published(
                        container_port=mapping.container_port + offset,
                        protocol=protocol,
                        host_ip=mapping.host_ip,
                        host_port=mapping.host_port + offset,
                    )
                )
    return result


def parse(text: str) -> tuple[int, str]:
    """PORT[/PROTOCOL] as (port, protocol). Raises UsageError."""
    number, slash, protocol = text.partition("/")
    if not number.isdecimal() or not 0 < int(number) < 65536:
        raise UsageError(f"invalid port {text!r}: must be a number from 1 to 65535")
    if slash and protocol not in ("tcp", "udp", "sctp"):
        raise UsageError(f"invalid port {text!r}: unknown protocol {protocol!r}")
    return int(number), protocol or "tcp"
