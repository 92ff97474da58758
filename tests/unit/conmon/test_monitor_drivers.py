"""The log drivers, alone and together, and what becomes of them when they do not take what they are given."""

from __future__ import annotations

import json
import platform
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conmon import logs
from pypod.errors import MonitorError
from support.monitor_box import ID, Box, unshared, until
from unit.conmon.test_monitor_process import FULL_DISK


def wrapper(box: Box, drivers: list[str], *extra: str) -> str:
    """A program that starts the monitor with more drivers and with flags that pypod never gives."""
    words = [word for driver in drivers for word in ("-l", driver)]
    program = box.place / "monitor"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([box.monitor])} "$@" {shlex.join([*words, *extra])}\n')
    program.chmod(0o755)
    return str(program)


def start(box: Box, script: str, drivers: list[str], *extra: str, **more: Any) -> Any:
    return box.start(script, monitor=wrapper(box, drivers, *extra), log_path="none", **more)


def objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def test_json_file(box: Box) -> None:
    path = box.place / "ctr-json.log"
    box.start("printf 'a\"\\n\\377\\n'; echo err >&2; printf end", log_path=f"json-file:{path}", env={"TZ": "UTC+5"})
    assert box.exit_code() == 0
    entries = objects(path)
    assert [entry["log"] for entry in entries if entry["stream"] == "stdout"] == ['a"\n', "�\n", "end"]
    assert [entry["log"] for entry in entries if entry["stream"] == "stderr"] == ["err\n"]
    assert all(list(entry) == ["log", "stream", "time"] for entry in entries)
    assert all(len(entry["time"]) == 30 and entry["time"][-1] == "Z" for entry in entries)


def test_long_lines_of_json_file_come_in_pieces_of_whole_characters(box: Box) -> None:
    path = box.place / "json.log"
    box.start("yes '€' | tr -d '\\n' | head -c 300000; echo", log_path=f"json-file:{path}")
    assert box.exit_code() == 0
    pieces = [entry["log"] for entry in objects(path)]
    assert "".join(pieces) == "€" * 100000 + "\n"
    assert all(len(piece.encode()) <= 16384 for piece in pieces)


@pytest.mark.parametrize("formats", [("json-file",), ("k8s-file", "json-file"), ("json-file", "none", "json-file")])
def test_each_file_is_rotated_by_its_own_size(box: Box, formats: tuple[str, ...]) -> None:
    paths = [box.place / f"{number}.log" for number in range(len(formats))]
    start(
        box,
        "seq 1 3000",
        [f"{name}:{path}" if name != "none" else name for name, path in zip(formats, paths, strict=True)],
        "--log-size-max=100000",
        "--log-max-files=9",
    )
    assert box.exit_code() == 0
    for name, path in zip(formats, paths, strict=True):
        if name == "none":
            assert not path.exists()
            continue
        files = logs.rotated(str(path))
        assert len(files) > 1 and all(Path(file).stat().st_size <= 100_000 for file in files)
        assert [entry[3] for entry in logs.read(str(path))] == [str(number).encode() for number in range(1, 3001)]


def test_every_file_is_opened_again_on_demand(box: Box) -> None:
    one, two = box.place / "one", box.place / "two"
    start(
        box,
        "echo one; until [ -e $TMPDIR/go ]; do sleep 0.01; done; echo two",
        [f"k8s-file:{one}", f"json-file:{two}"],
    )
    until(lambda: two.exists() and two.read_bytes())
    one.rename(box.place / "old-one")
    two.rename(box.place / "old-two")
    (box.bundle / "ctl").open("wb", buffering=0).write(b"2 0 0\n")
    until(lambda: one.exists() and two.exists())
    (box.place / "go").touch()
    assert box.exit_code() == 0
    for path in (one, two):
        assert [entry[3] for entry in logs.read(str(path))] == [b"two"]


