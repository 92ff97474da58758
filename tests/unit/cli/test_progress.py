"""What progress draws, told by a terminal that is played here."""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
import termios
import threading
from collections.abc import Iterator

import pytest

from pypod.cli import progress
from storage.progress import SILENT

DIGEST = "sha256:" + "0123456789abcdef" * 4


class Screen:
    """The few escape sequences that bars are made of."""

    def __init__(self) -> None:
        self.lines = [""]
        self.row = 0
        self.column = 0

    def feed(self, text: str) -> None:
        for part in re.findall(r"\x1b\[\d*[A-Z]|[^\x1b]", text.replace("\r\n", "\n")):
            if part.startswith("\x1b"):
                self._move(part)
            elif part == "\n":
                self.row, self.column = self.row + 1, 0
                if self.row == len(self.lines):
                    self.lines.append("")
            elif part == "\r":
                self.column = 0
            else:
                line = self.lines[self.row]
                self.lines[self.row] = line[: self.column] + part + line[self.column + 1 :]
                self.column += 1

    def _move(self, sequence: str) -> None:
        if sequence.endswith("A"):
            self.row -= int(sequence[2:-1])
            assert self.row >= 0, "above the top"
        else:
            assert sequence == "\x1b[J"
            self.lines = self.lines[: self.row] + [self.lines[self.row][: self.column]]

    @property
    def shown(self) -> list[str]:
        assert (self.lines[self.row], self.column) == ("", 0), "the cursor is not on a line of its own"
        assert self.row == len(self.lines) - 1
        return self.lines[:-1]


class Played:
    """Bars on a pseudo-terminal, with a clock that stands still until it is told."""

    def __init__(self, rows: int = 24, columns: int = 80) -> None:
        self.master, self.slave = os.openpty()
        self.time = 100.0
        self.screen = Screen()
        self.written = 0
        self.size(rows, columns)
        self.bars = progress.Bars(self.slave, now=lambda: self.time)

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def look(self) -> list[str]:
        os.write(self.slave, b"\x00")  # something to read, whatever there was
        data = b""
        while not data.endswith(b"\x00"):
            data += os.read(self.master, 1 << 16)
        data = data[:-1]
        self.written = len(data)
        self.screen.feed(data.decode())
        return self.screen.shown

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def played() -> Iterator[Played]:
    found = Played()
    yield found
    found.close()


def test_a_layer_from_begin_to_end(played: Played) -> None:
    bars = played.bars
    bars.begin("a", f"Copying blob {DIGEST}", 10_000_000)
    [line] = played.look()
    assert re.fullmatch(r"Copying blob 0123456789ab \[-+\] 0 B / 10 MB", line), line
    played.time += 1
    bars.advance("a", 5_000_000)
    [line] = played.look()
    assert re.fullmatch(r"Copying blob 0123456789ab \[=+>-+\] 5 MB / 10 MB \| 5 MB/s", line), line
    filled = line[line.index("[") + 1 : line.index("]")]
    assert filled.count("-") - len(filled) // 2 in (0, 1)
    bars.end("a")
    assert played.look() == ["Copying blob 0123456789ab done | 5 MB"]
    bars.begin("b", "Copying blob x")
    bars.end("b", "skipped: already exists")
    assert played.look()[1:] == ["Copying blob x skipped: already exists"]


def test_at_most_ten_drawings_a_second(played: Played) -> None:
    played.bars.begin("a", "Copying", 1000)
    assert played.look()
    for _ in range(99):
        played.time += 0.001
        played.bars.advance("a", 1)
    played.look()
    assert played.written == 0
    played.time += 0.002
    played.bars.advance("a", 1)
    assert "100 B / 1 kB" in played.look()[0]
    drawings = 0
    for number in range(100):  # layers that are there already, in one second
        played.bars.begin(f"l{number}", f"Copying blob {number}")
        played.time += 0.01
        played.bars.end(f"l{number}", "skipped: already exists")
        played.look()
        drawings += played.written > 0
    assert drawings <= 10
    played.bars.close()
    assert played.look() == [f"Copying blob {number} skipped: already exists" for number in range(100)]


def test_several_at_once_and_more_than_there_are_rows(played: Played) -> None:
    played.size(10, 80)
    for number in range(30):
        played.bars.begin(str(number), f"Copying blob {number}", 100)
        played.time += 0.1
        lines = played.look()
    assert len(lines) == 8 and lines[-1] == "... and 23 more"
    for number in range(30):
        played.bars.end(str(number))
    played.bars.close()
    assert played.look() == [f"Copying blob {number} done" for number in range(30)]


