"""``exec``: another process in a running container."""

import os

import pytest

from support.runner import Pypod, children, cmdline, until


@pytest.fixture
def running(pypod: Pypod, image: str) -> Pypod:
    pypod("run", "-d", "--name", "c", "-e", "A=1", image, "sleep", "1000").ok()
    return pypod


@pytest.mark.parametrize("code", [0, 42, 255])
def test_the_status_of_the_command(running: Pypod, code: int) -> None:
    assert running("exec", "c", "sh", "-c", f"exit {code}").code == code


def test_not_found_is_127(running: Pypod) -> None:
    running("exec", "c", "no-such-program").fails(127, "no-such-program")


@pytest.mark.parametrize("path", ["/etc", "/etc/notes"])
def test_not_executable_is_126(running: Pypod, path: str) -> None:
    running("exec", "c", path).fails(126, path)


def test_a_failure_is_said_once(running: Pypod) -> None:
    """runc writes its complaint to stderr too; the user reads one line."""
    for command in ("nosuch", "/etc"):
        said = running("exec", "c", command).err
        assert said.startswith("Error: ") and said.count("\n") == 1, said


def test_much_on_stderr_before_and_after_the_end(running: Pypod) -> None:
    done = running("exec", "c", "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 4")
    assert (done.code, done.out, len(done.err)) == (4, "", 3_000_000)


def test_killed_is_137(running: Pypod) -> None:
    assert running("exec", "c", "sh", "-c", "kill -9 $$").code == 137


def test_a_stopped_container_is_255(running: Pypod) -> None:
    running("stop", "-t", "0", "c").ok()
    running("exec", "c", "true").fails(255, "c", "running")


def test_an_unknown_container_and_no_command_are_125(running: Pypod) -> None:
    running("exec", "nosuch", "true").fails(125, "nosuch")
    done = running("exec", "c")
    assert done.code in (125, 255) and "command" in done.err


def test_stdin_and_both_outputs(running: Pypod) -> None:
    done = running("exec", "-i", "c", "sh", "-c", "cat; echo err >&2", input="in\n")
    assert (done.code, done.out, done.err) == (0, "in\n", "err\n")
    assert running("exec", "c", "cat", input="in\n").ok().out == ""


def test_much_output(running: Pypod) -> None:
    assert running("exec", "c", "seq", "1", "100000").ok().lines == [str(n) for n in range(1, 100001)]


def test_environment_user_and_directory(running: Pypod) -> None:
    done = running(
        "exec", "-e", "B=2", "-u", "user", "-w", "/tmp", "c", "sh", "-c", "echo $A $B $(id -u) $(pwd) $HOME"
    ).ok()
    assert done.out == "1 2 1000 /tmp /home/user\n"
    for flags in (["-u", "nosuch"], ["-w", "/nosuch"]):
        done = running("exec", *flags, "c", "true")
        assert done.code in (125, 126, 127, 255), done
        assert "nosuch" in done.err and "Traceback" not in done.err, done


def test_a_terminal(running: Pypod) -> None:
    assert running("exec", "-t", "c", "tty", tty=True).ok().out.startswith("/dev/pts/")
    with running.terminal("exec", "-it", "c", "sh", rows=31, columns=99) as terminal:
        terminal.expect("# ")
        terminal.send("stty size\n")
        terminal.expect(rb"\n31 99\r\n")
        terminal.send(b"sleep 100\n")
        until(lambda: "sleep 100 " in running("top", "c", "args").ok().out.replace("\n", " "), 10, "the command")
        terminal.send(b"\x03")
        terminal.send("exit 21\n")
        assert terminal.wait() == 21


def test_the_detach_keys_leave_the_session_running(running: Pypod) -> None:
    with running.terminal("exec", "-it", "c", "sh", "-c", "echo ready; sleep 777") as terminal:
        terminal.expect("ready")
        terminal.send(b"\x10\x11")
        assert terminal.wait() == 0
    assert "sleep 777" in running("top", "c").ok().out


def test_detached(running: Pypod) -> None:
    done = running("exec", "-d", "c", "sh", "-c", "sleep 0.5; touch /made").ok()
    assert len(done.out.strip()) == 64
    until(lambda: running("exec", "c", "test", "-e", "/made").code == 0, 10, "/made")


def test_it_is_in_the_containers_namespaces(running: Pypod) -> None:
    inside = running("exec", "c", "sh", "-c", "cat /proc/1/comm; readlink /proc/self/ns/net").ok().lines
    assert inside == ["sleep", os.readlink(f"/proc/{running.pid('c')}/ns/net")]


def test_nothing_of_it_stays(running: Pypod) -> None:
    monitor = running.monitor("c")
    for _ in range(3):
        running("exec", "c", "true").ok()
    running("exec", "-d", "c", "true").ok()
    until(lambda: running.inspect("c")["ExecIDs"] == [], 10, "no exec session")
    until(lambda: children(monitor) == [running.pid("c")], 10, "the container alone under its monitor")
    assert running("ps", "--format", "{{.Names}}").ok().lines == ["c"]


def test_a_killed_cli_leaves_the_session_or_ends_it_but_no_trace(running: Pypod) -> None:
    process = running.popen("exec", "c", "sh", "-c", "echo ready; sleep 1")
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait()
    until(lambda: "sleep 1\n" not in running("top", "c", "args").ok().out, 10, "the command to end")
    running("exec", "c", "true").ok()


def test_the_end_of_the_container_ends_its_sessions(running: Pypod) -> None:
    process = running.popen("exec", "c", "sleep", "500")
    until(lambda: "sleep 500" in running("top", "c").ok().out, 10, "the session")
    running("stop", "-t", "0", "c").ok()
    assert process.wait(20) == 137


def test_twenty_at_once(running: Pypod) -> None:
    processes = [running.popen("exec", "c", "sh", "-c", f"echo {n}; exit {n}") for n in range(20)]
    for number, process in enumerate(processes):
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (number, f"{number}\n".encode()), err


def test_capabilities_are_the_containers(running: Pypod) -> None:
    def effective(*command: str) -> str:
        return running(*command, "grep", "CapEff", "/proc/self/status").ok().out

    pid = running.pid("c")
    with open(f"/proc/{pid}/status") as status:
        mine = next(line for line in status if line.startswith("CapEff"))
    assert effective("exec", "c") == mine
    assert effective("exec", "--privileged", "c") != mine


def test_an_exec_of_a_process_that_stays_in_the_background(running: Pypod) -> None:
    """The session ends with its own process; what it left running must not keep the caller."""
    done = running("exec", "c", "sh", "-c", "sleep 555 >/dev/null 2>&1 & echo started")
    assert (done.code, done.out) == (0, "started\n")
    assert any(cmdline(pid) == ["sleep", "555"] for pid in map(int, filter(str.isdigit, os.listdir("/proc"))))
