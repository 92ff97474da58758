"""The files of records: rows found in the text and put into it, and whether what is remembered is still true."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pypod.errors import StorageError
from storage.locks import RecordLock
from storage.table import Table

Row = dict[str, Any]


def made(number: int, **more: Any) -> Row:
    metadata = json.dumps({"name": f"c{number}", "id": f"{number:064x}"})
    return {"id": f"{number:064x}", "names": [f"c{number}"], "metadata": metadata, **more}


def compact(rows: list[Any]) -> str:
    return json.dumps(rows, separators=(",", ":"))


ROWS = [made(0x10), made(0x11, flags={"Volatile": True}), made(0x22, names=["c22", "zwei"]), made(0x33)]
# The same records as different hands may have written them.
FORMS = {
    "as the tools": compact(ROWS),
    "indented": json.dumps(ROWS, indent=2),
    "keys sorted": json.dumps(ROWS, sort_keys=True, separators=(",", ":")),
    "keys as in Go": compact([{key.upper(): value for key, value in row.items()} for row in ROWS]),
    "with a null": compact([None, *ROWS]),
    "with rubbish": compact([ROWS[0], {"id": ["no"]}, 7, *ROWS[1:]]),
    "with white space around": f"\n{compact(ROWS)}\n",
    "with a byte order mark": "\ufeff" + compact(ROWS),
}


class Place:
    """A file of records in ``directory`` with its lock."""

    def __init__(self, directory: Path, text: str) -> None:
        self.path = directory / "containers.json"
        self.path.write_text(text)
        self.table = Table(str(self.path))
        self.lock = RecordLock(str(directory / "containers.lock"), tables=(self.table,))

    def content(self) -> list[Any]:
        found: list[Any] = json.loads(self.path.read_text(encoding="utf-8-sig"))
        return found


@pytest.mark.parametrize("form", FORMS)
def test_what_is_found(tmp_path: Path, form: str) -> None:
    table = Place(tmp_path, FORMS[form]).table
    for row in ROWS:
        assert Table(table.path).row(row["id"]) == row == table.row(row["id"])
        for name in row["names"]:
            assert Table(table.path).named(name) == row == table.named(name)
    assert table.beginning("0" * 62 + "1") == ROWS[:2]
    assert table.beginning("0" * 62 + "33") == ROWS[3:]
    assert table.beginning("") == table.rows() == ROWS
    for stranger in ("c", "c1", "id", "names", "0" * 64, '",', "\\", "\n", "", "\N{SNOWMAN}"):
        assert table.row(stranger) is None and table.named(stranger) is None
        assert stranger == "" or table.beginning(stranger + "x") == []
    # What would end the string in the text and go on in the row is part of no id.
    assert table.beginning(ROWS[0]["id"] + '","names":["c16') == []
    assert table.row(ROWS[0]["id"] + '","names":["c16') is None


@pytest.mark.parametrize("form", FORMS)
def test_what_is_added_and_taken_away(tmp_path: Path, form: str) -> None:
    place = Place(tmp_path, FORMS[form])
    before = place.content()
    news = made(0x44, names=["neu \N{SNOWMAN}"])
    with place.lock as lock:
        place.table.add(news, lock, durable=False)
        assert place.table.rows() == [*ROWS, news] == Table(place.table.path).rows()
        assert place.table.named("neu \N{SNOWMAN}") == news
        assert not place.table.remove("f" * 64, lock, durable=False)
        for row in (ROWS[1], ROWS[0], news, ROWS[3]):  # within, first, last
            assert place.table.remove(row["id"], lock, durable=True)
            assert place.table.row(row["id"]) is None
            assert place.table.rows() == Table(place.table.path).rows()
        assert place.table.rows() == ROWS[2:3]
        assert place.table.remove(ROWS[2]["id"], lock, durable=False)
        assert place.table.rows() == []
        place.table.add(news, lock, durable=False)
    assert Table(place.table.path).rows() == [news]
    # What nobody can use is nobody's to throw away.
    assert [row for row in place.content() if row in (7, {"id": ["no"]})] == [
        row for row in before if row in (7, {"id": ["no"]})
    ]


def test_the_other_rows_stay_as_they_are_to_the_byte(tmp_path: Path) -> None:
    strange = '{"id":"%064x","names":["a"],"big":12345678901234567890.50,"twice":1,"twice":2,"text":"\\u00e9\\/é"}'
    place = Place(tmp_path, f"[{strange % 1},{compact([made(2)])[1:-1]},{strange % 3}]")
    text = place.path.read_text()
    with place.lock as lock:
        place.table.add(made(4), lock, durable=False)
        assert place.path.read_text() == f"{text[:-1]},{compact([made(4)])[1:-1]}]"
        place.table.remove(made(4)["id"], lock, durable=False)
        assert place.path.read_text() == text
        place.table.remove(made(2)["id"], lock, durable=False)
    assert place.path.read_text() == f"[{strange % 1},{strange % 3}]"


@pytest.mark.parametrize("text", ["", "null", "[]", "[null]", " [ ] "])
def test_no_rows(tmp_path: Path, text: str) -> None:
    if not text:
        place = Place(tmp_path, "[]")
        place.path.unlink()
    else:
        place = Place(tmp_path, text)
    assert place.table.rows() == [] and place.table.row("a") is None and place.table.named("a") is None
    with place.lock as lock:
        assert not place.table.remove("a", lock, durable=False)
        place.table.add(made(1), lock, durable=False)
    assert place.content() == [made(1)]


@pytest.mark.parametrize(
    "text",
    [
        compact(ROWS)[:-1],
        compact(ROWS)[:-30],
        compact(ROWS)[:100] + "\0" * 40 + compact(ROWS)[140:],
        "\0" * 200,
        "{}",
        "7",
        "",
        "[" * 5000,
    ],
)
def test_a_damaged_file_is_not_written_over(tmp_path: Path, text: str) -> None:
    place = Place(tmp_path, text)
    with place.lock as lock:
        for attempt in (
            lambda: place.table.rows(),
            lambda: place.table.row(ROWS[0]["id"]),
            lambda: place.table.named("c16"),
            lambda: place.table.beginning("00"),
            lambda: place.table.add(made(9), lock, durable=False),
            lambda: place.table.remove(ROWS[0]["id"], lock, durable=False),
        ):
            with pytest.raises(StorageError, match="cannot read the store"):
                attempt()
    assert place.path.read_text() == text


def test_the_same_id_twice(tmp_path: Path) -> None:
    place = Place(tmp_path, compact([*ROWS, {**ROWS[0], "names": ["again"]}]))
    assert place.table.row(ROWS[0]["id"]) == ROWS[0]
    with place.lock as lock:
        assert place.table.remove(ROWS[0]["id"], lock, durable=False)
    assert place.content() == ROWS[1:]


def test_a_name_that_stands_elsewhere_first(tmp_path: Path) -> None:
    rows = [made(1, image="c3"), made(2, flags={"MountLabel": "c3"}), made(3)]
    assert Place(tmp_path, compact(rows)).table.named("c3") == rows[2]


def test_what_others_write_is_seen(tmp_path: Path) -> None:
    """Others replace the file, with or without the lock, while we remember it."""
    place = Place(tmp_path, compact(ROWS))
    assert place.table.named("c16") == ROWS[0]
    other = Table(str(place.path))
    with RecordLock(place.lock.path, tables=(other,)) as lock:
        other.remove(ROWS[0]["id"], lock, durable=False)
    assert place.table.named("c16") is None and place.table.rows() == ROWS[1:]
    with place.lock as lock:
        place.table.add(made(9), lock, durable=False)
    assert place.content() == [*ROWS[1:], made(9)]
    text = json.dumps([made(5)], indent=1)
    (tmp_path / "new").write_text(text)
    os.rename(tmp_path / "new", place.path)
    with place.lock as lock:
        assert place.table.rows() == [made(5)]
        place.table.add(made(6), lock, durable=False)
    assert place.content() == [made(5), made(6)]


def test_a_change_that_the_clock_does_not_show(tmp_path: Path) -> None:
    """Another writer's file with the same inode number, size and time: the token in the lock file tells."""
    place = Place(tmp_path, compact(ROWS))
    with place.lock as lock:
        place.table.add(made(0x55), lock, durable=False)
    stamp = place.path.stat()
    text = place.path.read_text().replace('"c85"', '"d85"')
    with RecordLock(place.lock.path) as lock:
        lock.touch()
        place.path.write_text(text)  # in place: a new file may get the number of the one that it replaces
        os.utime(place.path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert place.path.stat().st_size == stamp.st_size
    with place.lock as lock:
        assert place.table.named("c85") is None
        assert place.table.named("d85") is not None
        place.table.remove(ROWS[0]["id"], lock, durable=False)
    assert [row["names"][0] for row in place.content()] == ["c17", "c22", "c51", "d85"]


def test_our_own_write_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, compact(ROWS))
    with place.lock as lock:
        place.table.add(made(9), lock, durable=False)
    monkeypatch.setattr("storage.table.files.read", None)  # calling it would fail
    with place.lock as lock:
        assert place.table.named("c9") == made(9)
        place.table.remove(made(9)["id"], lock, durable=False)
    with place.lock:
        assert place.table.named("c9") is None and place.table.rows() == ROWS


def test_killed_between_token_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes dies before the rename: the old file counts, and the next writer is not misled."""
    place = Place(tmp_path, compact(ROWS))
    place.table.rows()

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("storage.table.files.replace", die)
        for change in (
            lambda lock: place.table.add(made(9), lock, durable=False),
            lambda lock: place.table.remove(ROWS[0]["id"], lock, durable=False),
        ):
            with pytest.raises(Killed), place.lock as lock:
                change(lock)
    assert place.table.rows() == ROWS and place.table.named("c9") is None
    with place.lock as lock:
        place.table.remove(ROWS[3]["id"], lock, durable=False)
    assert place.content() == ROWS[:3]
