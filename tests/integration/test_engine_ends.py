"""Several commands see the end of one container: each of them tells the truth about it."""

import os
import signal
import time
from pathlib import Path

import pytest

from support import leaks
from support.runner import Pypod, until


@pytest.mark.parametrize("how", [("stop", "-t", "0"), ("rm", "-f", "-t", "0"), ("kill",)])
@pytest.mark.parametrize("attempt", range(3))
def test_an_attached_run_tells_the_code_though_another_command_ends_it(
    pypod: Pypod, image: str, how: tuple[str, ...], attempt: int
) -> None:
    """Who is first to clean up is a race; run has to know the exit code either way."""
    running = pypod.popen("run", "--rm", "--network", "none", "--name", "c", image, "sh", "-c", "echo up; sleep 100")
    assert running.stdout and running.stdout.readline() == b"up\n"
    pypod(*how, "c").ok()
    _, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (137, b"")
    pypod.wait_gone("c")


def test_two_attached_to_one_container_both_tell_its_code(pypod: Pypod, image: str) -> None:
    identity = pypod("run", "-d", "--rm", "--network", "none", image, "sh", "-c", "sleep 1; exit 6").ok().out.strip()
    attached = [pypod.popen("attach", identity) for _ in range(2)]
    waiting = pypod.popen("wait", identity)
    for process in attached:
        process.communicate(timeout=20)
        assert process.returncode == 6
    assert waiting.communicate(timeout=20)[0] == b"6\n"


@pytest.mark.parametrize("attempt", range(4))
def test_wait_for_a_container_that_is_removed_at_once(pypod: Pypod, image: str, attempt: int) -> None:
    identity = pypod("run", "-d", "--rm", "--network", "none", image, "sh", "-c", "exit 9").ok().out.strip()
    time.sleep(attempt * 0.15)
    assert pypod("wait", identity).ok().out == "9\n"


@pytest.mark.parametrize("attempt", range(3))
def test_stop_ends_a_container_that_starts_again_at_once(pypod: Pypod, image: str, attempt: int) -> None:
    """Between two of its runs it is not running: stop must hold all the same."""
    pypod("run", "-d", "--network", "none", "--restart", "always", "--name", "c", image, "true").ok()
    time.sleep(0.3 + attempt * 0.03)
    pypod("stop", "-t", "0", "c").ok()
    assert pypod.state("c") == "exited"
    time.sleep(0.5)
    assert pypod.state("c") == "exited"


@pytest.mark.parametrize("attempt", range(3))
def test_rm_force_of_a_container_that_starts_again_at_once(pypod: Pypod, image: str, attempt: int) -> None:
    pypod("run", "-d", "--network", "none", "--restart", "always", "--name", "c", image, "true").ok()
    time.sleep(0.3 + attempt * 0.03)
    pypod("rm", "-f", "-t", "0", "c").ok()
    assert not pypod.exists("c")


def test_restart_of_a_container_made_with_rm(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--rm", "--network", "none", "--name", "c", image, "sleep", "100").ok()
    first = pypod.pid("c")
    pypod("restart", "-t", "0", "c").ok()
    assert pypod.state("c") == "running" and pypod.pid("c") != first
    pypod("stop", "-t", "0", "c").ok()
    pypod.wait_gone("c")


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of a signal (proc_pid_status(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("delay", range(0, 170, 25))
def test_a_signal_while_run_sets_up_leaves_nothing(
    pypod: Pypod, image: str, number: signal.Signals, delay: int
) -> None:
    """Before the container runs the signal ends run, afterwards it is the container's."""
    before = leaks.snapshot(pypod)
    process = pypod.popen("run", "--rm", "--network", "none", image, "sleep", "1")
    # Before that it is the interpreter that starts, whose own handler of SIGINT no line of ours can replace.
    until(lambda: catches(process.pid, signal.SIGTERM), 10, "pypod to be at work")
    time.sleep(delay / 1000)
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=20)
    assert b"Traceback" not in err
    # A first process has no default actions: sleep takes no notice.
    assert process.returncode in (0, -number, 128 + number)
    until(lambda: pypod("ps", "-a", "-q").ok().out == "", 10, "the container to be gone")
    assert not leaks.since(pypod, before)


def test_bad_detach_keys_are_refused_before_anything_is_made(pypod: Pypod, image: str) -> None:
    for flags in ((), ("-i",), ("-i", "-t"), ("-d",)):
        pypod("run", *flags, "--detach-keys", "ctrl-p,bad", "--name", "c", image, "true").fails(125, "bad")
    assert pypod.names() == []
    pypod("run", "-d", "--network", "none", "--name", "c", image, "sleep", "100").ok()
    for words in (("attach", "--detach-keys", "bad", "c"), ("exec", "--detach-keys", "bad", "c", "true")):
        pypod(*words).fails(125, "bad")


def test_an_unknown_name_among_others_leaves_the_others_alone(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "c", "--network", "none", image, "sleep", "100").ok()
    assert pypod("start", "c", "nosuch").fails(125, "nosuch").out == ""
    assert pypod.state("c") == "created"
    pypod("start", "c").ok()
    for words in (("stop", "-t", "0"), ("kill",), ("restart", "-t", "0")):
        assert pypod(*words, "c", "nosuch").fails(125, "nosuch").out == ""
        assert pypod.state("c") == "running"
