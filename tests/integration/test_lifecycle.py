"""The everyday commands on a container, and its states."""

import os
import signal
import time
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, alive, until

IGNORES_TERM = "trap '' TERM; echo ready; while :; do sleep 0.1; done"


def sleeper(pypod: Pypod, image: str, name: str = "c", *flags: str) -> str:
    return pypod("run", "-d", "--name", name, *flags, image, "sleep", "1000").ok().out.strip()


def test_create_start_stop_start_rm(pypod: Pypod, image: str) -> None:
    identity = pypod("create", "--name", "c", image, "sh", "-c", "echo run; sleep 100").ok().out.strip()
    assert len(identity) == 64
    assert pypod.state("c") == "created"
    assert pypod("start", "c").ok().out == "c\n"
    assert pypod.state("c") == "running"
    assert pypod("stop", "-t", "0", "c").ok().out == "c\n"
    assert pypod.state("c") == "exited"
    assert pypod.inspect("c")["State"]["ExitCode"] == 137
    pypod("start", "c").ok()
    assert pypod.state("c") == "running"
    pypod("rm", "c").fails(2, "c")
    assert pypod("rm", "-f", "-t", "0", "c").ok().out == "c\n"
    assert not pypod.exists("c")


def test_what_a_container_wrote_is_there_at_the_next_start(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "c", image, "sh", "-c", "echo x >>/count; wc -l </count").ok()
    assert [pypod("start", "-a", "c").ok().out.strip() for _ in range(3)] == ["1", "2", "3"]


def test_names_ids_and_prefixes(pypod: Pypod, image: str) -> None:
    identity = sleeper(pypod, image)
    for name in ("c", identity, identity[:12], identity[:6]):
        assert pypod.inspect(name)["Id"] == identity
    assert pypod("kill", identity[:8]).ok().out == f"{identity[:8]}\n"


def test_both_spellings(pypod: Pypod, image: str) -> None:
    sleeper(pypod, image)
    plain = pypod("ps", "--no-trunc", "-q").ok().out
    for words in (["container", "ls"], ["container", "ps"], ["container", "list"]):
        assert pypod(*words, "--no-trunc", "-q").ok().out == plain
    pypod("container", "exec", "c", "true").ok()
    pypod("container", "stop", "-t", "0", "c").ok()
    pypod("container", "rm", "c").ok()
    assert pypod("image", "ls", "-q").ok().out == pypod("images", "-q").ok().out


def test_start_of_a_running_container_changes_nothing(pypod: Pypod, image: str) -> None:
    sleeper(pypod, image)
    pid = pypod.pid("c")
    pypod("start", "c").ok()
    assert pypod.pid("c") == pid


def test_stop_sends_term_and_waits(pypod: Pypod, image: str) -> None:
    script = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
    pypod("run", "-d", "--name", "c", image, "sh", "-c", script).ok()
    pypod.wait_log("c", "ready")
    pypod("stop", "c").ok()
    assert pypod.inspect("c")["State"]["ExitCode"] == 3
    assert pypod("logs", "c").ok().lines == ["ready", "bye"]


def test_stop_sends_the_containers_own_stop_signal(pypod: Pypod, image: str) -> None:
    script = "trap 'exit 4' USR1; echo ready; while :; do sleep 0.1; done"
    pypod("run", "-d", "--name", "c", "--stop-signal", "SIGUSR1", image, "sh", "-c", script).ok()
    pypod.wait_log("c", "ready")
    pypod("stop", "c").ok()
    assert pypod.inspect("c")["State"]["ExitCode"] == 4


