"""What the monitor does under load and afterwards: larger pipes, naps, memory given back. No times are taken."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

import pytest

from support.monitor_box import Box, until

USUAL, LARGE, LARGEST = 65536, 524288, 1048576
LINE = "x" * 99
FLOOD = f"yes {LINE} | head -c 4000000"


def pipe_size(box: Box) -> int:
    """Of the container's stdout."""
    container = int((box.place / "pid").read_text())
    fd = os.open(f"/proc/{container}/fd/1", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    finally:
        os.close(fd)


def private(box: Box) -> int:
    """Private memory of the monitor, KiB."""
    text = Path(f"/proc/{box.pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"Private_(?:Clean|Dirty): +(\d+)", text))


def logged(box: Box) -> int:
    return box.log.read_bytes().count(b"\n") if box.log.exists() else 0


def test_the_pipe_and_the_buffers_are_large_under_load_only(box: Box) -> None:
    os.mkfifo(box.place / "go")
    box.start(f"echo a; read x <{box.place}/go; {FLOOD}; exec sleep 100")
    until(lambda: logged(box) == 1)
    assert pipe_size(box) == USUAL
    before = private(box)
    (box.place / "go").write_text("\n")
    until(lambda: pipe_size(box) in (LARGE, LARGEST))
    assert until(lambda: logged(box) == 40001)
    assert {text for _, _, text in box.entries()[1:]} == {LINE.encode()}
    assert {tag for _, tag, _ in box.entries()} == {"F"}
    until(lambda: pipe_size(box) == USUAL)
    until(lambda: private(box) <= before)


def test_a_flood_of_single_lines_is_moved_aside(box: Box) -> None:
    """Their pages go through a pipe of the monitor's own, which it has only so long."""
    os.mkfifo(box.place / "go")
    count = 300000
    loop = f"i=0; while [ $i -lt {count} ]; do echo {LINE[:60]}$i; i=$((i+1)); done"
    box.start(f"echo a; read x <{box.place}/go; {loop}; exec sleep 100")
    until(lambda: logged(box) == 1)
    fds = Path(f"/proc/{box.pid}/fd")
    before = sorted(os.listdir(fds))
    (box.place / "go").write_text("\n")
    until(lambda: pipe_size(box) == LARGEST)
    until(lambda: len(os.listdir(fds)) == len(before) + 2)
    assert until(lambda: logged(box) == count + 1)
    assert [text for _, _, text in box.entries()[1:]] == [f"{LINE[:60]}{number}".encode() for number in range(count)]
    until(lambda: pipe_size(box) == USUAL)
    assert sorted(os.listdir(fds)) == before


def test_the_buffers_of_a_trickle_are_given_back(box: Box) -> None:
    box.start("while :; do echo a; sleep 0.05; done")
    until(lambda: logged(box) > 0)
    most = until(lambda: private(box))
    until(lambda: private(box) < most)


def polled(box: Box) -> list[str]:
    """What is in the monitor's epoll set."""
    fds = Path(f"/proc/{box.pid}/fd")
    epoll = next(fd.name for fd in fds.iterdir() if os.readlink(fd) == "anon_inode:[eventpoll]")
    text = Path(f"/proc/{box.pid}/fdinfo/{epoll}").read_text()
    return [os.readlink(fds / number) for number in re.findall(r"tfd: +(\d+)", text)]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_terminal_is_polled_and_a_pipe_never(box: Box, terminal: bool) -> None:
    """A pipe that was polled once costs each later write to it more."""
    box.start("while :; do echo a; sleep 0.05; done", terminal=terminal)
    until(lambda: logged(box) > 2)
    watched = polled(box)
    assert any("ptmx" in link for link in watched) is terminal
    assert not [link for link in watched if link.startswith("pipe:")]


@pytest.mark.parametrize("terminal", [False, True])
def test_short_lines_are_gathered_unless_they_come_from_a_terminal(box: Box, terminal: bool) -> None:
    box.start(f"while :; do echo {LINE}; done", terminal=terminal, log_size_max=10_000_000)
    waits = Path(f"/proc/{box.pid}/wchan")
    seen = set()
    if not terminal:
        until(lambda: "nanosleep" in waits.read_text())
    for _ in range(3000):
        seen.add(waits.read_text())
    assert any("nanosleep" in wait for wait in seen) is not terminal


def test_both_streams_while_one_is_flooded(box: Box) -> None:
    """What went to stdout before a line of stderr is logged before it, however much of it is in a large pipe."""
    box.start(f"for i in 1 2 3 4; do {FLOOD}; echo $i >&2; done")
    assert box.exit_code() == 0
    box.gone()
    entries = box.entries()
    at = [number for number, (stream, _, _) in enumerate(entries) if stream == "stderr"]
    assert [entries[number][2] for number in at] == [b"1", b"2", b"3", b"4"]
    assert all(number - place >= 40000 * (place + 1) for place, number in enumerate(at))
    assert len(entries) == 160004 and {tag for _, tag, _ in entries} == {"F"}


def test_both_streams_while_single_lines_flood_one(box: Box) -> None:
    """Its pipe may hold more than one read brings."""
    loop = f"i=0; while [ $i -lt 30000 ]; do echo {LINE[:60]}; i=$((i+1)); done"
    box.start(f"for j in 1 2 3 4 5 6 7 8; do {loop}; echo $j >&2; done")
    assert box.exit_code() == 0
    box.gone()
    entries = box.entries()
    at = [number for number, (stream, _, _) in enumerate(entries) if stream == "stderr"]
    assert [entries[number][2] for number in at] == [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8"]
    assert all(number - place >= 30000 * (place + 1) for place, number in enumerate(at))
    assert len(entries) == 240008 and {tag for _, tag, _ in entries} == {"F"}


def test_a_line_longer_than_a_batch_comes_in_pieces(box: Box) -> None:
    box.start(f"{FLOOD}; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end")
    assert box.exit_code() == 0
    box.gone()
    entries = box.entries()[40000:]
    assert b"".join(text for _, _, text in entries) == b"x" * 1000000 + b"end"
    assert [tag for _, tag, _ in entries[-2:]] == ["F", "F"] and {tag for _, tag, _ in entries[:-2]} == {"P"}
