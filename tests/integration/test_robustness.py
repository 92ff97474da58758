"""The CLI, the monitor or the container dies by SIGKILL, and many run at once: the answers stay true."""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import leaks
from support.runner import Pypod, Result, alive, until


def test_the_container_outlives_a_killed_cli(pypod: Pypod, image: str) -> None:
    script = "echo one; while [ ! -e /go ]; do sleep 0.1; done; echo two; exit 8"
    process = pypod.popen("run", "--name", "c", image, "sh", "-c", script)
    assert process.stdout
    assert process.stdout.readline() == b"one\n"
    process.kill()
    process.wait()
    assert pypod("ps", "--format", "{{.Names}}").ok().lines == ["c"]
    assert pypod("logs", "c").ok().out == "one\n"
    attached = pypod.popen("attach", "c")
    time.sleep(0.3)
    pypod("exec", "c", "touch", "/go").ok()
    out, _ = attached.communicate(timeout=20)
    assert out == b"two\n"
    assert attached.returncode == 8
    assert pypod("wait", "c").ok().out == "8\n"
    assert pypod("logs", "c").ok().out == "one\ntwo\n"
    assert pypod.inspect("c")["State"]["ExitCode"] == 8


def test_with_rm_it_is_gone_in_the_end(pypod: Pypod, image: str) -> None:
    process = pypod.popen("run", "--rm", "--name", "c", image, "sh", "-c", "echo one; sleep 1")
    assert process.stdout
    assert process.stdout.readline() == b"one\n"
    process.kill()
    process.wait()
    assert pypod.state("c") == "running"
    pypod.wait_gone("c")


def test_the_container_that_writes_much_outlives_a_killed_cli(pypod: Pypod, image: str) -> None:
    """Nobody reads the attached side any more: the output must go on into the log."""
    process = pypod.popen("run", "--name", "c", image, "sh", "-c", "seq 1 100000; sleep 0.2; echo end; exit 5")
    assert process.stdout
    process.stdout.read(100)
    process.kill()
    process.wait()
    assert pypod("wait", "c", timeout=30).ok().out == "5\n"
    assert pypod("logs", "c").ok().lines == [str(n) for n in range(1, 100001)] + ["end"]


@pytest.mark.parametrize("delay", range(0, 160, 8))
def test_a_cli_killed_at_any_moment_leaves_nothing(pypod: Pypod, image: str, delay: int) -> None:
    before = leaks.snapshot(pypod)
    process = pypod.popen("run", "--rm", "--network", "none", "--name", "c", image, "sleep", "0.5")
    time.sleep(delay / 1000)
    process.kill()
    process.wait()
    # Whatever it had made can be listed, and either ends by itself or can be removed; the name is free again.
    pypod("ps", "-a").ok()
    pypod("rm", "-f", "-t", "0", "c").ok()
    assert not pypod.exists("c")
    assert pypod("run", "--rm", "--name", "c", image, "echo", "again").ok().out == "again\n"
    assert not leaks.since(pypod, before)


def test_the_exit_command_of_a_container_whose_start_nobody_noted(pypod: Pypod, image: str, shared_dir: Path) -> None:
    """The CLI died after the runtime had made the container and before the state told of monitor and process."""
    before = leaks.snapshot(pypod)
    real = pypod("info", "--format", "{{.Host.OCIRuntime.Path}}").ok().out.strip()
    slow = shared_dir / "slow"
    create = f"touch {shared_dir}/made; sleep 2; touch {shared_dir}/over; exit $code"
    slow.write_text(f'#!/bin/sh\n{real} "$@"; code=$?\ncase " $* " in *" create "*) {create};; esac\nexit $code\n')
    slow.chmod(0o755)
    process = pypod.popen("--runtime", slow, "run", "--rm", "--network", "none", "--name", "c", image, "sleep", "100")
    until(lambda: (shared_dir / "made").exists(), 20, "the container to be made")
    process.kill()
    process.wait()
    assert pypod.runroot
    (pid,) = Path(pypod.runroot).glob("overlay-containers/*/userdata/pidfile")
    until(lambda: (shared_dir / "over").exists(), 20, "the runtime to end")
    os.kill(int(pid.read_text()), signal.SIGKILL)
    until(lambda: not pid.exists(), 20, "the exit command")
    pypod.wait_gone("c")
    until(lambda: not leaks.since(pypod, before), 5, "the rest to be gone")