@pytest.mark.parametrize("columns", [1, 2, 10, 20, 30, 40, 50, 60, 79, 200])
def test_no_line_is_wider_than_the_terminal(played: Played, columns: int) -> None:
    played.size(24, columns)
    for total in (-1, 0, 10_000_000):
        played.bars.begin("a", f"Copying blob {DIGEST}", total)
        played.time += 1
        played.bars.advance("a", 5_000_000)
        assert all(len(line) < max(columns, 2) for line in played.look())
        played.bars.end("a")
        assert all(len(line) < max(columns, 2) for line in played.look())


def test_a_smaller_window_breaks_nothing_above(played: Played) -> None:
    played.screen.feed("what the user did before\n")
    played.bars.begin("a", "Copying blob a", 100)
    assert len(played.look()) == 2
    for columns in (120, 30, 25, 100):
        played.size(24, columns)
        played.time += 1
        played.bars.advance("a", 1)
        assert played.look()[0] == "what the user did before"
    played.time += 1
    played.bars.end("a")
    assert played.look()[-1] == "Copying blob a done | 4 B"


def test_leaving_takes_away_what_is_not_finished(played: Played) -> None:
    with progress.Watched(played.bars) as seen:
        seen.begin("a", "Copying blob a", 100)
        seen.end("a")
        seen.begin("b", "Copying blob b", 100)
        assert len(played.look()) == 2
    assert played.look() == ["Copying blob a done"]


def test_threads(played: Played) -> None:
    def work(key: str) -> None:
        for _ in range(50):
            played.bars.begin(key, f"Copying {key}", 1000)
            for _ in range(10):
                played.time += 0.01
                played.bars.advance(key, 100)
        played.bars.end(key)

    drained: list[bytes] = []

    def drain() -> None:
        while b"\x00" not in (data := os.read(played.master, 65536)):
            drained.append(data)
        drained.append(data.rstrip(b"\x00"))

    reader = threading.Thread(target=drain)
    reader.start()
    threads = [threading.Thread(target=work, args=(f"layer {number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    played.bars.close()
    os.write(played.slave, b"\x00")
    reader.join(10)
    played.screen.feed(b"".join(drained).decode())
    assert sorted(played.screen.shown) == [f"Copying layer {number} done | 1 kB" for number in range(8)]


def test_lines_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with progress.watch(fd=2) as seen:
        seen.begin("a", f"Copying blob {DIGEST}", 100)
        seen.advance("a", 100)
        seen.end("a")
        seen.begin("b", "Copying blob \x1b[31mred\n")
        seen.end("b", "skipped: already exists")
    assert capfd.readouterr().err == f"Copying blob {DIGEST}\nCopying blob ?[31mred?\n"


def test_quiet_and_a_reader_that_went_away() -> None:
    assert progress.watch(quiet=True).progress is SILENT
    readable, writable = os.pipe()
    os.close(readable)
    with progress.watch(fd=writable) as seen:
        seen.begin("a", "Copying")
    os.close(writable)


def test_a_dumb_terminal_gets_lines(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress.watch(fd=played.slave).progress, progress.Lines)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress.watch(fd=played.slave).progress, progress.Bars)


def test_events_for_programs(capfd: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    seen = progress.Events(now=lambda: now)
    seen.say("Trying to pull x:1...")
    seen.begin("a", "Copying blob a", 100)
    for _ in range(10):
        now += 0.0625
        seen.advance("a", 10)
    seen.advance("never begun", 5)
    seen.end("a")
    seen.begin("b", "Copying blob b")
    seen.end("b", "skipped: already exists")
    out, err = capfd.readouterr()
    events = [json.loads(line) for line in err.splitlines()]
    assert not out and events[0] == {"event": "message", "what": "Trying to pull x:1..."}
    assert events[1] == {"event": "begin", "id": "a", "what": "Copying blob a", "current": 0, "total": 100}
    told = [item["current"] for item in events if item["event"] == "progress"]
    assert told == [20, 40, 60, 80, 100]  # every tenth of a second at most
    assert [item for item in events if item["event"] == "end"] == [
        {"event": "end", "id": "a", "note": "", "current": 100, "total": 100},
        {"event": "end", "id": "b", "note": "skipped: already exists", "current": 0, "total": -1},
    ]


def test_the_form_is_chosen(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress.watch(form="json", fd=played.slave).progress, progress.Events)
    assert isinstance(progress.watch(form="plain", fd=played.slave).progress, progress.Lines)
    assert isinstance(progress.watch(fd=played.slave).progress, progress.Bars)
    with progress.watch(fd=played.slave) as seen:
        seen.begin("a", "Copying blob a", 10)
        seen.say("Getting image source signatures")
        seen.end("a")
    assert played.look() == ["Getting image source signatures", "Copying blob a done"]
