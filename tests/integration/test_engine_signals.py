"""Signals to exec and unshare, and what a monitor knows of its caller."""

import os
import signal
import time
from pathlib import Path

import pytest

from support.runner import Pypod, until


def test_a_signal_to_exec_reaches_its_process(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--network", "none", "--name", "c", image, "sleep", "1000").ok()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        script = "trap 'echo got; exit 5' TERM INT HUP; echo ready; while :; do sleep 0.1; done"
        session = pypod.popen("exec", "c", "sh", "-c", script)
        assert session.stdout and session.stdout.readline() == b"ready\n"
        session.send_signal(number)
        out, err = session.communicate(timeout=10)
        assert (session.returncode, out, err) == (5, b"got\n", b"")


def test_the_monitor_does_not_have_its_callers_secrets(pypod: Pypod, image: str) -> None:
    env: dict[str, str | None] = {"DATABASE_PASSWORD": "hunter2", "LC_ALL": "C.UTF-8"}
    pypod("run", "-d", "--network", "none", "--name", "c", image, "sleep", "1000", env=env).ok()
    known = Path(f"/proc/{pypod.monitor('c')}/environ").read_bytes()
    assert b"hunter2" not in known
    assert b"PATH=" in known and b"HOME=" in known and b"LC_ALL=" in known
    # And the way back works with that.
    pypod("exec", "c", "kill", "-9", "1")
    os.kill(pypod.pid("c"), signal.SIGKILL)
    pypod.wait_state("c", "exited")


def test_commands_in_unshare_have_the_usual_signals(pypod: Pypod) -> None:
    if not pypod.rootless:
        pypod("unshare", "true").fails(125, "rootless")
        return
    show = "yes | head -n 1; grep SigIgn /proc/self/status"
    done = pypod("unshare", "sh", "-c", show).ok()
    assert done.err == ""
    assert done.lines[0] == "y"
    # The two signals above the standard ones are libc's own; make leaves them ignored.
    assert int(done.lines[1].split()[1], 16) & 0x7FFFFFFF == 0


def test_holders_of_the_namespace_do_not_add_up(pypod: Pypod, image: str) -> None:
    if not pypod.rootless:
        return
    assert pypod.runroot
    pypod("run", "-d", "--network", "none", "--name", "c", image, "sleep", "1000").ok()
    for _ in range(20):
        pypod("exec", "c", "true").ok()
    assert len(os.listdir(pypod.runroot / "pypod" / "holders")) < 12


def test_cp_out_of_a_container_that_is_being_stopped(pypod: Pypod, image: str, shared_dir: Path) -> None:
    """Its process still runs on its overlay: a second one over the same directories would be undefined."""
    script = "trap '' TERM; mkdir /m; echo x >/m/file; echo ready; while :; do sleep 0.1; done"
    volume = ("--tmpfs", "/m")
    pypod("run", "-d", "--network", "none", "--name", "c", *volume, image, "sh", "-c", script).ok()
    pypod.wait_log("c", "ready")
    stopping = pypod.popen("stop", "-t", "3", "c")
    until(lambda: pypod.state("c") == "stopping", 5, "the container to be stopping")
    # The file is on a tmpfs: only the running container has it.
    pypod("cp", "c:/m/file", shared_dir / "file").ok()
    assert (shared_dir / "file").read_text() == "x\n"
    stopping.communicate(timeout=20)


@pytest.mark.parametrize("name", ["_CONTAINERS_ROOTLESS_UID", "_CONTAINERS_USERNS_CONFIGURED"])
def test_odd_values_of_our_variables(pypod: Pypod, name: str) -> None:
    assert pypod("ps", "-q", env={name: "x y"}).ok().out == ""


def test_a_container_started_by_another_while_run_waits(pypod: Pypod, image: str) -> None:
    """Between created and started, somebody else may start it."""
    for _ in range(5):
        running = pypod.popen("run", "--name", "c", "--network", "none", image, "sleep", "0.5")
        end = time.monotonic() + 5
        while running.poll() is None and time.monotonic() < end:
            if pypod("start", "c").code == 0:
                break
        _, err = running.communicate(timeout=20)
        # If the other was there before run began to create it, run has nothing to start; else it stays with it.
        assert running.returncode == 0 or b"is running" in err
        assert pypod("wait", "c").ok().out == "0\n"  # in any case nobody has killed it
        pypod("rm", "-f", "-t", "0", "c").ok()
