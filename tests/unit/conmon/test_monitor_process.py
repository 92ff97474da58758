"""The monitor's life: start, exit files, exit command, errors, logs."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import conmon
from conmon import logs, spawn
from pypod.errors import MonitorError
from support.box import missing
from support.monitor_box import ID, Box, alive, everything, unshared, until


def test_version() -> None:
    done = subprocess.run([conmon.MONITOR, "--version"], capture_output=True, text=True)
    assert done.stdout == "conmon version 2.2.1\ncommit: pypod\n" and done.returncode == 0


@pytest.mark.parametrize(("script", "code"), [("true", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137)])
def test_exit_codes(box: Box, script: str, code: int) -> None:
    started = box.start(script)
    assert started.pid == int((box.place / "pid").read_text())
    assert box.exit_code() == code
    assert (box.exits / ID).read_bytes() == str(code).encode()
    box.gone()
    assert not (box.bundle / "attach").exists()
    assert os.listdir(box.exits) == [ID]


def test_with_sync_the_monitor_is_the_child_and_ends_as_the_container(box: Box) -> None:
    words = [conmon.MONITOR, "--sync", "--api-version", "1", "-c", ID, "-u", ID, "-r", box.runtime, "-l", "none"]
    words += ["-b", box.bundle, "--full-attach", "-p", box.place / "pid", "--persist-dir", box.place]
    done = subprocess.run(words, env={**box.env, "FAKE_SCRIPT": "exit 9"}, timeout=20)
    assert done.returncode == 9
    assert (box.place / "exit").read_text() == "9"


def test_what_the_runtime_is_told(box: Box) -> None:
    box.start(
        runtime_args=["--log", "x"],
        runtime_opts=["--preserve-fds", "1"],
        systemd_cgroup=True,
        no_pivot=True,
        no_new_keyring=True,
    )
    assert (box.place / "args").read_text().splitlines() == [
        *[
            "--systemd-cgroup",
            "--log",
            "x",
            "create",
            "--bundle",
            str(box.bundle),
            "--pid-file",
            str(box.place / "pid"),
        ],
        *["--no-pivot", "--no-new-keyring", "--preserve-fds", "1", ID],
    ]
    box.gone()


def test_log(box: Box) -> None:
    box.start("echo out; echo err >&2; printf 'no newline'; echo; echo; printf end")
    assert box.exit_code() == 0
    entries = box.entries()
    assert [entry for entry in entries if entry[0] == "stdout"] == [
        *[("stdout", "F", b"out"), ("stdout", "F", b"no newline"), ("stdout", "F", b""), ("stdout", "P", b"end")]
    ]
    assert [entry for entry in entries if entry[0] == "stderr"] == [("stderr", "F", b"err")]
    assert re.match(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00 stdout F out\n", box.log.read_bytes())


def test_a_prompt_is_logged_while_the_container_waits(box: Box) -> None:
    box.start("printf 'name: '; sleep 60")
    until(lambda: box.log.read_bytes())
    assert box.entries() == [("stdout", "P", b"name: ")]


def test_lines_are_not_torn_where_a_read_ends(box: Box) -> None:
    box.start("seq 1 200000 | dd bs=64k 2>/dev/null")
    assert box.exit_code() == 0
    assert box.entries() == [("stdout", "F", str(number).encode()) for number in range(1, 200001)]


def test_a_long_line_comes_in_pieces(box: Box) -> None:
    box.start("head -c 500000 /dev/zero | tr '\\0' x; echo")
    assert box.exit_code() == 0
    entries = box.entries()
    assert {tag for _, tag, _ in entries[:-1]} == {"P"} and entries[-1][1] == "F"
    assert b"".join(text for _, _, text in entries) == b"x" * 500000


def test_rotation_loses_nothing(box: Box) -> None:
    box.start("seq 1 5000", log_size_max=100_000, log_max_files=9)
    assert box.exit_code() == 0
    names = logs.rotated(str(box.log))
    assert len(names) > 2 and names[-1] == str(box.log)
    assert all(os.path.getsize(name) <= 100_000 for name in names)
    assert [entry[3] for entry in logs.read(str(box.log))] == [str(number).encode() for number in range(1, 5001)]


def test_rotation_keeps_one_file_unless_told_otherwise(box: Box) -> None:
    box.start("seq 1 5000", log_size_max=50_000)
    assert box.exit_code() == 0
    assert sorted(os.listdir(box.place / ".")).count("ctr.log.1") == 1 and not (box.place / "ctr.log.2").exists()
    texts = [entry[3] for entry in logs.read(str(box.log))]
    assert texts[-1] == b"5000" and len(texts) > 900


def test_a_line_larger_than_the_limit_is_kept_whole(box: Box) -> None:
    box.start("for i in 1 2; do head -c 5000 /dev/zero | tr '\\0' x; echo; done", log_size_max=1000, log_max_files=5)
    assert box.exit_code() == 0
    assert [entry[2:] for entry in logs.read(str(box.log))] == [(False, b"x" * 5000)] * 2


def test_the_log_is_reopened_on_demand(box: Box) -> None:
    box.start("echo one; until [ -e $TMPDIR/go ]; do sleep 0.01; done; echo two")
    until(lambda: box.log.exists() and box.log.read_bytes())
    box.log.rename(box.place / "old.log")
    (box.bundle / "ctl").open("wb", buffering=0).write(b"garbage\n2 0 0\n")
    until(box.log.exists)
    (box.place / "go").touch()
    assert box.exit_code() == 0
    assert box.entries() == [("stdout", "F", b"two")]


@pytest.mark.parametrize("driver", ["none", "off", "null"])
def test_no_log(box: Box, driver: str) -> None:
    box.start("echo x", log_path=driver)
    assert box.exit_code() == 0
    assert not box.log.exists()


def test_a_colon_in_the_path_of_the_log(box: Box) -> None:
    path = box.place / "a:b.log"
    box.start("echo x", log_path=f"k8s-file:{path}")
    assert box.exit_code() == 0
    assert path.read_bytes().endswith(b" F x\n")


def test_passthrough(box: Box) -> None:
    words = [conmon.MONITOR, "--sync", "-c", ID, "-u", ID, "-r", box.runtime, "-l", "passthrough", "-b", box.bundle]
    words += ["-p", box.place / "pid", "--full-attach", "--stdin"]
    done = subprocess.run(
        words, env={**box.env, "FAKE_SCRIPT": "cat; echo err >&2"}, input=b"in\n", capture_output=True, timeout=20
    )
    assert (done.stdout, done.stderr) == (b"in\n", b"err\n")


def test_with_passthrough_only_the_container_writes_to_the_callers_stdout(box: Box) -> None:
    words = [conmon.MONITOR, "-c", ID, "-u", ID, "-r", box.runtime, "-l", "passthrough", "-b", box.bundle]
    words += ["-p", box.place / "pid", "--conmon-pidfile", box.place / "conmon.pid", "--exit-dir", box.exits]
    words += ["--exit-command", "/bin/echo", "--exit-command-arg", "cleaned up"]
    script = f"echo out; exec >&- 2>&-; until [ -e {box.place}/go ]; do sleep 0.01; done"
    # The pipe ends with the container's own use of it, although the monitor lives on.
    done = subprocess.run(words, env={**box.env, "FAKE_SCRIPT": script}, capture_output=True, timeout=20)
    assert (done.stdout, done.stderr) == (b"out\n", b"")
    (box.place / "go").touch()
    assert box.exit_code() == 0
    box.gone()


def test_real_names_of_any_bytes(box: Box) -> None:
    box.start("true", name="caf\udce9", env={"LC_ALL": "C"})
    assert box.exit_code() == 0


def marker(box: Box, *, extra: str = "") -> dict[str, Any]:
    """An exit command that leaves a line for each time that it runs."""
    script = f"{extra} echo ran >> {box.place}/ran"
    return {"exit_command": ["/bin/sh", "-c", script]}


def ran(box: Box) -> int:
    try:
        return len((box.place / "ran").read_text().splitlines())
    except FileNotFoundError:
        return 0


def test_the_exit_command_runs_once_after_the_exit_file(box: Box) -> None:
    box.start("exit 3", **marker(box, extra=f"cat {box.exits}/{ID} > {box.place}/seen;"))
    box.exit_code()
    box.gone()
    assert ran(box) == 1
    assert (box.place / "seen").read_text() == "3"


def test_the_exit_command_has_clean_signals_and_descriptors(box: Box) -> None:
    script = f"grep -E '^Sig(Blk|Ign)' /proc/self/status > {box.place}/s; ls -l /proc/self/fd > {box.place}/f"
    box.start(exit_command=["/bin/sh", "-c", script])
    box.exit_code()
    box.gone()
    status = (box.place / "s").read_text()
    masks = {name: int(mask, 16) for name, mask in re.findall(r"(\S+):\s*(\S+)", status)}
    assert masks["SigBlk"] == 0 and not masks["SigIgn"] & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGCHLD - 1)
    links = [line.split(" -> ")[1] for line in (box.place / "f").read_text().splitlines() if " -> " in line]
    assert not [link for link in links if "socket" in link or "anon" in link or "ctr.log" in link]


def test_the_monitor_waits_for_the_exit_command(box: Box) -> None:
    box.start("true", exit_command=["/bin/sh", "-c", f"until [ -e {box.place}/go ]; do sleep 0.01; done"])
    box.exit_code()
    time.sleep(0.05)
    assert alive(box.pid)
    (box.place / "go").touch()
    box.gone()


@pytest.mark.parametrize(("content", "runs"), [("", 1), ("done", 0), ("done\n", 0), ("other", 1)])
def test_exit_command_lock(box: Box, content: str, runs: int) -> None:
    lock = box.place / "exit.lock"
    lock.write_text(content)
    box.start(exit_command_lock=str(lock), **marker(box))
    box.exit_code()
    box.gone()
    assert ran(box) == runs


def test_no_exit_command_without_its_lock(box: Box) -> None:
    box.start(exit_command_lock=str(box.place / "nothing"), **marker(box))
    box.exit_code()
    box.gone()
    assert ran(box) == 0


@pytest.mark.parametrize("how", ["done", "removed", "died"])
def test_the_exit_command_waits_for_the_lock(box: Box, how: str) -> None:
    lock = box.place / "exit.lock"
    lock.touch()
    with lock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        box.start(exit_command_lock=str(lock), **marker(box))
        assert box.exit_code() == 0  # the exit file does not wait
        time.sleep(0.05)
        assert alive(box.pid) and ran(box) == 0
        if how == "done":
            file.write("done")
        elif how == "removed":
            lock.unlink()
    box.gone()
    assert ran(box) == (1 if how == "died" else 0)


def test_timeout(box: Box) -> None:
    begin = time.monotonic()
    box.start("sleep 600", timeout=1)
    assert box.exit_code() == -1
    assert time.monotonic() - begin >= 0.9
    box.gone()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_are_passed_on(box: Box, number: int) -> None:
    box.start("trap 'exit 5' TERM INT QUIT; echo ready; while :; do sleep 0.01; done")
    until(lambda: box.log.read_bytes())
    os.kill(box.pid, number)
    assert box.exit_code() == 5


def test_a_signal_while_the_runtime_works_ends_it_and_the_exit_command_runs_once(box: Box) -> None:
    started: list[spawn.Started] = []
    thread = threading.Thread(target=lambda: started.append(box.start(env={"FAKE_SLEEP": "60"}, **marker(box))))
    thread.start()
    until(lambda: (box.place / "args").exists() and (box.place / "conmon.pid").exists())
    os.kill(box.pid, signal.SIGTERM)
    thread.join()
    assert (started[0].pid, started[0].message) == (-1, "the runtime was killed by signal 15")
    box.gone()
    assert ran(box) == 1


def test_signals_after_the_container_has_ended_change_nothing(box: Box) -> None:
    box.start("exit 3", **marker(box, extra="sleep 0.3;"))
    box.exit_code()
    for _ in range(3):
        os.kill(box.pid, signal.SIGTERM)
        time.sleep(0.05)
    box.gone()
    assert ran(box) == 1


def test_the_runtime_refuses(box: Box) -> None:
    started = box.start(env={"FAKE_FAIL": 'cannot do "this": \\ \x07'}, **marker(box))
    assert started.pid == -1
    assert started.message == 'cannot do "this": \\ \x07'
    box.gone()
    assert not (box.exits / ID).exists()
    assert ran(box) == 1


def test_who_hears_of_a_failure_and_holds_the_lock_cleans_up(box: Box) -> None:
    (box.place / "exit.lock").touch()
    started = box.start(env={"FAKE_FAIL": "no"}, exit_command_lock=str(box.place / "exit.lock"), **marker(box))
    assert started.pid == -1
    box.gone()
    assert ran(box) == 0


def test_a_failure_is_always_told(box: Box) -> None:
    assert "status 3" in box.start(env={"FAKE_FAIL": "-"}).message
    assert "pid file" in box.start(env={"FAKE_NOPID": "1"}).message
    assert "terminal" in box.start(terminal=True, env={"FAKE_NOTTY": "1"}).message


def test_a_long_complaint_arrives(box: Box) -> None:
    assert box.start(env={"FAKE_FAIL": "\x01" * 8000}).message == "\x01" * 8000


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"log_path": "foo:/x"}, "No such log driver foo"),
        ({"log_path": "k8s-file:"}, "k8s-file requires a filename"),
        (
            {"log_path": "k8s-file:/nonexistent/x"},
            "Failed to open log file /nonexistent/x: No such file or directory",
        ),
        ({"log_tag": "x"}, "k8s-file doesn't support --log-tag"),
        ({"runtime": "/nonexistent"}, "Runtime path /nonexistent is not valid: No such file or directory"),
        ({"bundle": "/nonexistent"}, "Failed to open bundle /nonexistent: No such file or directory"),
        ({"log_level": "loud"}, "No such log level loud"),
        ({"id": "short", "log_path": "journald"}, "Container ID must be longer than 12 characters"),
    ],
)
def test_errors_of_the_monitor_itself(box: Box, change: dict[str, Any], text: str) -> None:
    with pytest.raises(MonitorError) as error:
        box.start(**change)
    assert error.value.message.endswith(": " + text)


def test_a_monitor_that_is_none() -> None:
    from conmon import spawn

    box = spawn.MonitorOptions(monitor="/nonexistent", id=ID, bundle="/", runtime="/", container_pidfile="/x")
    with pytest.raises(MonitorError, match="cannot start the monitor /nonexistent: No such file or directory"):
        spawn.spawn(box, env={})
    with pytest.raises(MonitorError, match="without a word"):
        spawn.spawn(spawn.MonitorOptions(**{**box.__dict__, "monitor": "/bin/true"}), env={})


def test_inherited_descriptors_stay_and_close_before_the_exit_file(box: Box) -> None:
    ours, theirs = os.pipe()
    box.start(
        "ls -l /proc/self/fd/; until [ -e $TMPDIR/go ]; do sleep 0.01; done", keep_fds=[theirs] if theirs == 3 else ()
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    if theirs == 3:
        with pytest.raises(BlockingIOError):
            os.read(ours, 1)
    (box.place / "go").touch()
    box.exit_code()
    assert os.read(ours, 1) == b""
    os.close(ours)


def test_closing_what_was_inherited_leaves_the_monitors_own_alone(box: Box) -> None:
    """The numbers of the caller's pipes are used again, for the socket of a client for one."""
    started = box.start(
        "read x; echo last", exec_process_spec="/dev/null", exec_attach=True, stdin=True, cuuid="s", attach_grace=-1
    )
    with box.connect() as sock:
        started.go()
        before = descriptors(box.pid)
        sock.send(b"x" * 30000)
        sock.send(b"\n" * 30000)
        assert everything(sock) == (b"last\n", b"")
        assert started.read_exit_status() == 0
    assert any("ctr.log" in name for name in before)


