"""``ps``: containers as rows, with podman's JSON keys; filters; orders."""

from __future__ import annotations

import os
import time

from pypod.base import times, units
from pypod.base.record import record
from pypod.engine import container as containers
from pypod.engine import health_log, orphans
from pypod.engine.container import Container, State
from pypod.errors import NoSuchContainer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pypod.engine.config import PortMapping
    from pypod.engine.context import Context
    from storage.store import Store

    Test = Callable[["Row"], bool]

# Go's zero time in Unix seconds: what podman prints for a time that has not come yet.
NEVER = -62135596800

SORTS = ("command", "created", "id", "image", "names", "runningfor", "size", "status")


@record
class Row:
    """One container as ``ps`` sees it. ``created`` and ``now`` are ns since 1970; sizes are bytes."""

    container: Container
    state: State
    created: int
    now: int
    health: str = ""
    size: dict[str, int] | None = None  # podman's rootFsSize and rwSize
    namespaces: dict[str, str] = {}
    pod_name: str = ""
    published: list[PortMapping] | None = None  # of the container whose network it shares

    @property
    def status(self) -> str:
        """ "Up 3 seconds", "Exited (0) 5 minutes ago", "Created"."""
        state = self.state
        if state.status == "running":
            text = "Up " + units.duration(self.now - state.started_at)
        elif state.status == "exited":
            text = f"Exited ({state.exit_code}) {units.ago(state.finished_at, self.now)}"
        else:
            text = state.status.capitalize()
        return f"{text} ({self.health})" if self.health else text

    @property
    def ports(self) -> str:
        """ "127.0.0.1:8080->80/tcp, 443/tcp"."""
        return ports_text(self.published or self.container.config.ports, self.container.config.exposed)

    @property
    def networks(self) -> list[str]:
        config = self.container.config
        joined = self.state.network.get("networks")
        if joined:
            return list(joined)
        return config.bridges

    def json(self) -> dict[str, Any]:
        """podman's ``ps --format json`` object."""
        config, state = self.container.config, self.state
        done = state.status == "exited"
        return {
            "AutoRemove": config.auto_remove,
            "Command": config.command or None,
            "CreatedAt": units.ago(self.created, self.now),
            "CIDFile": config.cidfile,
            "Exited": done,
            "ExitedAt": state.finished_at // 1_000_000_000 if state.finished_at else NEVER,
            "ExitCode": state.exit_code,
            "ExposedPorts": exposed_json(config.exposed),
            "Id": self.container.id,
            "Image": config.image,
            "ImageID": config.image_id,
            "IsInfra": config.infra,
            "Labels": config.labels or None,
            "Mounts": [mount.destination for mount in config.mounts],
            "Names": [self.container.name],
            "Namespaces": self.namespaces,
            "Networks": self.networks,
            "Pid": state.pid,
            "Pod": config.pod,
            "PodName": self.pod_name,
            "Ports": [dict(port.__dict__) for port in self.published or config.ports] or None,
            "Restarts": state.restarts,
            "Size": self.size,
            "StartedAt": state.started_at // 1_000_000_000 if state.started_at else NEVER,
            "State": state.status,
            "Status": self.status,
            "Created": self.created // 1_000_000_000,
        }


def exposed_json(exposed: Sequence[str]) -> dict[str, list[str]] | None:
    """Exposed ports as podman's JSON has them: protocols by port."""
    found: dict[str, list[str]] = {}
    for item in exposed:
        port, _, protocol = item.partition("/")
        found.setdefault(port, []).append(protocol or "tcp")
    return found or None


def ports_text(ports: Sequence[PortMapping], exposed: Sequence[str] = ()) -> str:
    """Published ports, then those that are only exposed."""
    shown = []
    published: set[str] = set()
    for port in ports:
        last = port.range - 1
        host, inside = str(port.host_port), str(port.container_port)
        if last > 0:
            host += f"-{port.host_port + last}"
            inside += f"-{port.container_port + last}"
        address = port.host_ip or "0.0.0.0"
        if ":" in address:
            address = f"[{address}]"
        shown.append(f"{address}:{host}->{inside}/{port.protocol}")
        published.update(f"{port.container_port + n}/{port.protocol}" for n in range(port.range))
    shown += [item for item in exposed if item not in published]
    return ", ".join(shown)


