"""The monitor built with the address, leak and undefined-behaviour sanitizers, in the scenarios of the other tests.

What a sanitizer finds is written beside the log, as the monitor's stderr is /dev/null.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import box as machine
from support.monitor_box import ID, Box, alive, until
from unit.conmon import test_monitor_attach as attach
from unit.conmon import test_monitor_drivers as drivers
from unit.conmon import test_monitor_health as health
from unit.conmon import test_monitor_process as process

ROOT = Path(__file__).resolve().parents[3]
# Undefined behaviour traps, and the address sanitizer reports the trap: gcc's libubsan would report to stderr only.
FLAGS = "-std=gnu11 -D_GNU_SOURCE -O0 -g -fno-omit-frame-pointer".split()
FLAGS += ["-fsanitize=address,undefined", "-fsanitize-undefined-trap-on-error"]


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built once."""
    compiler = machine.need("gcc")
    place = tmp_path_factory.mktemp("sanitized")
    (place / "try.c").write_text("int main(void) { return 0; }\n")
    if subprocess.run([compiler, *FLAGS, "try.c", "-o", "try"], cwd=place, capture_output=True).returncode:
        machine.missing("gcc has no sanitizers (package libgcc-12-dev)")
    program = place / "conmon"
    command = [compiler, *FLAGS, *sorted((ROOT / "conmon" / "csrc").glob("*.c"))]
    subprocess.run([*command, "-o", program], check=True)
    return program


class SanitizedBox(Box):
    """A box that fails if a sanitizer has found something."""

    def __init__(self, place: Path, runtime: Path, program: Path) -> None:
        super().__init__(place, runtime)
        self.monitor = str(program)
        self.reports = place / "found"
        self.reports.mkdir(mode=0o777)
        self.env["ASAN_OPTIONS"] = f"log_path={self.reports}/report:handle_sigill=1:detect_stack_use_after_return=1"

    def finish(self) -> None:
        """Let the container end if it has not, and wait for the monitor's own end: there leaks are looked for."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.place / "pid").read_text())
            if alive(pid) and not (self.exits / ID).exists():
                os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(OSError, ValueError):
            monitor = self.pid
            until(lambda: not alive(monitor))

    def found(self) -> str:
        return "\n".join(report.read_text(errors="replace") for report in self.reports.iterdir())


@pytest.fixture
def clean_box(tmp_path: Path, runtime: Path, sanitized: Path) -> Iterator[Box]:
    result = SanitizedBox(tmp_path, runtime, sanitized)
    try:
        yield result
        result.finish()
    finally:
        result.close()
    assert not result.found()


SCENARIOS: list[Callable[[Box], None]] = [
    process.test_log,
    process.test_a_prompt_is_logged_while_the_container_waits,
    process.test_a_long_line_comes_in_pieces,
    process.test_rotation_loses_nothing,
    process.test_a_line_larger_than_the_limit_is_kept_whole,
    process.test_the_log_is_reopened_on_demand,
    process.test_what_the_runtime_is_told,
    process.test_the_exit_command_runs_once_after_the_exit_file,
    process.test_timeout,
    process.test_the_runtime_refuses,
    process.test_a_long_complaint_arrives,
    process.test_a_failure_is_always_told,
    process.test_exec_session,
    process.test_attached_exec_session,
    process.test_exec_failure,
    process.test_notify_relay,
    process.test_socket_dir,
    process.test_a_full_disk_costs_lines_and_says_so,
    process.test_journald,
    attach.test_every_client_gets_everything,
    attach.test_input_and_its_end,
    attach.test_a_stalled_client_delays_neither_log_nor_exit,
    attach.test_a_client_that_was_cut_is_told_what_it_missed,
    attach.test_more_clients_than_there_is_room_for,
    attach.test_terminal,
    attach.test_the_container_may_close_its_terminal_and_open_it_again,
    health.test_never_two_at_once,
    health.test_a_run_has_clean_signals_and_descriptors,
    drivers.test_json_file,
    drivers.test_long_lines_of_json_file_come_in_pieces_of_whole_characters,
    drivers.test_a_json_line_larger_than_the_limit_is_kept,
    drivers.test_every_file_is_opened_again_on_demand,
    drivers.test_an_entry_too_large_for_a_datagram_goes_as_a_sealed_file,
    drivers.test_a_syslog_daemon_that_hangs_does_not_hold_up_the_monitor,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__.removeprefix("test_"))
def test_nothing_is_found(clean_box: Box, scenario: Callable[[Box], None]) -> None:
    scenario(clean_box)


BAD = """
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char *volatile leaked = malloc(7);
	static char bytes[4];
	volatile int number = 0x7ffffff0;
	close(2);
	if (**++argv == 'o')
		bytes[number - 0x7fffffec + argc - 2] = 1;
	else if (**argv == 'u')
		return number + 100 * argc;
	else if (**argv == 'l')
		leaked = NULL;
	return leaked != NULL;
}
"""


@pytest.mark.parametrize(
    ("fault", "text"), [("overflow", "ILL|global-buffer-overflow"), ("undefined", "ILL"), ("leak", "memory leaks")]
)
def test_what_is_found_would_be_seen(tmp_path: Path, runtime: Path, sanitized: Path, fault: str, text: str) -> None:
    """The arrangement itself, with a program that has closed its stderr."""
    box = SanitizedBox(tmp_path, runtime, sanitized)
    (tmp_path / "bad.c").write_text(BAD)
    subprocess.run(["gcc", *FLAGS, "bad.c", "-o", "bad"], cwd=tmp_path, check=True)
    subprocess.run([tmp_path / "bad", fault], env=box.env)
    assert re.search(text, box.found())
    box.close()
