"""A stand-in for a network namespace that is gone: netavark undoes nothing unless it can delete ``eth0`` in it."""

from __future__ import annotations

import os

from pypod.linux import syscalls
from pypod.network import netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def network_namespace(interfaces: Iterable[str]) -> int:
    """A descriptor of a new network namespace with these links. The process stays in there. Raises OSError."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    for name in interfaces:
        netlink.add_bridge(name)
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
