"""What systemd is asked for when a command is to be run by a timer."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from pypod.systemd import bus, timer
from support.dbus import opened, packet, refusal

COMMAND = ["/usr/bin/python3", "-I", "main.py", "--root", "/a b", "healthcheck", "run", "ID"]


def ask(interval: int) -> list[bytes]:
    return timer.messages(
        "ID-1", COMMAND, {"PATH": "/bin", "LANG": "C"}, interval, well=[1], description="what it is"
    )


def test_both_units_and_the_first_run() -> None:
    made, run = ask(30_000_000)
    unit, mode, values, others = opened(made, "StartTransientUnit", "ssa(sv)a(sa(sv))")
    assert (unit, mode) == ("ID-1.timer", "fail")
    assert dict(values) == {
        "Description": ("s", "what it is"),
        "TimersMonotonic": ("a(st)", [("OnUnitInactiveSec", 30_000_000)]),
        "AccuracyUSec": ("t", 1_000_000),
        "CollectMode": ("s", "inactive-or-failed"),
    }
    ((service, properties),) = others
    assert service == "ID-1.service"
    assert dict(properties) == {
        "Description": ("s", "what it is"),
        "ExecStart": ("a(sasb)", [(COMMAND[0], COMMAND, False)]),
        "Environment": ("as", ["PATH=/bin", "LANG=C"]),
        "UnsetEnvironment": ("as", ["INVOCATION_ID", "SYSTEMD_EXEC_PID"]),
        "SuccessExitStatus": ("(aiai)", ([1], [9])),
        "KillSignal": ("i", 9),
        "LogLevelMax": ("i", 5),
        "CollectMode": ("s", "inactive-or-failed"),
    }
    assert opened(run, "StartUnit", "ss") == ("ID-1.service", "fail")


@pytest.mark.parametrize(("interval", "accuracy"), [(200_000, 20_000), (1, 1000), (86_400_000_000, 1_000_000)])
def test_a_short_interval_is_kept_more_exactly(interval: int, accuracy: int) -> None:
    _, _, values, _ = opened(ask(interval)[0], "StartTransientUnit", "ssa(sv)a(sa(sv))")
    assert dict(values)["AccuracyUSec"] == ("t", accuracy)


def test_what_cannot_be_said_is_refused() -> None:
    with pytest.raises(bus.BusError, match="no UTF-8"):
        timer.messages("ID-1", COMMAND, {"PATH": "/\udcff"}, 1000, well=[], description="")


def test_what_was_refused_is_taken_back(tmp_path: Path) -> None:
    """Each call is sent whatever came of those before; afterwards there is neither unit."""
    path = str(tmp_path / "private")
    calls: list[bytes] = []
    answers = iter([packet(2), refusal("no room"), packet(2), packet(2)])
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve() -> None:
        for count in (2, 2):
            connection, _ = listener.accept()
            with connection:
                # A call must not be there yet when systemd reads BEGIN: it would lie until more comes.
                assert connection.recv(4096).endswith(b"\r\nBEGIN\r\n")
                connection.sendall(b"OK 123\r\n" + packet(4))  # a signal at once
                for number in range(1, count + 1):
                    call = connection.recv(8192)
                    assert call[8] == number  # a serial of its own
                    calls.append(call[:8] + b"\1\0\0\0" + call[12:])
                    connection.sendall(next(answers))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with pytest.raises(bus.BusError, match="no room"):
        timer.start(path, 0, "ID-1", COMMAND, {}, 1000, description="what it is")
    thread.join(5)
    listener.close()
    assert calls[:2] == timer.messages("ID-1", COMMAND, {}, 1000, well=[], description="what it is")
    assert [opened(call, "StopUnit", "ss") for call in calls[2:]] == [
        ("ID-1.timer", "replace"),
        ("ID-1.service", "replace"),
    ]


def test_to_stop_what_is_gone_is_no_failure(manager: tuple[str, list[bytes]], tmp_path: Path) -> None:
    path, answers = manager
    answers += [b"OK 123\r\n", refusal("Unit ID-1.timer not loaded."), refusal("Unit ID-1.service not loaded.")]
    timer.stop(path, 0, "ID-1")
    timer.stop(str(tmp_path / "none"), 0, "ID-1")
