"""Events that meet: two in one turn of the monitor's loop, or one while it waits for another."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conmon import logs, spawn
from support.box import missing
from support.monitor_box import Box, alive, everything, until

HELD = "until [ -e $TMPDIR/go ]; do sleep 0.01; done; "


def go(box: Box) -> None:
    (box.place / "go").touch()


def held_runtime(box: Box) -> Path:
    """The runtime, which begins when ``go`` is there."""
    program = box.place / "held"
    program.write_text(f'#!/bin/sh\n{HELD}exec {box.runtime} "$@"\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("missing", ["<&-", "<&- >&- 2>&-"])
def test_started_without_standard_descriptors(box: Box, missing: str) -> None:
    words = spawn.argv(box.options(log_size_max=110))
    script = "for i in 1 2 3; do echo line $i; sleep 0.02; done"
    subprocess.run(
        ["sh", "-c", f'exec "$@" {missing}', "sh", *words], env={**box.env, "FAKE_SCRIPT": script}, check=True
    )
    assert box.exit_code() == 0
    box.gone()
    texts = [
        line.split(" ", 3)[3] for name in (f"{box.log}.1", box.log) for line in Path(name).read_text().splitlines()
    ]
    assert texts == ["line 1", "line 2", "line 3"]


TRACER = """
import ctypes, sys
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_long]
print(ptrace(0x4206, int(sys.argv[1]), 0, 0), flush=True)  # PTRACE_SEIZE
sys.stdin.read()
"""


def test_what_the_runtime_says_outlives_the_return_of_idle_buffers(box: Box) -> None:
    """A client's input starts the clock after which buffers are given back; the runtime's reason waits in one."""
    box.runtime = box.place / "slow"
    box.runtime.write_text("#!/bin/sh\necho the reason >&2\nsleep 2.6\nexit 1\n")
    box.runtime.chmod(0o755)
    started = box.start(exec_process_spec="/dev/null", exec_attach=True, stdin=True, log_path="none")
    with box.connect() as sock:
        sock.send(b"early\n")
        started.go()
    assert (started.pid, started.message) == (-1, "the reason")


def test_the_status_of_a_traced_container(box: Box) -> None:
    os.mkfifo(box.place / "gate")
    started = box.start("read x < $TMPDIR/gate; exit 7")
    with subprocess.Popen(
        [sys.executable, "-c", TRACER, str(started.pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as tracer:
        assert tracer.stdin and tracer.stdout
        if tracer.stdout.readline() != b"0\n":
            missing("ptrace is not allowed here")
        (box.place / "gate").write_text("go\n")
        until(lambda: not alive(started.pid))
        time.sleep(0.05)  # it is a zombie that only the tracer can see
        tracer.stdin.close()
    assert box.exit_code() == 7


def test_a_container_that_ends_just_before_its_time_is_up(box: Box) -> None:
    started = box.start(HELD + "exit 7", timeout=1)
    os.kill(box.pid, signal.SIGSTOP)
    go(box)
    until(lambda: not alive(started.pid))
    time.sleep(1)
    os.kill(box.pid, signal.SIGCONT)
    assert box.exit_code() == 7


def test_a_signal_after_the_runtimes_end_and_before_its_pid_file_was_read(box: Box) -> None:
    def meanwhile() -> None:
        until(lambda: (box.place / "conmon.pid").exists())
        until(lambda: Path(f"/proc/{box.pid}/task/{box.pid}/children").read_text().split())
        runtime = int(Path(f"/proc/{box.pid}/task/{box.pid}/children").read_text())
        os.kill(box.pid, signal.SIGSTOP)
        go(box)
        until(lambda: not alive(runtime))
        os.kill(box.pid, signal.SIGTERM)
        os.kill(box.pid, signal.SIGCONT)

    options = box.options(runtime=str(held_runtime(box)))
    spawn.spawn(options, env={**box.env, "FAKE_SCRIPT": "exec sleep 60"}, meanwhile=meanwhile)
    assert box.exit_code() == 128 + signal.SIGTERM


def test_input_while_nobody_has_the_terminal_open(box: Box) -> None:
    box.start(
        f"t=$(tty); exec 0<&- 1>&- 2>&-; touch $TMPDIR/closed; {HELD} exec 0<$t 1>$t; read x; read y; echo $x $y",
        terminal=True,
    )
    sock = box.connect()
    until(lambda: (box.place / "closed").exists())
    sock.send(b"before\n")
    time.sleep(0.05)
    go(box)
    sock.send(b"after\n")
    assert b"before after\r\n" in everything(sock)[0]


def test_a_log_that_is_a_fifo_whose_reader_rests(box: Box) -> None:
    os.mkfifo(box.log)
    reader = os.open(box.log, os.O_RDONLY | os.O_NONBLOCK)
    box.start(f"yes | head -c 400000; touch $TMPDIR/written; {HELD} echo last; exit 7")
    until(lambda: (box.place / "written").exists())
    time.sleep(0.02)
    first = os.read(reader, 1 << 20)
    go(box)
    assert box.exit_code() == 7
    texts = [line[45:] for line in (first + os.read(reader, 1 << 20)).split(b"\n")]
    os.close(reader)
    # The line that the pipe had no room for is cut off, not joined to the next.
    assert set(texts[:-4]) == {b"y"} and texts[-4] in (b"y", b"")
    assert texts[-3].startswith(b"conmon: ") and texts[-2:] == [b"last", b""]


def test_a_log_that_is_a_fifo_without_reader_is_not_opened_again(box: Box) -> None:
    os.mkfifo(box.log)
    reader = os.open(box.log, os.O_RDONLY | os.O_NONBLOCK)
    box.start(HELD + "exit 7")
    os.close(reader)
    with (box.bundle / "ctl").open("w") as ctl:
        ctl.write("2 0 0\n")
    time.sleep(0.1)
    go(box)
    assert box.exit_code() == 7


def test_streams_are_read_while_the_lock_of_the_exit_command_is_held(box: Box) -> None:
    lock = box.place / "exit.lock"
    lock.touch()
    with lock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        box.start(
            "setsid sh -c 'sleep 0.1; head -c 1000000 /dev/zero; touch $TMPDIR/written' &",
            exit_command_lock=str(lock),
            exit_command=["/bin/true"],
        )
        box.exit_code()
        until(lambda: (box.place / "written").exists())
        file.write("done")
    box.gone()


@pytest.mark.parametrize("fails", [False, True])
def test_a_runtime_with_much_to_say(box: Box, fails: bool) -> None:
    program = box.place / "talkative"
    end = "exit 3" if fails else f'exec {box.runtime} "$@"'
    program.write_text(f"#!/bin/sh\necho first >&2; head -c 700000 /dev/zero | tr '\\0' x >&2\necho >&2\n{end}\n")
    program.chmod(0o755)
    started = box.start("echo mine >&2; exit 7", runtime=str(program))
    if fails:
        assert started.pid == -1 and started.message.startswith("first\nxxx") and len(started.message) == 8191
        return
    assert box.exit_code() == 7
    assert b"".join(text for _, _, text in box.entries()) == b"first" + b"x" * 700000 + b"mine"


def test_a_log_that_was_truncated_has_room_again(box: Box) -> None:
    box.start(f"seq 1 100; touch $TMPDIR/written; {HELD} seq 1 100", log_size_max=8000)
    until(lambda: (box.place / "written").exists() and box.log.stat().st_size > 4000)
    os.truncate(box.log, 0)
    go(box)
    box.exit_code()
    box.gone()
    assert not Path(f"{box.log}.1").exists()
    assert len(box.entries()) == 100


def test_a_great_number_of_files_to_keep(box: Box) -> None:
    box.start("for i in 1 2 3 4; do seq 1 20; sleep 0.02; done", log_size_max=1000, log_max_files=2**31 - 1)
    assert box.exit_code() == 0
    assert len(logs.rotated(str(box.log))) == 4


def test_a_character_that_comes_in_two_halves_is_not_torn(box: Box) -> None:
    box.start("printf 'Stra\\303'; sleep 0.25; printf '\\237e'; sleep 0.2", log_path=f"json-file:{box.log}")
    box.exit_code()
    box.gone()
    assert "�" not in box.log.read_text()


def test_a_terminals_last_output_reaches_clients(box: Box) -> None:
    started = box.start(f"stty raw -echo; touch $TMPDIR/raw; {HELD} cat /dev/zero | tr '\\0' x", terminal=True)
    until(lambda: (box.place / "raw").exists())
    sock = box.connect()
    time.sleep(0.05)
    os.kill(box.pid, signal.SIGSTOP)
    go(box)
    time.sleep(0.5)
    os.killpg(started.pid, signal.SIGKILL)
    os.kill(box.pid, signal.SIGCONT)
    out = everything(sock)[0]
    box.gone()
    assert len(out) == sum(len(text) for _, _, text in box.entries()) > 4096


def test_the_number_of_a_descriptor_that_is_not_open(box: Box) -> None:
    done = subprocess.run(
        spawn.argv(box.options()), env={**box.env, "_OCI_SYNCPIPE": "77"}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "[conmon:e]: unable to make _OCI_SYNCPIPE 77 CLOEXEC: Bad file descriptor\n"


def test_the_exit_command_does_not_wait_for_a_client_that_is_slow(box: Box) -> None:
    box.start(
        HELD + "head -c 220000 /dev/zero",
        attach_grace=-1,
        exit_command=["/bin/touch", str(box.place / "called")],
    )
    sock = box.connect()
    go(box)
    until(lambda: (box.place / "called").exists())
    assert everything(sock) == (bytes(220000), b"")
    box.gone()
