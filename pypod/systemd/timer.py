"""Ask systemd for a timer and the service that it starts, both transient: when they are stopped they are gone."""

from __future__ import annotations

from pypod.systemd import bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SIGKILL = 9
_NOTICE = 5  # syslog(3): the manager's word of each start and end is LOG_INFO
_MILLISECOND = 1000
_SECOND = 1_000_000
# By these a program finds that it is what a unit starts, and stays in its cgroup.
_OF_A_UNIT = ["INVOCATION_ID", "SYSTEMD_EXEC_PID"]


def messages(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    interval: int,
    *,
    well: Sequence[int],
    description: str,
) -> list[bytes]:
    """The calls that ``start`` makes: StartTransientUnit for both units, and StartUnit for the first run."""
    timer: bus.Properties = [
        ("Description", ("s", description)),
        ("TimersMonotonic", ("a(st)", [("OnUnitInactiveSec", interval)])),
        ("AccuracyUSec", ("t", min(max(interval // 10, _MILLISECOND), _SECOND))),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]
    service: bus.Properties = [
        ("Description", ("s", description)),
        ("ExecStart", ("a(sasb)", [(command[0], command, False)])),
        ("Environment", ("as", [f"{key}={value}" for key, value in environment.items()])),
        ("UnsetEnvironment", ("as", _OF_A_UNIT)),
        ("SuccessExitStatus", ("(aiai)", (well, [_SIGKILL]))),
        ("KillSignal", ("i", _SIGKILL)),
        ("LogLevelMax", ("i", _NOTICE)),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]
    return [
        bus.transient(name + ".timer", timer, [(name + ".service", service)]),
        # The timer counts from the end of a run.
        bus.call("StartUnit", "ss", name + ".service", "fail"),
    ]


def start(
    socket_path: str,
    uid: int,
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    interval: int,
    *,
    well: Sequence[int] = (),
    description: str,
) -> None:
    """Run a command now, and again each time so many microseconds after its end.

    By ``name``.timer and ``name``.service, whose run has not failed if its exit status is 0 or one of ``well``.
    ``socket_path`` and ``uid`` are as in ``bus.ask``. Raises BusError; then there is neither.
    """
    asked = messages(name, command, environment, interval, well=well, description=description)
    try:
        bus.ask(socket_path, uid, *asked)
    except bus.BusError:
        stop(socket_path, uid, name)
        raise


def stop(socket_path: str, uid: int, name: str, *, run: bool = True) -> None:
    """No more runs; one that is at work is killed, unless ``run`` is off. Nothing is left of the units.

    It does not fail: the units may be gone, or systemd, and then they are.
    """
    calls = [bus.call("StopUnit", "ss", name + ".timer", "replace")]
    if run:
        calls.append(bus.call("StopUnit", "ss", name + ".service", "replace"))
    try:
        bus.ask(socket_path, uid, *calls)
    except bus.BusError:
        pass
