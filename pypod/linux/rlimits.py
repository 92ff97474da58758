"""Resource limits by name, clamped to what this process may set (getrlimit(2))."""

from __future__ import annotations

import resource

# podman-run(1)'s names for --ulimit; the values are the kernel's numbers.
NUMBERS = {
    "cpu": 0,
    "fsize": 1,
    "data": 2,
    "stack": 3,
    "core": 4,
    "rss": 5,
    "nproc": 6,
    "nofile": 7,
    "memlock": 8,
    "as": 9,
    "locks": 10,
    "sigpending": 11,
    "msgqueue": 12,
    "nice": 13,
    "rtprio": 14,
    "rttime": 15,
}

INFINITY = 0xFFFF_FFFF_FFFF_FFFF


def current(name: str) -> tuple[int, int]:
    """This process's (soft, hard) limit; INFINITY for none."""
    soft, hard = resource.getrlimit(NUMBERS[name])
    return (INFINITY if soft < 0 else soft), (INFINITY if hard < 0 else hard)


def can_raise() -> bool:
    """Whether this process may raise hard limits: CAP_SYS_RESOURCE in the initial user namespace."""
    from pypod.linux import caps, idmap

    try:
        return idmap.is_initial(idmap.of_process()) and "CAP_SYS_RESOURCE" in caps.bounding()
    except OSError:
        return False


def pid_max() -> int:
    """The kernel's highest pid (proc(5)): more processes there cannot be."""
    from pypod.base import files

    try:
        return int(files.read("/proc/sys/kernel/pid_max"))
    except (OSError, ValueError):
        return 32768