def descriptors(pid: int) -> list[str]:
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]


def test_the_log_is_still_open_after_the_exit_file(box: Box) -> None:
    lock = box.place / "exit.lock"
    lock.touch()
    with lock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        box.start("echo x", exit_command_lock=str(lock), **marker(box))
        before = until(lambda: (box.exits / ID).exists() and descriptors(box.pid))
        assert sum("ctr.log" in name or "/dev/null" in name for name in before) >= 2
    box.gone()


def test_preserved_descriptor_reaches_the_container_under_its_number(box: Box) -> None:
    reader, writer = os.pipe()
    high = fcntl.fcntl(writer, fcntl.F_DUPFD_CLOEXEC, 50)
    os.close(writer)
    from pypod.base import process

    # In a process of its own, as descriptor 3 may be taken here.
    code = f"""
import os, sys
os.dup2({high}, 3)
from conmon import spawn
spawn.spawn(spawn.MonitorOptions(**{box.options(log_path="none").__dict__!r}),
            env={ {**box.env, "FAKE_SCRIPT": "echo through >&3"}!r}, keep_fds=[3])
"""
    done = process.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, keep=[(high, high)]
    )
    assert done.status == 0, done.message
    os.close(high)
    assert box.exit_code() == 0
    assert os.read(reader, 100) == b"through\n"
    assert os.read(reader, 100) == b""
    os.close(reader)


