"""Copies of many documents: what they give is what the documents say, whatever has happened to either."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from pypod.base import fastjson, files, kept
from pypod.base.kept import Kept

COUNT = 60


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written a moment ago is kept too, so that nobody waits."""
    monkeypatch.setattr(kept, "_RACY", 0)


class Place:
    """Documents in a directory, and their copies beside it."""

    def __init__(self, base: Path) -> None:
        self.base = base / "d"
        self.base.mkdir()
        self.copies = base / "kept" / "documents"
        self.now: dict[str, Any] = {}
        for number in range(COUNT):
            self.write(f"n{number}", {"id": number, "same": ["x"], "deep": {"a": number % 3}})

    def write(self, key: str, document: Any) -> None:
        files.replace_json(str(self.base / key), document)
        self.now[key] = document

    def remove(self, key: str) -> None:
        (self.base / key).unlink()
        del self.now[key]

    def open(self, of: str = "these") -> Kept:
        return Kept(str(self.copies), of)

    def all(self, of: str = "these") -> dict[str, Any]:
        """Every document by way of the copies, as a list of them reads it."""
        copies = self.open(of)
        found: dict[str, Any] = {}
        for key in sorted(os.listdir(self.base)):
            partly, value = copies.read(key, str(self.base / key))
            found[key] = {**copies.like, **value} if partly else value
        copies.keep()
        return found

    def count(self) -> int:
        """How many documents are taken from the copies."""
        copies = self.open()
        for key in os.listdir(self.base):
            copies.read(key, str(self.base / key))
        return len(copies._used)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_copies_are_used(place: Place) -> None:
    assert place.all() == place.now and place.count() == COUNT
    assert place.all() == place.now
    text = place.copies.read_text()
    assert text.count('"same"') == 1  # what all have in common is there once
    place.copies.write_text(text.replace('"x"', '"changed here"'))
    assert place.all()["n7"] == {**place.now["n7"], "same": ["changed here"]}


def test_documents_of_other_kinds(place: Place) -> None:
    """Keys that are missing or more than usual, and what is no object."""
    place.write("n1", {"id": 1, "same": ["x"]})
    place.write("n2", {})
    place.write("n3", {"id": 3, "same": ["x"], "deep": {"a": 0}, "more": None})
    place.write("n4", [1, 2])
    place.write("n5", None)
    assert place.all() == place.now and place.all() == place.now
    assert place.count() == COUNT - 2


def test_whatever_is_done_to_the_documents(place: Place) -> None:
    chance = random.Random(7)
    for _ in range(30):
        time.sleep(0.02)  # a tick of the file system's clock, for which ``_RACY`` is there
        for _ in range(chance.choice((0, 1, 3, 40))):
            key = f"n{chance.randrange(COUNT)}"
            what = chance.randrange(4)
            if what == 0 and key in place.now:
                place.remove(key)
            elif what == 1:
                place.write(key, {"same": ["x"], f"k{chance.randrange(9)}": chance.random()})
            elif what == 2 and key in place.now:
                # By hand, in place, of the same size and with the old time.
                path = place.base / key
                before = path.stat()
                document = {**place.now[key], "id": chance.randrange(10)}
                path.write_text(json.dumps(document))
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
                place.now[key] = document
            else:
                place.write(key, {"id": chance.randrange(10), "same": ["x"], "deep": {"a": chance.randrange(3)}})
        assert place.all() == place.now


def test_what_is_gone_is_forgotten(place: Place) -> None:
    place.all()
    for number in range(30):
        place.remove(f"n{number}")
    copies = place.open()
    with pytest.raises(FileNotFoundError):
        copies.read("n3", str(place.base / "n3"))
    for number in range(40):
        place.write(f"new{number}", {"id": number})
    assert place.all() == place.now
    assert set(json.loads(place.copies.read_text())["documents"]) == set(place.now)


def test_few_changes_are_not_worth_a_new_file(place: Place) -> None:
    place.all()
    before = place.copies.stat()
    place.write("n1", {"id": "other"})
    assert place.all() == place.now
    assert place.copies.stat().st_ino == before.st_ino and place.count() == COUNT - 1


def test_what_has_just_changed_is_not_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be replaced by what nobody could tell from it."""
    monkeypatch.setattr(kept, "_RACY", 3_600_000_000_000)
    assert place.all() == place.now
    assert not place.copies.exists()


def damaged(text: str) -> list[bytes]:
    """What may be in place of the copies."""
    data = text.encode()
    value = json.loads(text)
    entry = next(iter(value["documents"]))
    changed: list[Any] = [
        {**value, "version": 2},
        {**value, "version": "1"},
        {**value, "of": "others"},
        {**value, "like": None},
        {**value, "documents": list(value["documents"].values())},
        {**value, "documents": {entry: [1, 2]}},
        {**value, "documents": {entry: None}},
        {**value, "documents": None},
        {},
        [],
        7,
        None,
    ]
    torn = [data[:size] for size in (0, 1, len(data) // 2, len(data) - 1)]
    return [*torn, bytes(len(data)), b"\xff" + data[1:], *(json.dumps(item).encode() for item in changed)]


def test_what_is_no_copy_is_not_believed(place: Place) -> None:
    place.all()
    for content in damaged(place.copies.read_text()):
        place.copies.write_bytes(content)
        assert place.count() == 0
        assert place.all() == place.now and place.count() == COUNT


def test_another_collection_in_the_same_place(place: Place) -> None:
    place.all("others")
    place.write("n1", {"id": "of these"})
    assert place.all("these") == place.now and place.all("others") == place.now


def test_what_others_could_have_written_is_not_believed(place: Place, tmp_path: Path) -> None:
    place.all()
    place.copies.chmod(0o666)
    assert place.count() == 0
    place.copies.chmod(0o600)
    assert place.count() == COUNT
    place.copies.rename(tmp_path / "elsewhere")
    place.copies.symlink_to(tmp_path / "elsewhere")
    assert place.count() == 0
    assert place.all() == place.now and not place.copies.is_symlink()


def test_a_place_that_cannot_be_written(place: Place) -> None:
    place.copies.parent.write_text("a file in the way")
    assert place.all() == place.now and place.all() == place.now


@pytest.mark.parametrize("where", ["write_all", "os.fchmod", "os.rename"])
def test_killed_while_it_is_written(place: Place, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """What is left is no copy, and the next who writes removes it."""
    place.all()
    before = place.copies.read_bytes()
    for number in range(COUNT):
        place.write(f"n{number}", {"id": -number})
    if os.fork() == 0:

        def die(*_: object) -> None:
            os.kill(os.getpid(), 9)

        monkeypatch.setattr(f"pypod.base.files.{where}", die)
        place.all()
        os._exit(1)
    assert os.wait()[1] == 9
    assert place.copies.read_bytes() == before
    assert len(os.listdir(place.copies.parent)) == 2
    assert place.all() == place.now and place.count() == COUNT
    assert os.listdir(place.copies.parent) == [place.copies.name]


def test_a_document_that_is_none(place: Place) -> None:
    place.all()
    (place.base / "n3").write_text("{")
    with pytest.raises(fastjson.BadJson):
        place.open().read("n3", str(place.base / "n3"))
