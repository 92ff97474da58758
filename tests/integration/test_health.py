"""Health checks that run by themselves: the monitor has the timer."""

import json
import os
import time
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, alive, cmdline, until


@pytest.fixture
def pypod(pypod: Pypod, monkeypatch: pytest.MonkeyPatch) -> Pypod:
    """On every host as on one without systemd, whose timers tests/vm has."""
    plain = Pypod.environment
    monkeypatch.setattr(
        Pypod, "environment", lambda self, env=None: {**plain(self, env), "DISABLE_HC_SYSTEMD": "true"}
    )
    return pypod


QUICK = ("--network", "none", "--health-interval", "200ms", "--stop-signal", "KILL")
SLEEP = ("sleep", "1000")


def health(pypod: Pypod, name: str = "c") -> str:
    status: str = pypod.inspect(name)["State"]["Health"]["Status"]
    return status


def log_of(pypod: Pypod, name: str = "c") -> Path:
    assert pypod.graphroot
    return pypod.graphroot / "overlay-containers" / pypod.inspect(name)["Id"] / "userdata" / "healthcheck.log"


def test_it_becomes_healthy_and_unhealthy_by_itself(pypod: Pypod, image: str) -> None:
    check = ("--health-cmd", "echo well; test -e /well", "--health-retries", "2", "--health-timeout", "10s")
    pypod("run", "-d", "--name", "c", *QUICK, *check, image, *SLEEP).ok()
    assert "(starting)" in pypod("ps", "--format", "{{.Status}}").ok().out
    assert pypod("wait", "--condition", "unhealthy", "c", timeout=20).ok().out == "-1\n"
    assert "(unhealthy)" in pypod("ps", "--format", "{{.Status}}").ok().out
    state = pypod.inspect("c")["State"]
    assert state["HealthTimer"] == "monitor"
    found = state["Health"]
    assert set(found) == {"Status", "FailingStreak", "Log"} and found["FailingStreak"] >= 2
    assert set(found["Log"][0]) == {"Start", "End", "ExitCode", "Output"}
    assert (found["Log"][0]["ExitCode"], found["Log"][0]["Output"]) == (1, "well\n")
    pypod("exec", "c", "touch", "/well").ok()
    assert pypod("wait", "--condition", "healthy", "c", timeout=20).ok().out == "-1\n"
    assert "(healthy)" in pypod("ps", "--filter", "health=healthy", "--format", "{{.Status}}").ok().out
    pypod("stop", "c").ok()
    seen = log_of(pypod).read_text()
    time.sleep(0.3)
    assert log_of(pypod).read_text() == seen, "nothing runs when the container does not"
    # Another start begins anew, but what was said before can still be read.
    pypod("start", "c").ok()
    last = json.loads(seen)["Log"][-1]
    until(lambda: last in json.loads(log_of(pypod).read_text())["Log"][:-1], 20, "a new run")


@pytest.mark.parametrize("action", ["kill", "stop"])
def test_an_unhealthy_one_is_ended(pypod: Pypod, image: str, action: str) -> None:
    check = ("--health-cmd", "test ! -e /ill", "--health-retries", "1", "--health-on-failure", action)
    more = ("--rm",) if action == "kill" else ()
    script = "touch /ill; trap 'exit 3' TERM; while :; do sleep 0.1; done"
    pypod("run", "-d", "--name", "c", *QUICK[:4], *more, *check, image, "sh", "-c", script).ok()
    if action == "kill":
        pypod.wait_gone("c")
    else:
        assert pypod("wait", "c").ok().out == "3\n"
        until(lambda: pypod.inspect("c")["State"]["Health"]["Status"] == "unhealthy", 20, "its state")
        assert pypod.state("c") == "exited"


def test_an_unhealthy_one_is_started_again(pypod: Pypod, image: str) -> None:
    """By the check that ends with the container; even if somebody is attached, who would clean up otherwise."""
    check = ("--health-cmd", "test -e /well", "--health-retries", "1", "--health-on-failure", "restart")
    script = "touch /well; echo one; sleep 1000"
    process = pypod.popen("run", "--name", "c", *QUICK, *check, image, "sh", "-c", script)
    assert process.stdout
    assert process.stdout.readline() == b"one\n"
    monitor = pypod.monitor("c")
    pypod("exec", "c", "rm", "/well").ok()
    process.communicate(timeout=20)
    assert process.returncode == 137
    pypod("wait", "--condition", "healthy", "c", timeout=20).ok()
    again = pypod.inspect("c")
    assert again["RestartCount"] == 1
    # What was said at the first start holds for the next ones.
    told = Path(f"/proc/{again['State']['ConmonPid']}/environ").read_bytes().split(b"\0")
    assert b"DISABLE_HC_SYSTEMD=true" in told
    assert again["State"]["ConmonPid"] != monitor and alive(again["State"]["ConmonPid"])
    until(lambda: not alive(monitor), 20, "the old monitor to end")
    # And once more, from the monitor's child of the second life; what the user stops stays down.
    pypod("exec", "c", "rm", "/well").ok()
    until(lambda: pypod.inspect("c")["RestartCount"] == 2, 20, "the second restart")
    pypod("stop", "c").ok()
    time.sleep(0.2)
    assert pypod.state("c") == "exited"