def test_a_killed_monitor_is_seen(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sleep", "100").ok()
    monitor, container = pypod.monitor("c"), pypod.pid("c")
    os.kill(monitor, signal.SIGKILL)
    until(lambda: not alive(monitor), 5, "the monitor to die")
    # The process lives on, and saying so is the truth.
    assert alive(container)
    assert pypod.state("c") == "running"
    assert pypod("ps", "--format", "{{.Names}}").ok().lines == ["c"]
    pypod("stop", "-t", "0", "c").ok()
    until(lambda: not alive(container), 5, "the container to end")
    assert pypod.state("c") == "exited"
    pypod("rm", "c").ok()
    assert not pypod.exists("c")


def test_a_container_that_died_while_its_monitor_was_dead_is_not_running(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sleep", "100").ok()
    monitor, container = pypod.monitor("c"), pypod.pid("c")
    os.kill(monitor, signal.SIGKILL)
    os.kill(container, signal.SIGKILL)
    until(lambda: not alive(container), 5, "the container to die")
    assert pypod.state("c") == "exited"
    assert pypod("ps", "-q").ok().out == ""
    assert pypod("ps", "-a", "--format", "{{.Names}} {{.State}}").ok().out == "c exited\n"
    pypod("start", "c").ok()
    assert pypod.state("c") == "running"


def test_a_killed_container_is_exited_137(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sleep", "100").ok()
    os.kill(pypod.pid("c"), signal.SIGKILL)
    pypod.wait_state("c", "exited")
    assert pypod.inspect("c")["State"]["ExitCode"] == 137


def test_rm_f_of_a_container_with_a_dead_monitor(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sleep", "100").ok()
    container = pypod.pid("c")
    os.kill(pypod.monitor("c"), signal.SIGKILL)
    pypod("rm", "-f", "-t", "0", "c").ok()
    assert not alive(container)
    assert not pypod.exists("c")


def test_after_a_reboot_nothing_runs_and_everything_starts(fresh: Pypod, busybox_tar: str) -> None:
    """A reboot kills every process and empties the runroot, which is a tmpfs."""
    pypod = fresh
    pypod("import", busybox_tar, "bb").ok()
    # Without a network program, which a real reboot would end as well.
    pypod("run", "-d", "--name", "runs", "--network", "none", "bb", "sleep", "100").ok()
    pypod("create", "--name", "made", "bb", "true").ok()
    assert pypod("run", "--name", "ended", "bb", "sh", "-c", "exit 6").code == 6
    for pid in (pypod.monitor("runs"), pypod.pid("runs")):
        os.kill(pid, signal.SIGKILL)
    assert pypod.runroot
    subprocess.run(["find", pypod.runroot, "-mindepth", "1", "-delete"], check=True)
    states = dict(line.split() for line in pypod("ps", "-a", "--format", "{{.Names}} {{.State}}").ok().lines)
    assert states == {"runs": "exited", "made": "created", "ended": "exited"}
    assert pypod.inspect("ended")["State"]["ExitCode"] == 6
    assert not pypod.inspect("runs")["State"]["FinishedAt"].startswith(("0001", "1970"))
    pypod("start", "runs").ok()
    assert pypod.state("runs") == "running"
    assert pypod("start", "-a", "made").code == 0


def test_a_hundred_runs_eight_at_a_time(pypod: Pypod, image: str) -> None:
    def run(number: int) -> Result:
        return pypod("run", "--rm", image, "sh", "-c", f"echo {number}; exit {number % 5}", timeout=120)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(run, range(100)))
    wrong = [done for number, done in enumerate(results) if (done.out, done.code) != (f"{number}\n", number % 5)]
    assert not wrong, wrong[:3]
    assert all(done.err == "" for done in results), [done.err for done in results if done.err][:3]
    assert pypod("ps", "-a", "-q").ok().out == ""


def test_many_detached_containers_at_once(pypod: Pypod, image: str) -> None:
    def start(number: int) -> Result:
        return pypod("run", "-d", "--network", "none", "--name", f"c{number}", image, "sleep", "100", timeout=120)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(start, range(24)))
    assert not [done for done in results if done.code], [done for done in results if done.code][:3]
    assert len(pypod("ps", "-q").ok().lines) == 24
    pypod("rm", "-f", "-a", "-t", "0", timeout=120).ok()
    assert pypod("ps", "-a", "-q").ok().out == ""


def test_one_name_for_many_is_given_to_one(pypod: Pypod, image: str) -> None:
    def create(_: int) -> Result:
        return pypod("create", "--name", "same", image, "true")

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(done.code for done in pool.map(create, range(8)))
    assert codes == [0] + [125] * 7
    assert pypod.names() == ["same"]


def test_the_same_container_started_by_many(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "c", image, "sleep", "100").ok()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: pypod("start", "c"), range(8)))
    assert {done.code for done in results} == {0}, results
    assert pypod.state("c") == "running"
    assert parent_count(pypod, "c") == 1


def parent_count(pypod: Pypod, name: str) -> int:
    """The number of containers' first processes with this command."""
    from support.runner import cmdline, parent

    identity = pypod.inspect(name)["Id"]
    monitors = {int(p) for p in os.listdir("/proc") if p.isdigit() and identity in " ".join(cmdline(int(p)))}
    found = 0
    for pid in os.listdir("/proc"):
        if pid.isdigit() and cmdline(int(pid)) == ["sleep", "100"]:
            try:
                found += parent(int(pid)) in monitors
            except OSError:
                pass
    return found
