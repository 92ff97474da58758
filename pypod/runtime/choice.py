"""Which runtime to use when nobody has said."""

from __future__ import annotations

from pypod.base import process
from pypod.errors import NotFound
from pypod.linux import cgroups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_HINT = "apt-get install crun, or runc"


def choose(configured: str = "", places: Sequence[str] = ()) -> str:
    """The path of the runtime ``configured`` (a name or a path), or of the first installed one that works here.

    crun comes first as it is faster, but it refuses hosts that have cgroup v1 beside v2. Raises NotFound.
    """
    if configured:
        found = process.find(configured, places)
        if found is None:
            raise NotFound(f'default OCI runtime "{configured}" not found: invalid argument', hint=_HINT)
        return found
    names = ["crun", "runc", "youki"]
    if cgroups.mode() != cgroups.UNIFIED:
        names = ["runc", "crun", "youki"]
    for name in names:
        found = process.find(name, places)
        if found is not None:
            return found
    raise NotFound("no OCI runtime found: neither crun nor runc is installed", hint=_HINT)