def test_a_json_line_larger_than_the_limit_is_kept(box: Box) -> None:
    path = box.place / "log"
    script = "for i in 1 2; do head -c 50000 /dev/zero; echo; done; head -c 100000 /dev/zero"
    box.start(script, log_path=f"json-file:{path}", log_size_max=1000, log_max_files=99)
    assert box.exit_code() == 0
    text = b"".join(entry[3] + b"\n" * (not entry[2]) for entry in logs.read(str(path)))
    assert text == (bytes(50000) + b"\n") * 2 + bytes(100000)


def test_a_full_disk_costs_one_file_its_lines_and_the_other_nothing(box: Box) -> None:
    whole = box.place / "whole"
    script = "seq 1 9999; touch $TMPDIR/written; until [ -e $TMPDIR/go ]; do sleep 0.01; done; echo after"
    program = wrapper(box, [f"json-file:{box.place}/small/log", f"k8s-file:{whole}"])
    options = box.options(monitor=program, log_path="none").__dict__
    done = unshared(FULL_DISK, str(box.place), options, {**box.env, "FAKE_SCRIPT": script})
    entries = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert re.fullmatch(r"conmon: \d+ bytes of log were lost: No space left on device\n", entries[-2]["log"])
    assert (entries[-2]["stream"], entries[-1]["log"]) == ("stderr", "after\n")
    assert [entry[3] for entry in logs.read(str(whole))] == [b"%d" % number for number in range(1, 10000)] + [
        b"after"
    ]


def test_the_size_of_all_that_was_ever_logged_is_each_files_own(box: Box) -> None:
    one, two = box.place / "one", box.place / "two"
    start(box, "seq 1 100000", [f"k8s-file:{one}", f"json-file:{two}"], "--log-global-size-max=1000")
    assert box.exit_code() == 0
    assert all(1000 <= path.stat().st_size < 1_000_000 for path in (one, two))


@pytest.mark.parametrize(
    ("drivers", "extra", "text"),
    [
        (["json-file"], [], "json-file requires a filename"),
        ([":"], [], "log-path must not be empty"),
        ([""], [], "log-path must not be empty"),
        ([f"{{}}/{number}" for number in range(5)], [], "Too many log files: there may be 4"),
        (["{}/same", "json-file:{}/./same"], [], "Log file {}/./same is given twice"),
        (["json-file:{}/x"], ["--log-tag", "t"], "json-file doesn't support --log-tag"),
        (["{}/x"], ["--log-label", "A=b"], "k8s-file doesn't support --log-label"),
    ],
)
def test_drivers_that_are_refused(box: Box, drivers: list[str], extra: list[str], text: str) -> None:
    with pytest.raises(MonitorError) as error:
        start(box, "true", [driver.format(box.place) for driver in drivers], *extra)
    assert error.value.message.endswith(": " + text.format(box.place))


def test_no_driver_at_all(box: Box) -> None:
    words = [box.monitor, "-c", ID, "-u", ID, "-r", box.runtime, "-b", box.bundle]
    done = subprocess.run(words, env=box.env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "[conmon:e]: Log driver not provided. Use --log-path\n")