def test_output_written_just_before_the_end_is_all_there(box: Box) -> None:
    for _ in range(5):
        box.log.unlink(missing_ok=True)
        (box.exits / ID).unlink(missing_ok=True)
        box.start("head -c 60000 /dev/zero | tr '\\0' x")
        box.exit_code()
        assert sum(len(text) for _, _, text in box.entries()) == 60000
        box.gone()


def test_a_background_process_does_not_hold_up_the_exit(box: Box) -> None:
    """It is heard nevertheless, for a while or until the exit command has ended."""
    box.start("(sleep 0.3; echo late) & echo early; exit 4")
    assert box.exit_code() == 4
    assert [text for _, _, text in box.entries()] == [b"early"]
    box.gone()
    assert [text for _, _, text in box.entries()] == [b"early", b"late"]


def test_a_background_process_that_stays_does_not_keep_the_monitor(box: Box) -> None:
    box.start(f"(exec sleep 600) & echo $! > {box.place}/late; printf begun")
    box.exit_code()
    box.gone()
    assert box.entries() == [("stdout", "P", b"begun")]
    os.kill(int((box.place / "late").read_text()), signal.SIGKILL)


def test_a_container_that_is_faster_than_its_pid_file(box: Box) -> None:
    box.start("exit 7", env={"FAKE_ORPHANS": "100"})
    assert box.exit_code() == 7
    box.gone()