def test_the_startup_check_comes_first(pypod: Pypod, image: str) -> None:
    startup = ("--health-startup-cmd", "echo startup; test -e /up", "--health-startup-interval", "200ms")
    more = ("--health-startup-success", "2", "--health-cmd", "echo regular", "--health-interval", "1h")
    pypod("run", "-d", "--name", "c", "--network", "none", *startup, *more, image, *SLEEP).ok()
    until(lambda: len(pypod.inspect("c")["State"]["Health"]["Log"] or []) >= 2, 20, "two runs")
    assert health(pypod) == "starting"
    pypod("exec", "c", "touch", "/up").ok()
    until(lambda: health(pypod) == "healthy", 20, "the regular check")
    entries = pypod.inspect("c")["State"]["Health"]["Log"]
    assert [(item["Output"], item["ExitCode"]) for item in entries[-3:]] == [
        ("startup\n", 0),
        ("startup\n", 0),
        ("regular\n", 0),
    ]
    assert pypod.inspect("c")["Config"]["StartupHealthCheck"]["Successes"] == 2


def test_what_counts_and_what_does_not_run(pypod: Pypod, image: str) -> None:
    failing = (*QUICK, "--health-cmd", "false", "--health-retries", "1", "--health-on-failure", "kill")
    startup = ("--health-startup-cmd", "false", "--health-startup-interval", "100ms", "--health-startup-retries", "2")
    pypod("run", "-d", "--name", "young", *failing, "--health-start-period", "1h", image, *SLEEP).ok()
    pypod("run", "-d", "--name", "never", *failing, *startup, image, *SLEEP).ok()
    pypod("run", "-d", "--name", "off", *failing, "--health-interval", "disable", image, *SLEEP).ok()
    pypod("create", "--name", "made", *QUICK, "--health-cmd", "true", image, *SLEEP).ok()
    pypod("init", "made").ok()
    until(lambda: pypod.inspect("never")["RestartCount"] >= 1, 20, "the startup check to restart it")
    pypod("rm", "-f", "-t", "0", "never").ok()
    until(lambda: len(pypod.inspect("young")["State"]["Health"]["Log"] or []) >= 2, 20, "two runs")
    found = pypod.inspect("young")["State"]
    assert (found["Health"]["Status"], found["Health"]["FailingStreak"]) == ("starting", 0)
    assert found["Status"] == "running"
    for name in ("off", "made"):
        assert "HealthTimer" not in pypod.inspect(name)["State"]
        assert pypod.inspect(name)["State"]["Health"]["Log"] is None
    pypod("create", "--name", "plain", image, *SLEEP).ok()
    pypod("wait", "--condition", "healthy", "plain").fails(125, "no defined healthcheck")
    pypod("start", "made").ok()
    until(lambda: health(pypod, "made") == "healthy", 20, "the first run")


# Without root nothing can be paused on cgroup v1.
@pytest.mark.parametrize("mode", ["root", "rootless"] if box.cgroup2() else ["root"], indirect=True)
def test_a_paused_container_is_not_checked(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", *QUICK, "--health-cmd", "true", image, *SLEEP).ok()
    until(lambda: health(pypod) == "healthy", 20, "the first run")
    pypod("pause", "c").ok()
    time.sleep(0.3)
    seen = log_of(pypod).read_text()
    pypod("healthcheck", "run", "c").fails(125, "not running")
    time.sleep(0.3)
    assert log_of(pypod).read_text() == seen
    pypod("unpause", "c").ok()
    until(lambda: log_of(pypod).read_text() != seen, 20, "another run")


def test_a_check_that_hangs_ends_with_the_container(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", *QUICK, "--health-cmd", "touch /began; sleep 1000", image, *SLEEP).ok()
    until(lambda: pypod("exec", "c", "test", "-e", "/began").code == 0, 20, "the check to begin")
    identity = pypod.inspect("c")["Id"]
    pypod("stop", "c").ok()
    until(lambda: not _checkers(identity), 20, "the check to end")
    assert pypod.inspect("c")["ExecIDs"] == []
    assert pypod.inspect("c")["State"]["Health"]["Log"] is None


def _checkers(identity: str) -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if cmdline(pid)[-3:] == ["healthcheck", "run", identity] and alive(pid)]


def test_a_run_of_a_timer_that_nobody_knows_does_nothing(pypod: Pypod, image: str) -> None:
    """As of one that a container had which was removed, or started anew."""
    pypod(
        "run", "-d", "--name", "c", *QUICK[:2], "--health-cmd", "true", "--health-interval", "0", image, *SLEEP
    ).ok()
    for name in ("c", "nobody"):
        done = pypod("healthcheck", "run", name, env={"PYPOD_TIMER": "of-another"}).ok()
        assert done.out == done.err == ""
    assert pypod.inspect("c")["State"]["Health"]["Log"] is None


def test_conmon_has_no_timer(pypod: Pypod, image: str) -> None:
    if not os.path.exists("/usr/bin/conmon"):
        box.missing("conmon is not installed")
    conmon = pypod.with_options("--conmon", "/usr/bin/conmon")
    check = ("--health-cmd", "test -e /well", "--health-retries", "1", "--health-on-failure", "restart")
    conmon("run", "-d", "--name", "c", *QUICK, *check, image, "sh", "-c", "touch /well; sleep 1000").ok()
    time.sleep(0.3)
    assert health(pypod) == "starting"
    assert "HealthTimer" not in pypod.inspect("c")["State"]
    conmon("healthcheck", "run", "c").ok()
    assert health(pypod) == "healthy"
    conmon("exec", "c", "rm", "/well").ok()
    assert conmon("healthcheck", "run", "c").code == 1
    until(lambda: pypod.inspect("c")["RestartCount"] == 1, 20, "the restart")
    pypod.wait_state("c", "running")