def row(container: Container, now: int = 0, state: State | None = None) -> Row:
    """The row of one container. ``state``: if it is known; else the kernel and three small files are asked."""
    state = state or containers.observe(container)
    try:
        created = times.parse_rfc3339(container.config.created)
    except ValueError:
        created = 0
    return Row(
        container=container,
        state=state,
        created=created,
        now=now or time.time_ns(),
        health=health_log.status(container, state),
    )


def rows(
    context: Context,
    store: Store,
    *,
    everything: bool = False,
    filters: Sequence[str] = (),
    last: int = 0,
    latest: bool = False,
    size: bool = False,
    namespaces: bool = False,
    sort: str = "created",
) -> list[Row]:
    """The rows that ``ps`` shows. Without ``everything``, only running containers.

    ``size`` needs the user namespace to be entered. Raises UsageError for a bad filter.
    """
    tests = compile_filters(context, store, filters)
    everything = everything or last > 0 or latest or any(item.startswith("status=") for item in filters)
    now = time.time_ns()
    found = []
    known = containers.every(context, store)
    shared = False
    for container, state in containers.observed(context, store, known):
        shared = shared or bool(container.config.pod) or container.config.network.mode == "container"
        item = row(container, now, state)
        if (item.state.unclean or item.state.health_timer) and orphans.tend(context, store, container):
            try:
                item = row(containers.find(context, store, container.id), now)
            except NoSuchContainer:
                continue  # it was one with --rm
        if (everything or item.state.status == "running") and all(test(item) for test in tests):
            found.append(item)
    if latest:
        found = found[-1:]
    elif last > 0:
        found = found[-last:]
    if shared:
        from pypod.engine import pod_view

        found = pod_view.decorate(context, found, known)
    if size or namespaces:
        from pypod.base.record import replace

        found = [
            replace(
                item,
                size=sizes(store, item.container) if size else None,
                namespaces=namespace_ids(item.state.pid) if namespaces else {},
            )
            for item in found
        ]
    order = _ORDERS[sort]
    if order is not None:
        found.sort(key=order)
    return found


_ORDERS: dict[str, Callable[[Row], Any] | None] = {
    "command": lambda item: item.container.config.command,
    "created": None,
    "id": lambda item: item.container.id,
    "image": lambda item: item.container.config.image,
    "names": lambda item: item.container.name,
    "runningfor": lambda item: item.state.started_at,
    "size": lambda item: (item.size or {}).get("rootFsSize", 0),
    "status": lambda item: item.state.status,
}


def sizes(store: Store, container: Container) -> dict[str, int]:
    """Bytes that the container's own layer takes, and with its image's layers."""
    if not container.config.layer:
        return {"rootFsSize": 0, "rwSize": 0}
    own = tree_size(store.diff_directory(container.config.layer))
    total = own
    for layer in store.chain(container.config.layer):
        if layer.id != container.config.layer:
            total += max(layer.diff_size, 0)
    return {"rootFsSize": total, "rwSize": own}


def tree_size(path: str) -> int:
    """The sum of the sizes of the files in a tree; what vanishes meanwhile counts nothing."""
    total = 0
    pending = [path]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def namespace_ids(pid: int) -> dict[str, str]:
    """The inode numbers of a process's namespaces, by podman's keys."""
    found = {}
    if pid:
        kinds = ("mnt", "cgroup", "ipc", "net", "pid", "user", "uts")
        for name, kind in zip(("Mnt", "Cgroup", "Ipc", "Net", "Pidns", "User", "Uts"), kinds, strict=True):
            try:
                target = os.readlink(f"/proc/{pid}/ns/{kind}")
            except OSError:
                continue
            found[name] = target.partition("[")[2].rstrip("]")
    return found


def select(context: Context, store: Store, found: Sequence[Container], filters: Sequence[str]) -> list[Container]:
    """Those of ``found`` that all ``filters`` describe.

    Raises UsageError for a bad filter.
    """
    tests = compile_filters(context, store, filters)
    known = (row(container, state=state) for container, state in containers.observed(context, store, found))
    return [item.container for item in known if all(test(item) for test in tests)]


def compile_filters(context: Context, store: Store, filters: Sequence[str]) -> list[Test]:
    """One test for each key of ``key=value`` filters; values of one key are alternatives, except labels.

    Raises UsageError.
    """
    if not filters:
        return []
    from pypod.engine import filters as compiler

    return compiler.compile(context, store, filters)
