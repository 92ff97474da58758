"""The host's cgroup layout and what of it this process may use (cgroups(7))."""

from __future__ import annotations

import os

from pypod.base import files

ROOT = "/sys/fs/cgroup"
UNIFIED, HYBRID, LEGACY, NONE = "v2", "hybrid", "v1", "none"


def mode() -> str:
    """UNIFIED (cgroup v2 alone), HYBRID (v1 with an empty v2 beside it), LEGACY (v1 alone) or NONE."""
    if os.path.exists(ROOT + "/cgroup.controllers"):
        return UNIFIED
    if os.path.exists(ROOT + "/unified/cgroup.controllers"):
        return HYBRID
    if os.path.isdir(ROOT + "/memory") or os.path.isdir(ROOT + "/cpu") or os.path.isdir(ROOT + "/pids"):
        return LEGACY
    return NONE


def own(controller: str = "") -> str:
    """The path of this process's cgroup below the root of its hierarchy: v2's, or that of a v1 ``controller``.

    Raises OSError. "" if there is none.
    """
    for line in files.read("/proc/self/cgroup").decode().splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller in names.split(","):
            return path
    return ""


def of(pid: int, name: str) -> dict[str, str]:
    """A process's cgroups by controller ("" for v2), up to the directory with ``name`` in its own name.

    So what a container has made below its cgroup is left out. Raises OSError.
    """
    found = {}
    for line in files.read(f"/proc/{pid}/cgroup").decode("utf-8", "surrogateescape").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        parts = path.split("/")
        own = next((index for index, part in enumerate(parts) if name in part), None)
        if own is not None:
            for controller in names.split(","):
                found[controller] = "/".join(parts[: own + 1])
    return found


def cpu_weight(shares: int) -> int:
    """CPU shares of cgroup v1 (2 to 262144; others are taken for the nearest) as a weight of v2 (1 to 10000)."""
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9999 // 262_142


def io_weight(weight: int) -> int:
    """A weight of cgroup v1's blkio (10 to 1000) as one of v2 (1 to 10000)."""
    return 1 + (weight - 10) * 9999 // 990


def write(path: str, value: str) -> None:
    """Write a setting of a cgroup. Raises OSError, with the path."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def controllers(path: str) -> list[str]:
    """The v2 controllers that a cgroup directory may hand to its children; [] if there is no such cgroup."""
    try:
        return files.read(path + "/cgroup.controllers").decode().split()
    except OSError:
        return []


def delegated(path: str) -> bool:
    """Whether this process may make cgroups in ``path`` and move itself into them."""
    return all(os.access(path + name, os.W_OK) for name in ("", "/cgroup.procs", "/cgroup.subtree_control"))
