"""The events' file: many writers, a file that is full, a reader that misses nothing; and what is shown of one."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pypod.engine import events, events_journal, events_read
from pypod.errors import UsageError


def context(tmp_path: Path, **engine: Any) -> Any:
    return SimpleNamespace(flags={}, engine=engine, tmpdir=str(tmp_path / "t"), uid=os.getuid())


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    place = tmp_path / "t" / "events"
    text = "".join(file.read_text() for file in (place / "events.log.1", place / "events.log") if file.exists())
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_has_podmans_keys_in_podmans_order(tmp_path):
    events.image(context(tmp_path), "tag", "4711", "localhost/x:1")
    (event,) = lines(tmp_path)
    assert list(event) == ["ID", "Name", "Status", "Time", "Type", "Attributes"]
    assert event["Attributes"] is None and event["Type"] == "image"


def test_writers_at_once_lose_and_tear_nothing(tmp_path):
    """Eight processes, and the file is turned away once; none of 1600 lines is lost."""
    here = context(tmp_path, events_logfile_max_size=500_000)
    children = []
    for writer in range(8):
        pid = os.fork()
        if not pid:
            try:
                for number in range(200):
                    events.volume(here, "create", f"{writer}-{number}-" + "x" * 60)
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert (tmp_path / "t/events/events.log.1").exists()
    assert {event["Name"].rstrip("x") for event in lines(tmp_path)} == {
        f"{w}-{n}-" for w in range(8) for n in range(200)
    }


def test_the_file_stays_below_its_limit(tmp_path):
    here = context(tmp_path, events_logfile_max_size="20k")
    for number in range(1000):
        events.volume(here, "create", f"v{number}")
    sizes = [file.stat().st_size for file in (tmp_path / "t/events").iterdir()]
    assert len(sizes) == 2 and sum(sizes) <= 21_000
    assert lines(tmp_path)[-1]["Name"] == "v999"


def test_a_reader_goes_on_over_full_files(tmp_path):
    """As often as the file is turned away between two looks."""
    here = context(tmp_path, events_logfile_max_size=10_000)
    reader = events_read._Reader(events.log_path(here))
    seen: list[str] = []
    for number in range(300):
        events.volume(here, "create", f"v{number}")
        if number % 40 == 0:
            seen += [event["Name"] for event in reader.new()]
    seen += [event["Name"] for event in reader.new()]
    reader.close()
    assert seen == [f"v{number}" for number in range(300)]


def test_what_a_full_disk_tore_is_passed_over(tmp_path):
    here = context(tmp_path)
    events.volume(here, "create", "a")
    with open(events.log_path(here), "a") as file:
        file.write('{"Name":"b","Sta\n')
    events.volume(here, "create", "c")
    assert [event["Name"] for event in events_read.read(here, follow=False, everything=True)] == ["a", "c"]


def test_nothing_depends_on_an_event(tmp_path):
    (tmp_path / "t").write_text("a file where the directory should be")
    events.volume(context(tmp_path), "create", "a")


def test_no_backend_and_a_wrong_one(tmp_path):
    events.volume(context(tmp_path, events_logger="none"), "create", "a")
    assert not (tmp_path / "t").exists()
    with pytest.raises(UsageError, match="cannot read events"):
        list(events_read.read(context(tmp_path, events_logger="none")))
    with pytest.raises(UsageError, match="not a valid events backend"):
        events.volume(context(tmp_path, events_logger="syslog"), "create", "a")


CREATED = {"ID": "abcdef012345678", "Image": "i", "Name": "web", "Status": "create", "Type": "container"}
CREATED |= {"Time": "2026-01-02T03:04:05.600000000Z", "Attributes": {"a": "b"}}


@pytest.mark.parametrize(
    ("filters", "taken"),
    [
        (["container=web"], True),
        (["container=abc"], True),
        (["container=we"], False),
        (["event=create"], True),
        (["event=died", "event=create"], True),
        (["event=create", "type=image"], False),
        (["label=a"], True),
        (["label=a=b"], True),
        (["label=a", "label=c"], False),
        (["image=i"], False),
        (["volume=web"], False),
    ],
)
def test_filters(filters, taken):
    assert all(test(CREATED) for test in events_read.tests(filters)) is taken


@pytest.mark.parametrize("wrong", ["x", "x=y", "type=nonsense"])
def test_wrong_filters(wrong):
    with pytest.raises(UsageError, match="failed to parse event filters"):
        events_read.tests([wrong])


def test_what_is_shown(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    assert events_read.line(CREATED, short=True) == (
        "2026-01-02 03:04:05.6 +0000 UTC container create abcdef012345 (image=i, name=web, a=b)"
    )
    assert "(image=i, name=web, a=b\\x1b[2J\\nc)" in events_read.line({**CREATED, "Attributes": {"a": "b\x1b[2J\nc"}})
    shown = events_read.report(CREATED)
    assert list(shown) == ["ID", "Image", "Name", "Status", "time", "timeNano", "Type", "Attributes"]
    assert shown["time"] == 1767323045 and shown["timeNano"] == 1767323045600000000


def test_the_journal_gives_back_what_it_got(tmp_path, monkeypatch):
    """systemd's protocol: FIELD=value lines, and a length before what has line ends in it."""
    path = str(tmp_path / "socket")
    monkeypatch.setattr(events_journal, "JOURNAL", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(path)
        event = {"ContainerExitCode": 3, **CREATED, "Attributes": {"a": "b\nc"}, "Name": "x\ny"}
        events_journal.send(event)
        data = journal.recv(1 << 16)
    fields = {}
    while data:
        name, _, rest = data.partition(b"\n")
        if b"=" in name:
            key, _, value = name.partition(b"=")
            data = rest
        else:
            key, size = name, int.from_bytes(rest[:8], "little")
            value, data = rest[8 : 8 + size], rest[9 + size :]
        fields[key.decode()] = value.decode()
    assert fields["SYSLOG_IDENTIFIER"] == "pypod"
    assert events_journal.parse(json.dumps(fields).encode()) == event
    assert events_journal.parse(b'{"MESSAGE":"another program"}') is None
