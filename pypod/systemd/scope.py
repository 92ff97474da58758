"""Ask systemd for a scope: a cgroup of our own, with processes of ours in it; and for limits of scopes and slices."""

from __future__ import annotations

import time

from pypod.base import files
from pypod.systemd import bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Limit = int | bytes | Sequence[tuple[str, int]]  # a number, a mask, or a number for each device

PATIENCE = 3.0  # seconds, for the processes to be moved


def message(unit: str, pids: Sequence[int], slice: str, description: str) -> bytes:
    """The call of Manager.StartTransientUnit."""
    return bus.transient(
        unit,
        [
            ("Description", ("s", description)),
            ("Slice", ("s", slice)),
            ("PIDs", ("au", pids)),
            ("Delegate", ("b", True)),
            ("CollectMode", ("s", "inactive-or-failed")),
        ],
    )


def _limits(values: Mapping[str, Limit]) -> bus.Properties:
    return [
        (name, ("ay" if isinstance(value, bytes) else "t" if isinstance(value, int) else "a(st)", value))
        for name, value in values.items()
    ]


def properties_message(unit: str, values: Mapping[str, Limit]) -> bytes:
    """The call of Manager.SetUnitProperties, until the next boot."""
    return bus.call("SetUnitProperties", "sba(sv)", unit, True, _limits(values))


def start(socket_path: str, uid: int, unit: str, pids: Sequence[int], *, slice: str, description: str = "") -> None:
    """Make the scope ``unit`` with ``pids`` in it, and wait until they are there.

    Here and below, ``socket_path`` and ``uid`` are as in ``bus.ask``. Raises BusError.
    """
    bus.ask(socket_path, uid, message(unit, pids, slice, description or unit))
    deadline = time.monotonic() + PATIENCE
    while not all(_is_in(pid, unit) for pid in pids):
        if time.monotonic() > deadline:
            raise bus.BusError(f"systemd did not move the processes to {unit}")
        time.sleep(0.001)


def set_properties(socket_path: str, uid: int, unit: str, values: Mapping[str, Limit]) -> None:
    """Give a unit other limits (systemd.resource-control(5), by their names on the bus). Raises BusError."""
    bus.ask(socket_path, uid, properties_message(unit, values))


def start_slice(socket_path: str, uid: int, unit: str, values: Mapping[str, Limit]) -> None:
    """Start a slice with limits; systemd does it after the answer. Raises BusError, also if it is there already."""
    bus.ask(socket_path, uid, bus.transient(unit, _limits(values)))


def stop(socket_path: str, uid: int, unit: str) -> None:
    """Stop a unit, and what runs in it. Raises BusError."""
    bus.ask(socket_path, uid, bus.call("StopUnit", "ss", unit, "replace"))


def _is_in(pid: int, unit: str) -> bool:
    try:
        return unit.encode() in files.read(f"/proc/{pid}/cgroup")
    except OSError:
        return True  # it is gone: nothing to wait for