def test_exec_session(box: Box) -> None:
    started = box.start("echo hello; exit 42", exec_process_spec="/dev/null", cuuid="session", log_path="none")
    assert started.pid > 0
    assert started.read_exit_status() == 42
    words = (box.place / "args").read_text().splitlines()
    assert words == ["exec", "--pid-file", str(box.place / "pid"), "--process", "/dev/null", "--detach", ID]
    assert box.exit_code() == 42


def test_attached_exec_session(box: Box) -> None:
    started = box.start(
        "echo out; echo err >&2; cat; exit 6",
        exec_process_spec="/dev/null",
        exec_attach=True,
        stdin=True,
        cuuid="session",
        log_path="none",
    )
    assert started.pid == 0
    sock = box.connect()
    started.go()
    assert started.pid > 0
    sock.send(b"input\n")
    sock.shutdown(socket.SHUT_WR)
    assert everything(sock) == (b"out\ninput\n", b"err\n")
    assert started.read_exit_status() == 6


def test_exec_failure(box: Box) -> None:
    started = box.start(exec_process_spec="/dev/null", exec_attach=True, env={"FAKE_FAIL": "no such program"})
    box.connect().close()
    started.go()
    assert (started.pid, started.message) == (-1, "no such program")


def test_legacy_protocols(box: Box) -> None:
    """Without --api-version: the keys are "pid" and "exit_code", and exec says only the second."""
    for extra, script, expected in (
        ([], "exit 4", lambda line: json.loads(line)["pid"] > 0),
        (["-e", "--exec-process-spec", "/dev/null"], "exit 4", lambda line: json.loads(line) == {"exit_code": 4}),
    ):
        ours, theirs = os.pipe()
        words = [conmon.MONITOR, "-c", ID, "-u", ID, "-r", box.runtime, "-l", "none", "-b", box.bundle, *extra]
        words += ["-p", box.place / "pid", "--full-attach"]
        env = {**box.env, "FAKE_SCRIPT": script, "FAKE_EXEC_SCRIPT": script, "_OCI_SYNCPIPE": str(theirs)}
        subprocess.run(words, env=env, pass_fds=[theirs], check=True)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            assert expected(pipe.readline())
            assert pipe.read() == b""


