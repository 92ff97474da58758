"""``stats``: what containers use. From their cgroups (v2 or v1), or from their processes where they have none.

``sample`` reads the counters of one container; ``Meter`` makes percentages of what passed between two samples.
"""

from __future__ import annotations

import os
import time

from pypod.base import files
from pypod.base.record import record
from pypod.engine import container as containers
from pypod.engine import stats_cgroup, stats_proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypod.engine.container import Container, State


@record
class Sample:
    """Counters at one moment: times in nanoseconds, the rest in bytes and tasks."""

    when: int = 0  # ns since 1970
    cpu: int = 0  # used since the start
    memory: int = 0  # without what the kernel only caches
    limit: int = 0
    received: int = 0
    sent: int = 0
    read: int = 0
    written: int = 0
    pids: int = 0


@record
class Usage:
    """One container in a round of ``stats``; percentages of one CPU, and of the memory it may have."""

    id: str
    name: str
    sample: Sample
    cpu: float
    average: float
    memory: float


class Meter:
    """Remembers the last round."""

    def __init__(self) -> None:
        self._last: dict[str, Sample] = {}

    def measure(self, container: Container) -> Usage:
        """What a container uses; all is 0 of one that does not run. The caller is in the user namespace."""
        state = containers.observe(container)
        now = sample(container, state)
        if not now.when:
            return Usage(id=container.id, name=container.name, sample=now, cpu=0.0, average=0.0, memory=0.0)
        start = Sample(when=state.started_at)
        last = self._last.get(container.id, start)
        if last.when < start.when or last.cpu > now.cpu:
            last = start  # it was started again; or a process has taken its share of the sum along
        self._last[container.id] = now
        return Usage(
            id=container.id,
            name=container.name,
            sample=now,
            cpu=_percent(now.cpu - last.cpu, now.when - last.when),
            average=_percent(now.cpu, now.when - start.when),
            memory=_percent(now.memory, now.limit),
        )


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole > 0 and part > 0 else 0.0


def sample(container: Container, state: State) -> Sample:
    """The counters of a running or paused container; empty ones of any other. Raises nothing: what is gone is 0."""
    if state.status not in ("running", "paused", "stopping") or not state.pid:
        return Sample()
    try:
        counted = stats_cgroup.read(container.id, state.pid) or stats_proc.read(container, state.pid)
    except OSError:
        return Sample()
    received, sent = _network(container, state.pid)
    most = memory_total()
    return Sample(
        when=time.time_ns(),
        cpu=counted["cpu"],
        memory=counted["memory"],
        limit=min(counted["limit"] or most, most),
        received=received,
        sent=sent,
        read=counted["read"],
        written=counted["written"],
        pids=counted["pids"],
    )


def memory_total() -> int:
    """Bytes of RAM of this host."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _network(container: Container, pid: int) -> tuple[int, int]:
    """What the container's own interfaces have received and sent; nothing where it has the host's."""
    if container.config.network.mode == "host":
        return 0, 0
    received = sent = 0
    try:
        text = files.read(f"/proc/{pid}/net/dev").decode("ascii", "replace")
    except OSError:
        return 0, 0
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(":")
        words = numbers.split()
        if name.strip() != "lo" and len(words) >= 9:
            received += int(words[0])
            sent += int(words[8])
    return received, sent
