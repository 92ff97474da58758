"""The monitor is killed: containers that outlive it, and those that ended meanwhile."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import leaks
from support.runner import Pypod, alive, until

RUN = ("run", "-d", "--network", "none", "--stop-signal", "KILL")


def kill_monitor(pypod: Pypod, name: str = "c") -> tuple[int, int]:
    """The monitor's pid and the container's, which lives on."""
    monitor, container = pypod.monitor(name), pypod.pid(name)
    os.kill(monitor, signal.SIGKILL)
    until(lambda: not alive(monitor), 5, "the monitor to die")
    return monitor, container


def kill_both(pypod: Pypod, name: str = "c") -> int:
    _, container = kill_monitor(pypod, name)
    os.kill(container, signal.SIGKILL)
    until(lambda: not alive(container), 5, "the container to die")
    return container


@pytest.mark.parametrize("user", ["0", "1000"])
def test_a_container_without_its_monitor_can_still_be_used(pypod: Pypod, image: str, user: str) -> None:
    """Its user namespace must be found again, by its own process: nothing else of it is left."""
    pypod(*RUN, "--name", "c", "-u", user, image, "sh", "-c", "echo said; sleep 1000").ok()
    pypod.wait_log("c", "said")
    _, container = kill_monitor(pypod)
    state = pypod.inspect("c")["State"]
    assert (state["Status"], state["Pid"]) == ("running", container)
    assert "monitor died" in state["Error"]
    assert pypod("ps", "--format", "{{.Names}}").ok().lines == ["c"]
    assert pypod("exec", "c", "id", "-u").ok().out == f"{user}\n"
    assert pypod("exec", "-t", "c", "echo", "tty", tty=True).out.strip() == "tty"
    assert pypod("logs", "c").ok().out == "said\n"
    pypod("attach", "c").fails(125, "monitor")
    pypod("top", "c").ok()
    pypod("stop", "-t", "5", "c").ok()
    assert not alive(container)
    state = pypod.inspect("c")["State"]
    assert (state["Status"], state["ExitCode"], state["Error"]) == (
        "exited",
        -1,
        "the monitor died before the container",
    )
    assert not state["FinishedAt"].startswith(("0001", "1970"))
    pypod("start", "c").ok()
    assert pypod.state("c") == "running" and pypod.inspect("c")["State"]["Error"] == ""


def test_in_a_user_namespace_of_its_own(pypod: Pypod, image: str) -> None:
    userns = ("--userns", "keep-id") if pypod.rootless else ()
    pypod(*RUN, "--name", "c", *userns, image, "sleep", "1000").ok()
    _, container = kill_monitor(pypod)
    pypod("exec", "c", "true").ok()
    pypod("kill", "-s", "KILL", "c").ok()
    until(lambda: not alive(container), 5, "the container to end")
    pypod("rm", "c").ok()


def test_who_lists_what_ended_without_anybody_cleans_up(pypod: Pypod, image: str) -> None:
    before = leaks.snapshot(pypod)
    pypod(*RUN, "--name", "c", image, "sleep", "1000").ok()
    kill_both(pypod)
    assert pypod("ps", "-a", "--format", "{{.Names}} {{.Status}}").ok().out.startswith("c Exited (-1)")
    assert pypod.runroot
    state = next(Path(pypod.runroot).glob("overlay-containers/*/userdata/state.json")).read_text()
    assert '"exited"' in state and "the monitor died" in state
    pypod("system", "check").ok()
    pypod("rm", "c").ok()
    assert not leaks.since(pypod, before)


def test_with_rm_it_is_gone(pypod: Pypod, image: str) -> None:
    before = leaks.snapshot(pypod)
    for look in (("ps", "-a"), ("inspect", "c"), ("wait", "c")):
        pypod(*RUN, "--rm", "--name", "c", image, "sleep", "1000").ok()
        kill_both(pypod)
        pypod(*look)
        assert not pypod.exists("c"), look
    assert not leaks.since(pypod, before)


def test_with_a_restart_policy_it_runs_again(pypod: Pypod, image: str) -> None:
    pypod(*RUN, "--restart", "always", "--name", "c", image, "sleep", "1000").ok()
    dead = kill_both(pypod)
    pypod("system", "check", "--repair").ok()
    assert pypod("ps", "--format", "{{.Names}}").ok().lines == ["c"]
    found = pypod.inspect("c")
    assert found["RestartCount"] == 1 and found["State"]["Status"] == "running"
    assert found["State"]["Pid"] != dead and alive(found["State"]["ConmonPid"])


def test_wait_knows_no_status_but_the_end(pypod: Pypod, image: str) -> None:
    pypod(*RUN, "--name", "c", image, "sleep", "1000").ok()
    _, container = kill_monitor(pypod)
    waiter = pypod.popen("wait", "c")
    follower = pypod.popen("logs", "-f", "c")
    time.sleep(0.2)
    os.kill(container, signal.SIGKILL)
    assert waiter.communicate(timeout=20)[0] == b"-1\n"
    follower.communicate(timeout=20)
    pypod("rm", "c").ok()


def test_who_is_attached_when_it_dies(pypod: Pypod, image: str) -> None:
    process = pypod.popen(
        "run", "--rm", "--network", "none", "--name", "c", image, "sh", "-c", "echo one; sleep 1000"
    )
    assert process.stdout
    assert process.stdout.readline() == b"one\n"
    _, container = kill_monitor(pypod)
    os.kill(container, signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode == 255
    assert not pypod.exists("c")


def test_the_monitors_of_exec_sessions(pypod: Pypod, image: str) -> None:
    pypod(*RUN, "--name", "c", image, "sleep", "1000").ok()
    pypod("exec", "-d", "c", "sleep", "999").ok()
    (session,) = pypod.inspect("c")["ExecIDs"]
    place = next(Path(str(pypod.runroot)).glob(f"overlay-containers/*/userdata/exec/{session}"))
    os.kill(int((place / "conmon.pid").read_text()), signal.SIGKILL)
    assert pypod.inspect("c")["ExecIDs"] == [session], "its process lives"
    os.kill(int((place / "pid").read_text()), signal.SIGKILL)
    until(lambda: pypod.inspect("c")["ExecIDs"] == [], 5, "the session to end")
    with pypod.terminal("exec", "-it", "c", "sleep", "998") as terminal:
        (session,) = until(lambda: pypod.inspect("c")["ExecIDs"], 10, "the session")
        pid = place.parent / session / "conmon.pid"
        until(pid.exists, 10, "its monitor")
        os.kill(int(pid.read_text()), signal.SIGKILL)
        assert terminal.wait(20) == 125
        assert b"monitor" in terminal.output
    until(lambda: "998" not in pypod("top", "c", "args").ok().out, 10, "its process to end with its terminal")
    pypod("stop", "c").ok()
    assert not place.parent.exists()


def test_the_next_container_joins_the_namespace_that_the_last_one_holds(pypod: Pypod, image: str) -> None:
    pypod(*RUN, "--name", "c", image, "sleep", "1000").ok()
    _, container = kill_monitor(pypod)
    pypod(*RUN, "--name", "d", "--pid", "container:c", image, "sleep", "1000").ok()
    inner = [subprocess.check_output(["readlink", f"/proc/{pid}/ns/user"]) for pid in (container, pypod.pid("d"))]
    assert inner[0] == inner[1]
    pypod("rm", "-f", "-t", "0", "d").ok()
