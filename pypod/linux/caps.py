"""Capabilities by name and number (capabilities(7), linux/capability.h)."""

from __future__ import annotations

from pypod.base import files

NAMES = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP"
    " CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK"
    " CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN"
    " CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE"
    " CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM"
    " CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE"
).split()  # the index is the capability's number


def names(mask: int) -> list[str]:
    """The names of a bit mask, in the order of their numbers; unknown ones are left out."""
    return [name for number, name in enumerate(NAMES) if mask >> number & 1]


def bounding(pid: int | str = "self") -> list[str]:
    """The bounding set of a process: what it and its children can ever have.

    Raises OSError.
    """
    for line in files.read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"CapBnd:"):
            return names(int(line.split()[1], 16))
    return []
