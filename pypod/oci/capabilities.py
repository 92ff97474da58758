"""Which capabilities a container's process gets (podman-run(1), --cap-add)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# containers.conf(5), default_capabilities.
DEFAULT = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_NET_BIND_SERVICE CAP_SETFCAP CAP_SETGID"
    " CAP_SETPCAP CAP_SETUID CAP_SYS_CHROOT"
).split()

ALL = "ALL"


def normalize(name: str, known: Sequence[str]) -> str:
    """ "net_admin" and "CAP_NET_ADMIN" are the same; "all" stays ALL.

    Raises ValueError for one that the kernel does not have.
    """
    upper = name.strip().upper()
    if upper == ALL:
        return ALL
    if not upper.startswith("CAP_"):
        upper = "CAP_" + upper
    if upper not in known:
        raise ValueError(f'"{upper}": unknown capability')
    return upper


def merge(
    base: Sequence[str], add: Sequence[str], drop: Sequence[str], *, known: Sequence[str], bounding: Sequence[str]
) -> list[str]:
    """``base`` with ``add`` and without ``drop``, sorted. "all" in either means everything that is left.

    Raises ValueError for unknown names, and if one is both added and dropped.
    """
    added = [normalize(name, known) for name in add]
    dropped = [normalize(name, known) for name in drop]
    if not added and not dropped:
        return list(base)
    for name in added:
        if name in dropped:
            raise ValueError(f'capability "{name}" cannot be dropped and added')
    if ALL in dropped:
        result = set()
        if ALL in added:
            raise ValueError("adding all caps and removing all caps not allowed")
    else:
        result = set(base)
    if ALL in added:
        result = set(bounding)
    result.update(name for name in added if name != ALL)
    result.difference_update(dropped)
    return sorted(result)