def test_notify_relay(box: Box) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(box.place / "notify"))
    manager.settimeout(20)
    box.start("until [ -e $TMPDIR/go ]; do sleep 0.01; done", sdnotify_socket=str(box.place / "notify"))
    container = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    container.connect(str(box.bundle / "notify" / "notify.sock"))
    container.send(b"MAINPID=1")
    container.send(b"MAINPID=1\nREADY=1")
    assert manager.recv(100) == b"READY=1"
    (box.place / "go").touch()
    assert box.exit_code() == 0
    manager.close()
    container.close()


def test_socket_dir(box: Box) -> None:
    directory = box.place / "s"
    directory.mkdir()
    box.start("until [ -e $TMPDIR/go ]; do sleep 0.01; done", socket_dir=str(directory))
    link = directory / ID
    assert link.resolve() == box.bundle
    assert (link / "attach").is_socket()
    (box.place / "go").touch()
    box.exit_code()
    box.gone()
    assert not link.is_symlink()


def test_a_client_that_vanished_and_a_caller_that_vanished(box: Box) -> None:
    """Nobody reads the sync pipe: the container runs all the same."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    words = [*map(str, __import__("conmon.spawn", fromlist=["argv"]).argv(box.options()))]
    env = {**box.env, "FAKE_SCRIPT": "exit 8", "FAKE_SLEEP": "1", "_OCI_SYNCPIPE": str(theirs.fileno())}
    subprocess.run(words, env=env, pass_fds=[theirs.fileno()], check=True)
    ours.close()
    theirs.close()
    assert box.exit_code() == 8


def test_pid_files(box: Box) -> None:
    box.start("sleep 600")
    assert (box.place / "conmon.pid").read_bytes() == str(box.pid).encode()
    parent = int(Path(f"/proc/{box.pid}/stat").read_text().split(") ")[1].split()[1])
    assert parent != os.getpid()
    children = Path(f"/proc/{box.pid}/task/{box.pid}/children").read_text().split()
    assert children == [(box.place / "pid").read_text()]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_device_named_as_pid_file_stays(box: Box) -> None:
    os.mknod(box.place / "null", 0o020666, os.makedev(1, 3))
    started = box.start(container_pidfile=str(box.place / "null"))
    assert (started.pid, started.message) == (-1, "the runtime wrote no pid file")
    assert (box.place / "null").is_char_device()


JOURNAL = """
import os, socket, subprocess, sys
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
os.makedirs("/run/systemd/journal")
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
journal.settimeout(20)
from conmon import spawn
spawn.spawn(spawn.MonitorOptions(**eval(sys.argv[1])), env=eval(sys.argv[2]))
for _ in range(3):
    print(repr(journal.recv(100000)))
