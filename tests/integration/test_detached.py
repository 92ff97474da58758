"""``run -d``: what is left running is the monitor and the container, and nothing else."""

import os
import re
from pathlib import Path

from support.runner import Pypod, alive, children, cmdline, parent, until


def test_the_id_is_all_that_is_printed(pypod: Pypod, image: str) -> None:
    done = pypod("run", "-d", "--name", "c", image, "sleep", "100").ok()
    assert re.fullmatch(r"[0-9a-f]{64}\n", done.out)
    assert done.err == ""
    assert pypod.inspect("c")["Id"] == done.out.strip()


def test_the_process_tree_is_init_monitor_container(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--network", "none", "--name", "c", image, "sleep", "100").ok()
    monitor, container = pypod.monitor("c"), pypod.pid("c")
    assert cmdline(container) == ["sleep", "100"]
    assert parent(container) == monitor
    assert children(monitor) == [container]
    assert children(container) == []
    until(lambda: parent(monitor) == 1, 5, "init to be the monitor's parent")
    mine = [
        line
        for pid in os.listdir("/proc")
        if pid.isdigit() and (line := " ".join(cmdline(int(pid)))) and pypod.inspect("c")["Id"] in line
    ]
    assert len(mine) == 1, mine  # the monitor alone: the runtime and the CLI are gone


def test_with_the_default_network_only_its_helper_comes_along(pypod: Pypod, image: str) -> None:
    identity = pypod("run", "-d", "--name", "c", image, "sleep", "100").ok().out.strip()
    lines = [" ".join(cmdline(int(pid))) for pid in os.listdir("/proc") if pid.isdigit()]
    assert not [line for line in lines if re.search(r"\b(runc|crun)\b", line.split(" --")[0]) and identity in line]


def test_the_monitor_carries_the_exit_command(pypod: Pypod, image: str) -> None:
    identity = pypod("run", "-d", "--name", "c", image, "sleep", "100").ok().out.strip()
    args = cmdline(pypod.monitor("c"))
    command = [args[n + 1] for n, word in enumerate(args) if word == "--exit-command"]
    words = [args[n + 1] for n, word in enumerate(args) if word == "--exit-command-arg"]
    assert len(command) == 1 and os.access(command[0], os.X_OK)
    assert "container" in words and "cleanup" in words and words[-1] == identity
    assert str(pypod.graphroot) in words and str(pypod.runroot) in words
    assert identity in args


def test_the_monitor_holds_no_terminal_or_pipe_of_its_caller(pypod: Pypod, image: str) -> None:
    process = pypod.popen("run", "-d", "--name", "c", image, "sleep", "100")
    out, err = process.communicate(timeout=20)  # ends only when nobody holds the pipes
    assert process.returncode == 0, err
    monitor = pypod.monitor("c")
    assert os.getsid(monitor) == monitor
    assert os.readlink(f"/proc/{monitor}/cwd")  # readable, wherever it is
    for fd in (0, 1, 2):
        assert os.readlink(f"/proc/{monitor}/fd/{fd}") == "/dev/null"


def test_the_exit_status_is_there_afterwards(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sh", "-c", "sleep 0.3; exit 9").ok()
    assert pypod("wait", "c").ok().out == "9\n"
    record = pypod.inspect("c")["State"]
    assert (record["Status"], record["ExitCode"], record["Running"], record["Pid"]) == ("exited", 9, False, 0)


def test_rm_removes_it_without_anybody_waiting(pypod: Pypod, image: str) -> None:
    identity = pypod("run", "-d", "--rm", "--name", "c", image, "sleep", "0.3").ok().out.strip()
    pypod.wait_gone("c")
    until(
        lambda: not any(identity in " ".join(cmdline(int(p))) for p in os.listdir("/proc") if p.isdigit()),
        10,
        "the monitor to end",
    )


def test_files_with_id_and_pids(pypod: Pypod, image: str, shared_dir: Path) -> None:
    files = {name: shared_dir / name for name in ("cid", "pid", "conmon")}
    flags: list[str | Path] = [
        "--cidfile",
        files["cid"],
        "--pidfile",
        files["pid"],
        "--conmon-pidfile",
        files["conmon"],
    ]
    identity = pypod("run", "-d", *flags, "--name", "c", image, "sleep", "100").ok().out.strip()
    assert files["cid"].read_text().strip() == identity
    assert int(files["pid"].read_text()) == pypod.pid("c")
    assert int(files["conmon"].read_text()) == pypod.monitor("c")
    again = pypod("run", "-d", "--cidfile", files["cid"], image, "sleep", "100")
    again.fails(125, str(files["cid"]))
    assert pypod.names() == ["c"]


def test_killing_the_monitor_by_sigterm_ends_the_container(pypod: Pypod, image: str) -> None:
    """systemd stops the main process of a unit, which is the monitor: it passes the signal on."""
    pypod("run", "-d", "--name", "c", image, "sh", "-c", "trap 'exit 11' TERM; while :; do sleep 0.1; done").ok()
    pypod.wait_state("c", "running")
    monitor = pypod.monitor("c")
    until(lambda: "trap" in " ".join(cmdline(pypod.pid("c"))), 5, "the shell")
    os.kill(monitor, 15)
    pypod.wait_state("c", "exited")
    assert pypod.inspect("c")["State"]["ExitCode"] == 11
    until(lambda: not alive(monitor), 10, "the monitor to end")
