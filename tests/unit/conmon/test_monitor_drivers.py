"""The log drivers, alone and together, and what becomes of them when they do not take what they are given."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conmon import logs
from pypod.errors import MonitorError
from support.monitor_box import ID, Box, until


def start(box: Box, script: str, drivers: list[str], *extra: str, **more: Any) -> Any:
    """Start the monitor with any number of drivers and with flags that pypod never gives."""
    words = [word for driver in drivers for word in ("-l", driver)]
    program = box.place / "monitor"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([box.monitor])} "$@" {shlex.join([*words, *extra])}\n')
    program.chmod(0o755)
    return box.start(script, monitor=str(program), log_path="none", **more)


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
