"""The parts of the OCI runtime config that are the same for all containers (runtime-spec, config.md)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

VERSION = "1.0.2"

PROC_OPTIONS = ("nosuid", "noexec", "nodev")
SYSTEM = ("nosuid", "noexec", "nodev")
DEVPTS_OPTIONS = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")


def mount(destination: str, kind: str, source: str, options: Sequence[str]) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def default_mounts(*, tty_group: bool) -> list[dict[str, Any]]:
    """The kernel's file systems; ``tty_group`` if group 5 is mapped in the container."""
    pts = [*DEVPTS_OPTIONS, "gid=5"] if tty_group else list(DEVPTS_OPTIONS)
    return [
        mount("/proc", "proc", "proc", PROC_OPTIONS),
        mount("/dev", "tmpfs", "tmpfs", ("nosuid", "noexec", "strictatime", "mode=755", "size=65536k")),
        mount("/sys", "sysfs", "sysfs", (*SYSTEM, "ro")),
        mount("/dev/pts", "devpts", "devpts", pts),
        mount("/dev/mqueue", "mqueue", "mqueue", SYSTEM),
    ]


# Limits that podman gives where it may: (name, soft and hard).
DEFAULT_RLIMITS = (("nofile", 1048576), ("nproc", 1048576))  # nproc: less where pid_max is less

# containers.conf(5), default_sysctls: anybody in the container may ping.
DEFAULT_SYSCTLS = {"net.ipv4.ping_group_range": "0 0"}

# Which sysctls belong to which namespace (namespaces(7)); others are the host's.
IPC_SYSCTLS = (
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
)
UTS_SYSCTLS = ("kernel.domainname", "kernel.hostname")


def sysctl_namespace(name: str) -> str:
    """ipc, network or uts: whose the sysctl is; "" if it is not one of a namespace."""
    if name in IPC_SYSCTLS or name.startswith("fs.mqueue."):
        return "ipc"
    if name.startswith("net."):
        return "network"
    return "uts" if name in UTS_SYSCTLS else ""
