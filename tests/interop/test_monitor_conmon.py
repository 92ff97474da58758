"""pypod with Debian's conmon in place of our monitor: a sample of our integration tests, and its flags.

All of them: PYPOD_TEST_CONMON=/usr/bin/conmon pytest tests/integration, where what is marked ``ours_only`` is left
out (support/monitors.py).
"""

import os
import re
import subprocess
from typing import Any

import pytest

from conmon import spawn
from integration.test_detached import test_rm_removes_it_without_anybody_waiting
from integration.test_exec import running as running
from integration.test_exec import test_a_terminal, test_detached, test_stdin_and_both_outputs
from integration.test_exit_codes import (
    test_a_failed_start_without_rm_leaves_a_container_that_tells_why,
    test_timeout_is_255,
)
from integration.test_lifecycle import test_create_start_stop_start_rm, test_restart_policy_on_failure_counts
from integration.test_log_drivers import journald as journald
from integration.test_log_drivers import test_logs_of_the_journal_take_every_flag
from integration.test_logs import test_follow_ends_with_the_container, test_timestamps_tail_since
from integration.test_sdnotify import systemd as systemd
from integration.test_sdnotify import test_container
from integration.test_stdio import (
    test_attach_to_a_running_container,
    test_start_attached_and_interactive,
)
from integration.test_terminal import (
    test_a_resize_reaches_the_container,
    test_the_detach_keys_leave_the_container_running,
)
from support import box
from support.runner import Pypod, cmdline, parent, until

SAMPLE = (
    test_a_failed_start_without_rm_leaves_a_container_that_tells_why,
    test_a_resize_reaches_the_container,
    test_a_terminal,
    test_attach_to_a_running_container,
    test_container,
    test_create_start_stop_start_rm,
    test_detached,
    test_follow_ends_with_the_container,
    test_logs_of_the_journal_take_every_flag,
    test_restart_policy_on_failure_counts,
    test_rm_removes_it_without_anybody_waiting,
    test_start_attached_and_interactive,
    test_stdin_and_both_outputs,
    test_the_detach_keys_leave_the_container_running,
    test_timeout_is_255,
    test_timestamps_tail_since,
)


@pytest.fixture
def pypod(pypod: Pypod) -> Pypod:
    """pypod with real conmon as its monitor, for the sample, too."""
    return pypod.with_options("--conmon", box.need("conmon"))


def known_flags() -> set[str]:
    """The options that this conmon has, from what it says of itself."""
    done = subprocess.run([box.need("conmon"), "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z0-9][\w-]*", done.stdout))


def flags_of(words: list[str]) -> set[str]:
    """The options among a monitor's words; values never begin with a dash here, except those of lists."""
    flags = set()
    skip = False
    for word in words[1:]:
        if not skip and word.startswith("-"):
            flags.add(word)
        skip = not skip and word in ("--exit-command-arg", "--runtime-arg", "--runtime-opt")
    return flags


def test_every_flag_is_one_that_conmon_knows() -> None:
    """Each option that a monitor other than ours can be given."""
    values: dict[str, Any] = {}
    # Every field is set to something, whatever it means.
    for name, kind in spawn.MonitorOptions.__annotations__.items():
        values[name] = {"str": "x", "int": 1, "int | None": 1, "bool": True, "list[str]": ["x"]}[kind]
    known = known_flags()
    assert {"--exit-dir", "--full-attach", "-c"} <= known
    for more in ({}, {"socket_dir": ""}, {"terminal": False}):
        options = spawn.MonitorOptions(**{**values, "ours": False, **more})
        flags = flags_of(spawn.argv(options))
        assert len(flags) > 20
        assert flags <= known, flags - known
    assert flags_of(spawn.argv(spawn.MonitorOptions(**values))) - known  # the question is a real one


def test_every_day(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", "--log-opt", "max-size=1mb", image, "sh", "-c", "echo up; sleep 100").ok()
    monitor = pypod.monitor("c")
    assert os.path.realpath(f"/proc/{monitor}/exe") == os.path.realpath(box.need("conmon"))
    until(lambda: parent(monitor) == 1, 5, "init to be the parent")
    words = cmdline(monitor)
    assert "--exit-command" in words
    assert flags_of(words) <= known_flags()
    pypod.wait_log("c", "up")
    assert pypod("exec", "c", "echo", "x").ok().out == "x\n"
    pypod("stop", "-t", "0", "c").ok()
    assert pypod.inspect("c")["State"]["ExitCode"] == 137
    pypod("start", "c").ok()
    pypod("rm", "-f", "-t", "0", "c").ok()


def test_it_calls_the_exit_command(pypod: Pypod, image: str) -> None:
    process = pypod.popen("run", "--rm", "--name", "c", image, "sh", "-c", "echo up; sleep 0.5")
    assert process.stdout and process.stdout.readline() == b"up\n"
    process.kill()
    process.wait()
    pypod.wait_gone("c")


def test_from_a_directory_on_another_file_system(pypod: Pypod, image: str) -> None:
    """conmon looks for the name of its working directory, in the mount namespace that is made for it."""
    assert pypod("run", "--rm", "--network", "none", image, "echo", "x", cwd="/dev/shm").ok().out == "x\n"