def test_the_order_of_checks_is_conmons(box: Box) -> None:
    """Each word cures what was wrong, and the next thing is said. Callers match on the texts."""
    text = box.place / "text"
    text.touch()
    steps: list[tuple[list[object], str]] = [
        (["--log-rotate", "--log-max-files", "0", "-l", "foo:", "-e", "--exit-delay", "-1"], "log-max-files must be"),
        (["--log-max-files", "1"], "conmon: Container ID not provided"),
        (["-c", ID, "--log-level", "x"], "No such log level x"),
        (["--log-level", "warn", "--exec-attach"], "Attach can only be specified for a non-legacy"),
        (["--api-version"], "Container UUID not provided"),
        (["-u", ID], "Runtime path not provided"),
        (["-r", text], f"Runtime path {text} is not valid: Permission denied"),
        (["-r", box.runtime], "Exec process spec path not provided"),
        (["--exec-process-spec", "/dev/null"], "Delay before invoking exit command must be"),
        (["--exit-delay", "0"], "No such log driver foo"),
    ]
    words: list[object] = [box.monitor]
    for more, message in steps:
        words += more
        pipe = {"_OCI_ATTACHPIPE": "2"}
        done = subprocess.run([str(word) for word in words], env={**box.env, **pipe}, capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.removeprefix("[conmon:e]: ").startswith(message), more


def test_a_tag_is_taken_where_the_journal_is_too_or_nothing_is_logged(box: Box) -> None:
    for drivers in (["{}/x", "journald"], ["none"]):
        start(box, "exit 7", [driver.format(box.place) for driver in drivers], "--log-tag", "t")
        assert box.exit_code() == 7
        box.gone()
        (box.exits / ID).unlink()


def test_what_has_no_effect_is_said(box: Box) -> None:
    words = [box.monitor, "--sync", "-c", ID, "-u", ID, "-r", box.runtime, "-b", box.bundle, "-p", box.place / "pid"]
    words += ["--full-attach", "-l", "none", "--no-container-partial-message"]
    done = subprocess.run(words, env=box.env, capture_output=True, text=True)
    assert done.stderr == "[conmon:w]: --no-container-partial-message has no effect without journald log driver\n"


COMMON = """
import array, ctypes, os, platform, socket, struct, subprocess, sys, time
from conmon import spawn
options, env, place = map(eval, sys.argv[1:4])
def until(what):
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
def bind(path):
    result = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    result.bind(path)
    result.settimeout(20)
    return result
def start():
    return spawn.spawn(spawn.MonitorOptions(**options), env=env)
def ended():
    until(lambda: os.listdir(place + "/exits"))
def everything(sock):
    sock.setblocking(False)
    while True:
        try:
            print(repr(sock.recv(100000)))
        except BlockingIOError:
            sock.settimeout(20)
            return
"""

JOURNAL = (
    COMMON
    + """
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
os.makedirs("/run/systemd/journal")
NAME = "/run/systemd/journal/socket"
"""
)


def messages(text: str) -> list[str]:
    """The MESSAGE of each datagram whose repr is a line of the text."""
    result = []
    for line in text.splitlines():
        found = [field[8:] for field in eval(line).decode().split("\n") if field.startswith("MESSAGE=")]
        result.append(found[0])
    return result


HUNG = """
journal = bind(NAME)
start()
until(lambda: os.path.exists(place + "/written"))
time.sleep(1.4)  # longer than it waits
everything(journal)
open(place + "/go", "w").close()
ended()
everything(journal)
"""


def test_a_journal_that_hangs_costs_entries_and_not_the_containers_time(box: Box) -> None:
    script = "seq 1 1000; touch $TMPDIR/written; until [ -e $TMPDIR/go ]; do sleep 0.01; done; echo after"
    options = box.options(log_path="journald").__dict__
    got = messages(unshared(JOURNAL + HUNG, options, {**box.env, "FAKE_SCRIPT": script}, str(box.place)).stdout)
    said = re.fullmatch(r"conmon: (\d+) log entries were lost: Resource temporarily unavailable", got[-2])
    assert said and got[-1] == "after"
    assert got[:-2] == [str(number) for number in range(1, 1001 - int(said[1]))]


ABSENT = """
start()
until(lambda: os.path.exists(place + "/written"))
time.sleep(0.1)
journal = bind(NAME)
open(place + "/go", "w").close()
print(repr(journal.recv(1000)))
print(repr(journal.recv(1000)))
os.unlink(NAME)
journal.close()
journal = bind(NAME)
open(place + "/again", "w").close()
print(repr(journal.recv(1000)))
ended()
"""


def test_a_journal_that_comes_late_or_restarts_is_found(box: Box) -> None:
    wait = "until [ -e $TMPDIR/{} ]; do sleep 0.01; done; "
    script = "echo 1; touch $TMPDIR/written; " + wait.format("go") + "echo 2; " + wait.format("again") + "echo 3"
    options = box.options(log_path="journald").__dict__
    got = messages(unshared(JOURNAL + ABSENT, options, {**box.env, "FAKE_SCRIPT": script}, str(box.place)).stdout)
    assert got == ["conmon: 1 log entries were lost: No such file or directory", "2", "3"]


# seccomp(2) makes sendto() say EMSGSIZE (90) to what is longer than 60000 bytes: a host of small wmem_max.
LARGE = """
journal = bind(NAME)
number = {"x86_64": 44, "aarch64": 206}[platform.machine()]
code = [(0x20, 0, 0, 0), (0x15, 0, 3, number), (0x20, 0, 0, 32), (0x25, 0, 1, 60000), (0x06, 0, 0, 0x50000 | 90),
        (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, fprog, 0, 0) == 0
start()
print(repr(journal.recv(100000)))
data, control, _, _ = journal.recvmsg(100000, 100)
assert data == b"" and len(control) == 1
fd, = array.array("i", control[0][2])
assert fcntl.fcntl(fd, 1034) == 15  # F_GET_SEALS: all
print(repr(os.pread(fd, 1000000, 0)))
ended()
"""


def test_an_entry_too_large_for_a_datagram_goes_as_a_sealed_file(box: Box) -> None:
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("the number of sendto() is not known here")
    script = (
        "echo small; sleep 0.1; head -c 70000 /dev/zero | tr '\\0' x | dd bs=70001 iflag=fullblock 2>/dev/null; echo"
    )
    options = box.options(log_path="journald", log_labels=["BIG=" + "y" * 50000]).__dict__
    program = "import fcntl\n" + JOURNAL + LARGE
    small, large = messages(unshared(program, options, {**box.env, "FAKE_SCRIPT": script}, str(box.place)).stdout)
    assert small == "small" and set(large) == {"x"} and len(large) > 16384


def test_a_label_with_a_newline_stays_one_field(box: Box) -> None:
    options = box.options(log_path="journald", log_labels=["A=b\nMESSAGE:forged"]).__dict__
    program = JOURNAL + "journal = bind(NAME)\nstart()\nprint(repr(journal.recv(1000)))\nended()"
    done = unshared(program, options, {**box.env, "FAKE_SCRIPT": "echo x"}, str(box.place))
    assert b"\nA\n\x10\0\0\0\0\0\0\0b\nMESSAGE:forged\n" in eval(done.stdout)


SYSLOG = (
    COMMON
    + """
dev = place + "/dev"
os.mkdir(dev)
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", dev], check=True)
open(dev + "/null", "w").close()
subprocess.run(["mount", "--bind", "/dev/null", dev + "/null"], check=True)
syslog = bind(dev + "/log")
subprocess.run(["mount", "--rbind", dev, "/dev"], check=True)
start()
ended()
everything(syslog)
os.unlink(place + "/exits/" + options["id"])
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.setblocking(False)
try:
    while True:
        sender.sendto(b"full", "/dev/log")
except BlockingIOError:
    pass
start()
ended()
subprocess.run(["umount", "-l", "/dev"], check=True)
"""
)


def test_a_syslog_daemon_that_hangs_does_not_hold_up_the_monitor(box: Box) -> None:
    options = box.options(syslog=True, log_level="debug").__dict__
    done = unshared(SYSLOG, options, {**box.env, "FAKE_SCRIPT": "true"}, str(box.place))
    lines = [eval(line) for line in done.stdout.splitlines()]
    pattern = (
        rb"<1[0-7]>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d conmon: conmon %s <n(info|debug)>: .+" % ID[:20].encode()
    )
    assert lines and all(re.fullmatch(pattern, line, re.DOTALL) for line in lines)
