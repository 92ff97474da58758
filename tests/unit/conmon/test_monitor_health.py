"""The health check's timer in the monitor."""

from __future__ import annotations

import re
import signal
import time
from typing import Any

import pytest

from conmon import attach
from support.monitor_box import Box, alive, until

MASKS = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGCHLD - 1


def health(box: Box, script: str) -> dict[str, Any]:
    """Options of a check that notes each of its runs; ``$n`` is the number of this one."""
    note = f"echo >> {box.place}/runs; n=$(wc -l < {box.place}/runs); echo $$ > {box.place}/check.pid; {script}"
    return {"health_command": ["/bin/sh", "-c", note]}


def runs(box: Box) -> int:
    path = box.place / "runs"
    return len(path.read_text()) if path.exists() else 0


def checker(box: Box) -> int:
    """The pid of the run that goes."""
    path = box.place / "check.pid"
    return int(until(lambda: path.exists() and path.read_text()))


def test_it_runs_at_once_and_then_at_the_interval(box: Box) -> None:
    box.start("sleep 100", **health(box, ":"))
    time.sleep(0.1)
    assert runs(box) == 0, "nobody has said that the container runs"
    begin = time.monotonic()
    assert attach.set_health_interval(str(box.bundle), 100)
    until(lambda: runs(box) == 1)
    until(lambda: runs(box) >= 4)
    assert time.monotonic() - begin >= 0.3


def test_an_interval_of_nothing_ends_it_and_another_begins_anew(box: Box) -> None:
    box.start("sleep 100", **health(box, ":"))
    attach.set_health_interval(str(box.bundle), 60_000)
    until(lambda: runs(box) == 1)
    attach.set_health_interval(str(box.bundle), 60_000)
    until(lambda: runs(box) == 2)
    attach.set_health_interval(str(box.bundle), 20)
    until(lambda: runs(box) >= 4)
    attach.set_health_interval(str(box.bundle), 0)
    time.sleep(0.05)
    seen = runs(box)
    time.sleep(0.1)
    assert runs(box) == seen


def test_without_streams_there_is_a_timer_all_the_same(box: Box) -> None:
    box.start("sleep 100", log_path="passthrough", **health(box, ":"))
    assert attach.set_health_interval(str(box.bundle), 60_000)
    until(lambda: runs(box) == 1)


def test_a_day_is_told_as_18_hours(box: Box) -> None:
    box.start("sleep 100", **health(box, ":"))
    attach.set_health_interval(str(box.bundle), 86_400_000)
    until(lambda: runs(box) == 1)


def test_never_two_at_once(box: Box) -> None:
    box.start(
        "sleep 100", **health(box, f"until [ -e {box.place}/go ]; do sleep 0.01; done; [ $n -lt 2 ] || sleep 100")
    )
    attach.set_health_interval(str(box.bundle), 10)
    until(lambda: runs(box) == 1)
    attach.set_health_interval(str(box.bundle), 10)
    time.sleep(0.15)
    assert runs(box) == 1
    (box.place / "go").touch()
    until(lambda: runs(box) == 2)


@pytest.mark.parametrize("stuck", ["sleep 100", "trap '' TERM INT; (sleep 100; :); :"])
def test_a_run_ends_with_the_container(box: Box, stuck: str) -> None:
    """The exit file and the exit command do not wait for it."""
    box.start(
        "until [ -e $TMPDIR/go ]; do sleep 0.01; done; exit 3",
        exit_command=["/bin/sh", "-c", f"kill -0 $(cat {box.place}/check.pid) || echo gone > {box.place}/seen"],
        **health(box, stuck),
    )
    attach.set_health_interval(str(box.bundle), 10)
    pid = checker(box)
    (box.place / "go").touch()
    assert box.exit_code() == 3
    box.gone()
    assert not alive(pid)
    assert runs(box) == 1


def test_after_a_run_that_failed_comes_the_next(box: Box) -> None:
    box.start("sleep 100", **health(box, "kill -9 $$"))
    attach.set_health_interval(str(box.bundle), 10)
    until(lambda: runs(box) >= 3)


def test_a_command_that_does_not_exist(box: Box) -> None:
    box.start("sleep 100", health_command=["/nonexistent"])
    attach.set_health_interval(str(box.bundle), 10)
    time.sleep(0.05)
    assert alive(box.pid)


def test_without_a_command_the_interval_means_nothing(box: Box) -> None:
    box.start("sleep 0.2")
    attach.set_health_interval(str(box.bundle), 10)
    assert box.exit_code() == 0


def test_a_run_has_clean_signals_and_descriptors(box: Box) -> None:
    script = f"grep -E '^Sig(Blk|Ign)' /proc/self/status > {box.place}/s; ls -l /proc/self/fd > {box.place}/f"
    script += f"; cat /proc/self/oom_score_adj > {box.place}/o"
    box.start("sleep 100", **health(box, script))
    attach.set_health_interval(str(box.bundle), 60_000)
    until(lambda: (box.place / "o").exists() and (box.place / "o").read_text())
    masks = dict(re.findall(r"(\S+):\s*(\S+)", (box.place / "s").read_text()))
    assert int(masks["SigBlk"], 16) == 0 and not int(masks["SigIgn"], 16) & MASKS
    links = [line.split()[-3:] for line in (box.place / "f").read_text().splitlines() if " -> " in line]
    others = [link for link in links if not link[2].startswith("/proc/") and link[2] != f"{box.place}/f"]
    assert {link[2] for link in others} == {"/dev/null"} and {link[0] for link in others} == {"0", "2"}
    with open("/proc/self/oom_score_adj") as file:
        assert (box.place / "o").read_text() == file.read()


def test_runs_that_have_ended_are_reaped(box: Box) -> None:
    box.start("sleep 100", **health(box, ":"))
    attach.set_health_interval(str(box.bundle), 5)
    until(lambda: runs(box) >= 5)
    attach.set_health_interval(str(box.bundle), 0)
    pid = checker(box)
    until(lambda: not alive(pid))
    until(lambda: children(box.pid) == [int((box.place / "pid").read_text())])


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]