def test_stop_kills_after_its_timeout(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", "--stop-timeout", "1", image, "sh", "-c", IGNORES_TERM).ok()
    pypod.wait_log("c", "ready")
    done = pypod("stop", "c")
    assert done.code == 0 and done.out == "c\n"
    assert pypod.inspect("c")["State"]["ExitCode"] == 137


def test_stop_of_stopped_and_of_unknown_containers(pypod: Pypod, image: str) -> None:
    sleeper(pypod, image)
    pypod("stop", "-t", "0", "c").ok()
    pypod("stop", "c").ok()
    pypod("stop", "nosuch").fails(125, "nosuch")
    assert pypod("stop", "--ignore", "nosuch").ok().out == ""


def test_stop_all(pypod: Pypod, image: str) -> None:
    names = ["a", "b", "d"]
    for name in names:
        sleeper(pypod, image, name)
    pypod("stop", "-a", "-t", "0").ok()
    assert {pypod.state(name) for name in names} == {"exited"}


@pytest.mark.parametrize("spelling", ["KILL", "SIGKILL", "9", "kill"])
def test_kill_understands_signals(pypod: Pypod, image: str, spelling: str) -> None:
    sleeper(pypod, image)
    assert pypod("kill", "-s", spelling, "c").ok().out == "c\n"
    pypod.wait_state("c", "exited")
    assert pypod.inspect("c")["State"]["ExitCode"] == 137


def test_kill_with_another_signal_only_sends_it(pypod: Pypod, image: str) -> None:
    pypod(
        "run", "-d", "--name", "c", image, "sh", "-c", "trap 'echo hup' HUP; echo ready; while :; do sleep 0.1; done"
    ).ok()
    pypod.wait_log("c", "ready")
    pypod("kill", "--signal", "HUP", "c").ok()
    pypod.wait_log("c", "hup")
    assert pypod.state("c") == "running"
    pypod("kill", "-s", "NOSIGNAL", "c").fails(125, "NOSIGNAL")


def test_kill_of_a_stopped_container_fails(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "c", image, "true").ok()
    pypod("kill", "c").fails(125, "c")


def test_restart_is_a_new_process(pypod: Pypod, image: str) -> None:
    identity = sleeper(pypod, image)
    first = pypod.pid("c")
    assert pypod("restart", "-t", "0", "c").ok().out == "c\n"
    assert pypod.state("c") == "running"
    assert pypod.pid("c") != first and not alive(first)
    assert pypod.inspect("c")["Id"] == identity


def test_restart_starts_a_stopped_one(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "c", image, "sleep", "100").ok()
    pypod("restart", "c").ok()
    assert pypod.state("c") == "running"


def test_pause_and_unpause(pypod: Pypod, image: str) -> None:
    sleeper(pypod, image)
    if pypod.rootless and not box.cgroup2():
        done = pypod("pause", "c")
        done.fails(125, "cgroup")
        assert pypod.state("c") == "running"
        return
    assert pypod("pause", "c").ok().out == "c\n"
    assert pypod.state("c") == "paused"
    assert pypod("ps", "-a", "--format", "{{.Status}}").ok().out.startswith("Paused")
    pypod("pause", "c").fails(125, "c")
    assert pypod("unpause", "c").ok().out == "c\n"
    assert pypod.state("c") == "running"
    pypod("exec", "c", "true").ok()
    pypod("unpause", "c").fails(125, "c")


def test_rm_of_a_paused_container_needs_force(pypod: Pypod, image: str) -> None:
    if pypod.rootless and not box.cgroup2():
        return  # nothing can be paused: see test_pause_and_unpause
    sleeper(pypod, image)
    pypod("pause", "c").ok()
    pypod("rm", "c").fails(2, "c")
    pypod("rm", "-f", "-t", "0", "c").ok()
    assert not pypod.exists("c")


def test_rm_and_its_exit_codes(pypod: Pypod, image: str) -> None:
    sleeper(pypod, image)
    pypod("rm", "nosuch").fails(1, "nosuch")
    pypod("rm", "c").fails(2, "c")
    assert pypod("rm", "-f", "nosuch").ok().err == ""
    assert pypod("rm", "--ignore", "nosuch").ok().out == ""
    pypod("rm", "-f", "-t", "0", "c").ok()


def test_rm_all_and_several(pypod: Pypod, image: str) -> None:
    for name in ("a", "b", "d"):
        pypod("create", "--name", name, image, "true").ok()
    assert pypod("rm", "a", "b").ok().lines == ["a", "b"]
    sleeper(pypod, image, "e")
    pypod("rm", "-f", "-a", "-t", "0").ok()
    assert pypod.names() == []


def test_wait_for_a_running_container(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sh", "-c", "sleep 0.5; exit 12").ok()
    assert pypod("wait", "c").ok().out == "12\n"


def test_wait_for_several_in_their_order(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "slow", image, "sh", "-c", "sleep 0.6; exit 1").ok()
    pypod("run", "-d", "--name", "fast", image, "sh", "-c", "exit 2").ok()
    assert pypod("wait", "slow", "fast").ok().lines == ["1", "2"]
    pypod("wait", "nosuch").fails(125, "nosuch")
    assert pypod("wait", "--ignore", "nosuch").ok().out == "-1\n"


def test_wait_for_a_condition(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "c", image, "sleep", "100").ok()
    waiting = pypod.popen("wait", "--condition", "running", "c")
    time.sleep(0.3)
    assert waiting.poll() is None
    pypod("start", "c").ok()
    out, _ = waiting.communicate(timeout=20)
    assert (waiting.returncode, out) == (0, b"-1\n")


def test_wait_sees_the_removal_of_rm(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--rm", "--name", "c", image, "sh", "-c", "sleep 0.8; exit 13").ok()
    done = pypod("wait", "c")
    assert (done.code, done.out) == (0, "13\n")


def test_rename(pypod: Pypod, image: str) -> None:
    identity = sleeper(pypod, image, "old")
    pypod("rename", "old", "new").ok()
    assert pypod.inspect("new")["Id"] == identity
    assert pypod.inspect("new")["Name"] == "new"
    assert not pypod.exists("old")
    pypod("create", "--name", "old", image, "true").ok()
    pypod("rename", "old", "new").fails(125, "new")
    pypod("rename", "new", "bad name").fails(125, "name")
    assert sorted(pypod.names()) == ["new", "old"]


def test_a_name_in_use(pypod: Pypod, image: str) -> None:
    identity = pypod("create", "--name", "c", image, "true").ok().out.strip()
    done = pypod("run", "--rm", "--name", "c", image, "true").fails(125, "c", "in use")
    assert identity[:12] in done.err
    assert pypod.names() == ["c"]


def test_replace(pypod: Pypod, image: str) -> None:
    first = sleeper(pypod, image, "c", "--stop-timeout", "0")
    second = (
        pypod("run", "-d", "--replace", "--name", "c", "--stop-timeout", "0", image, "sleep", "100").ok().out.strip()
    )
    assert second != first
    assert pypod.inspect("c")["Id"] == second
    assert pypod.names() == ["c"]
    pypod("create", "--replace", image, "true").fails(125, "name")


@pytest.mark.parametrize("name", ["a b", "-x", "a/b", "", "ä"])
def test_bad_names(pypod: Pypod, image: str, name: str) -> None:
    if not name:
        return  # podman takes an empty --name for none
    pypod("create", f"--name={name}", image, "true").fails(125)
    assert pypod.names() == []


def test_a_name_is_made_up(pypod: Pypod, image: str) -> None:
    pypod("create", image, "true").ok()
    (name,) = pypod.names()
    assert "_" in name and name == name.lower()


def test_init_makes_the_container_without_starting_it(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "c", image, "sh", "-c", "echo started; exit 3").ok()
    assert pypod("init", "c").ok().out == "c\n"
    assert pypod.state("c") == "initialized"
    assert pypod("logs", "c").ok().out == ""
    done = pypod("start", "-a", "c")
    assert (done.code, done.out) == (3, "started\n")


def test_an_initialized_container_can_be_removed(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "c", image, "true").ok()
    pypod("init", "c").ok()
    pypod("rm", "-f", "-t", "0", "c").ok()
    assert not pypod.exists("c")


def test_restart_policy_on_failure_counts(pypod: Pypod, image: str) -> None:
    script = "echo x; exit 3"
    pypod("run", "-d", "--name", "c", "--restart", "on-failure:2", image, "sh", "-c", script).ok()
    until(lambda: pypod("logs", "c").out.count("x") == 3 and pypod.state("c") == "exited", 30, "three runs")
    time.sleep(0.5)
    assert pypod("logs", "c").ok().out == "x\nx\nx\n"
    record = pypod.inspect("c")
    assert record["RestartCount"] == 2
    assert record["State"]["ExitCode"] == 3
    assert record["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}


def test_restart_policy_on_failure_is_content_with_success(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", "--restart", "on-failure", image, "sh", "-c", "echo x").ok()
    pypod("wait", "c").ok()
    time.sleep(0.5)
    assert pypod.state("c") == "exited"
    assert pypod("logs", "c").ok().out == "x\n"


def test_restart_policy_always_starts_again_until_stopped(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", "--restart", "always", image, "sh", "-c", "echo x; sleep 0.2").ok()
    until(lambda: pypod("logs", "c").out.count("x") >= 3, 30, "three runs")
    pypod("stop", "-t", "0", "c").ok()
    assert pypod.state("c") == "exited"
    time.sleep(0.7)
    assert pypod.state("c") == "exited"


def test_restart_policy_and_kill(pypod: Pypod, image: str) -> None:
    """Killed from outside, it starts again: nobody asked it to stop."""
    pypod("run", "-d", "--name", "c", "--restart", "always", image, "sleep", "1000").ok()
    first = pypod.pid("c")
    os.kill(first, signal.SIGKILL)
    until(lambda: pypod.state("c") == "running" and pypod.pid("c") != first, 20, "another process")


def test_restart_policy_and_our_own_kill(pypod: Pypod, image: str) -> None:
    """Killed by command, it stays down, as with podman."""
    pypod("run", "-d", "--name", "c", "--restart", "always", image, "sleep", "1000").ok()
    pypod("kill", "c").ok()
    pypod.wait_state("c", "exited")
    time.sleep(0.7)
    assert pypod.state("c") == "exited"


def test_bad_restart_policies(pypod: Pypod, image: str) -> None:
    pypod("create", "--restart", "sometimes", image, "true").fails(125, "sometimes")
    pypod("create", "--restart", "on-failure:x", image, "true").fails(125)
    pypod("create", "--rm", "--restart", "always", image, "true").fails(125)
    assert pypod.names() == []


def test_top(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sh", "-c", "sleep 1000 & wait").ok()
    until(lambda: "sleep 1000" in pypod("top", "c").ok().out, 5, "the shell's child")
    lines = pypod("top", "c").ok().lines
    assert lines[0].split()[:2] == ["USER", "PID"]
    assert any(line.rstrip().endswith("sleep 1000") for line in lines[1:])
    assert pypod("top", "c", "pid", "comm").ok().lines[1].split() == ["1", "sh"]
    pypod("stop", "-t", "0", "c").ok()
    pypod("top", "c").fails(125, "c")


def test_diff(pypod: Pypod, image: str) -> None:
    pypod("run", "--name", "c", image, "sh", "-c", "echo x >/new; rm /etc/notes; echo y >>/etc/group").ok()
    lines = set(pypod("diff", "c").ok().lines)
    assert {"A /new", "D /etc/notes", "C /etc/group", "C /etc"} <= lines


def test_port_of_a_container_without_ports(pypod: Pypod, image: str) -> None:
    sleeper(pypod, image)
    assert pypod("port", "c").ok().out == ""


def test_start_all_with_a_filter(pypod: Pypod, image: str) -> None:
    """What brings containers back after a boot."""
    pypod("create", "--name", "yes", "--restart", "always", image, "sleep", "100").ok()
    pypod("create", "--name", "no", image, "sleep", "100").ok()
    pypod("start", "--all", "--filter", "restart-policy=always").ok()
    assert (pypod.state("yes"), pypod.state("no")) == ("running", "created")


def test_ps_filters(pypod: Pypod, image: str) -> None:
    sleeper(pypod, image, "a", "--label", "k=v")
    pypod("create", "--name", "b", image, "true").ok()
    assert pypod("run", "--name", "d", image, "sh", "-c", "exit 3").code == 3

    def listed(*filters: str) -> list[str]:
        flags = [item for text in filters for item in ("--filter", text)]
        return sorted(pypod("ps", "-a", "--format", "{{.Names}}", *flags).ok().lines)

    assert listed("status=running") == ["a"]
    assert listed("status=created") == ["b"]
    assert listed("exited=3") == ["d"]
    assert listed("label=k") == listed("label=k=v") == ["a"]
    assert listed("label=k=w") == []
    assert listed("name=a") == ["a"]
    assert listed(f"ancestor={image}") == ["a", "b", "d"]
    pypod("ps", "--filter", "nosuch=1").fails(125, "nosuch")


def test_healthcheck_run(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", "--health-cmd", "test -e /well", image, "sleep", "1000").ok()
    assert pypod("healthcheck", "run", "c").code == 1
    pypod("exec", "c", "touch", "/well").ok()
    assert pypod("healthcheck", "run", "c").code == 0
    sleeper(pypod, image, "plain")
    pypod("healthcheck", "run", "plain").fails(125, "healthcheck")


def test_env_file_and_host_environment(pypod: Pypod, image: str, shared_dir: Path) -> None:
    file = shared_dir / "env"
    file.write_text("# a comment\nA=1\nB=two words\nHOSTVAR\n")
    done = pypod("run", "--rm", "--env-file", file, "-e", "A=3", image, "env", env={"HOSTVAR": "h"}).ok()
    assert {"A=3", "B=two words", "HOSTVAR=h", "container=podman"} <= set(done.lines)


def test_rm_all_takes_those_that_depend_on_others_first(pypod: Pypod, image: str) -> None:
    first = pypod("run", "-d", "--name", "a", "--network", "none", image, "sleep", "100").ok().out.strip()
    second = pypod("create", "--network", "container:a", "--name", "b", image, "true").ok().out.strip()
    assert sorted(pypod("rm", "-f", "-t", "0", "--all").ok().lines) == sorted([first, second])
    assert pypod("ps", "-aq").ok().out == ""
