"""``run`` tells the container's exit status, and its own troubles by 125, 126 and 127 (podman-run(1))."""

import os
import signal

import pytest

from support.runner import Pypod, until


@pytest.mark.parametrize("code", [0, 1, 7, 42, 255])
def test_the_status_of_the_command_is_the_status_of_run(pypod: Pypod, image: str, code: int) -> None:
    assert pypod("run", "--rm", image, "sh", "-c", f"exit {code}").code == code


def test_nothing_but_the_output_is_on_stdout_and_stderr(pypod: Pypod, image: str) -> None:
    done = pypod("run", "--rm", image, "sh", "-c", "echo out; echo err >&2")
    assert (done.code, done.out, done.err) == (0, "out\n", "err\n")


def test_command_not_found_is_127(pypod: Pypod, image: str) -> None:
    pypod("run", "--rm", image, "no-such-program").fails(127, "no-such-program")


@pytest.mark.parametrize("path", ["/etc", "/etc/notes"])
def test_command_not_executable_is_126(pypod: Pypod, image: str, path: str) -> None:
    pypod("run", "--rm", image, path).fails(126, path)


def test_working_directory_that_is_a_file_fails(pypod: Pypod, image: str) -> None:
    done = pypod("run", "--rm", "-w", "/etc/notes", image, "true")
    assert done.code in (125, 126, 127), done
    assert len([line for line in done.err.splitlines() if line.startswith("Error: ")]) == 1, done


def test_after_a_failed_start_there_is_no_container(pypod: Pypod, image: str) -> None:
    pypod("run", "--rm", "--name", "bad", image, "no-such-program").fails(127)
    pypod.wait_gone("bad")


def test_a_failed_start_without_rm_leaves_a_container_that_tells_why(pypod: Pypod, image: str) -> None:
    pypod("run", "--name", "bad", image, "no-such-program").fails(127)
    assert pypod.inspect("bad")["State"]["Status"] in ("created", "exited")
    pypod("rm", "bad").ok()


def test_kill_9_of_the_process_is_137(pypod: Pypod, image: str) -> None:
    process = pypod.popen("run", "--rm", "--name", "victim", image, "sleep", "100")
    until(lambda: pypod.exists("victim") and pypod.state("victim") == "running", 20, "the container to run")
    os.kill(pypod.pid("victim"), signal.SIGKILL)
    assert process.wait(20) == 137
    pypod.wait_gone("victim")


def test_a_signal_to_run_reaches_the_container(pypod: Pypod, image: str) -> None:
    script = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    process = pypod.popen("run", "--rm", image, "sh", "-c", script)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == b"caught\n"
    assert process.wait(20) == 9


def test_with_sig_proxy_off_the_signal_ends_run_and_not_the_container(pypod: Pypod, image: str) -> None:
    process = pypod.popen("run", "--sig-proxy=false", "--name", "c", image, "sh", "-c", "echo ready; sleep 100")
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    assert pypod.state("c") == "running"


def test_timeout_is_255(pypod: Pypod, image: str) -> None:
    assert pypod("run", "--rm", "--timeout", "1", image, "sleep", "100").code == 255


def test_exit_status_stays_with_the_container(pypod: Pypod, image: str) -> None:
    assert pypod("run", "--name", "seven", image, "sh", "-c", "exit 7").code == 7
    assert pypod.inspect("seven")["State"]["ExitCode"] == 7
    assert pypod("wait", "seven").ok().out == "7\n"
    assert pypod("ps", "-a", "--format", "{{.Names}} {{.Status}}").out.startswith("seven Exited (7) ")