"""


FULL_DISK = """
import os, subprocess, sys, time
place = eval(sys.argv[1])
os.mkdir(place + "/small")
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place + "/small"], check=True)
from conmon import spawn
spawn.spawn(spawn.MonitorOptions(**eval(sys.argv[2])), env=eval(sys.argv[3]))
def wait(what):
    while not what():
        time.sleep(0.01)
wait(lambda: os.path.exists(place + "/written"))
time.sleep(0.3)
subprocess.run(["truncate", "-s", "0", place + "/small/log"], check=True)
open(place + "/go", "w").close()
wait(lambda: os.listdir(place + "/exits"))
print(open(place + "/small/log").read())
"""


def test_a_full_disk_costs_lines_and_says_so(box: Box) -> None:
    script = "seq 1 9999; touch $TMPDIR/written; until [ -e $TMPDIR/go ]; do sleep 0.01; done; echo after"
    options = box.options(log_path=f"k8s-file:{box.place}/small/log").__dict__
    lines = unshared(FULL_DISK, str(box.place), options, {**box.env, "FAKE_SCRIPT": script}).stdout.splitlines()
    texts = [line.split(" ", 3)[3] for line in lines if " " in line]
    assert re.fullmatch(r"conmon: \d+ bytes of log were lost: No space left on device", texts[-2])
    assert texts[-1] == "after"


def test_journald(box: Box) -> None:
    """In namespaces of its own, with a journal that prints what it gets."""
    options = {**box.options(log_path="journald", log_tag="tag", log_labels=["KEY=v"]).__dict__}
    env = {**box.env, "FAKE_SCRIPT": "echo plain; sleep 0.1; echo '<4>warn' >&2; sleep 0.1; printf part"}
    done = unshared(JOURNAL, options, env)
    fields = [dict(line.split(b"=", 1) for line in eval(text).splitlines()) for text in done.stdout.splitlines()]
    common = {
        b"CONTAINER_ID_FULL": ID.encode(),
        b"CONTAINER_ID": ID[:12].encode(),
        b"CONTAINER_NAME": b"box",
        b"CONTAINER_TAG": b"tag",
        b"SYSLOG_IDENTIFIER": b"tag",
        b"KEY": b"v",
    }
    assert fields == [
        {**common, b"MESSAGE": b"plain", b"PRIORITY": b"6"},
        {**common, b"MESSAGE": b"warn", b"PRIORITY": b"4"},
        {**common, b"MESSAGE": b"part", b"PRIORITY": b"6", b"CONTAINER_PARTIAL_MESSAGE": b"true"},
    ]
    assert box.exit_code() == 0


REAL = "/usr/bin/conmon"


@pytest.fixture
def real() -> None:
    if not os.access(REAL, os.X_OK):
        missing("conmon is not installed")


@pytest.mark.usefixtures("real")
def test_real_conmon_in_its_place(box: Box) -> None:
    started = box.start(
        "echo out; cat; exit 3", monitor=REAL, ours=False, stdin=True, exit_command_lock="/x", **marker(box)
    )
    assert started.pid > 0
    with box.connect() as sock:
        sock.send(b"in\n")
        sock.shutdown(socket.SHUT_WR)
        assert b"in\n" in everything(sock)[0]
    assert box.exit_code() == 3
    box.gone()
    assert ran(box) == 1
    assert [entry[3] for entry in logs.read(str(box.log))] == [b"out", b"in"]


@pytest.mark.usefixtures("real")
def test_exec_sessions_and_failures_of_real_conmon(box: Box) -> None:
    session: dict[str, Any] = {"exec_process_spec": "/dev/null", "cuuid": "session", "log_path": "none"}
    started = box.start("echo hi; exit 5", monitor=REAL, ours=False, exec_attach=True, **session)
    with box.connect() as sock:
        started.go()
        assert everything(sock) == (b"hi\n", b"")
    assert started.read_exit_status() == 5
    started = box.start(monitor=REAL, ours=False, env={"FAKE_FAIL": "no"})
    assert (started.pid, started.message) == (-1, "no")
    with pytest.raises(MonitorError, match="No such log driver foo"):
        box.start(monitor=REAL, ours=False, log_path="foo:/x")
