"""A stand-in for a network namespace that is gone: netavark undoes nothing unless it can delete ``eth0`` in it."""

from __future__ import annotations

import os

from pypod.errors import NetworkError, reason
from pypod.linux import syscalls
from pypod.network import netlink


def network_namespace(interfaces: int = 4) -> int:
    """A descriptor of a new network namespace with links eth0, eth1, …

    Raises NetworkError.
    """
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            try:
                fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
                for number in range(interfaces):
                    netlink.add_bridge(f"eth{number}")
            finally:
                syscalls.setns(home, syscalls.CLONE_NEWNET)
        except OSError as error:
            raise NetworkError(f"cannot make a network namespace: {reason(error)}") from None
    finally:
        os.close(home)
    return fd
