"""Unit files, read as systemd reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pypod.systemd import quoting, unit_file
from pypod.systemd.unit_file import Entry
from support import systemd_words
from support.awkward import ARGUMENTS

NAMES = st.text("ABCxyz-", min_size=1, max_size=6).map(lambda text: "K" + text)
VALUES = st.text(st.sampled_from("ab \t\"'\\%$=;#[]é日"), max_size=12).map(lambda text: text.strip(" \t"))
UNITS = st.dictionaries(NAMES, st.lists(st.tuples(NAMES, VALUES), max_size=5), max_size=4)


def parsed(text: str) -> unit_file.UnitFile:
    unit, complaints = unit_file.parse(text, "f")
    assert not complaints
    return unit


@settings(max_examples=200, deadline=None)
@given(UNITS)
def test_what_is_written_is_read_again(sections: dict[str, list[tuple[str, str]]]) -> None:
    unit = unit_file.UnitFile()
    for name, pairs in sections.items():
        whole = [(key, value) for key, value in pairs if (len(value) - len(value.rstrip("\\"))) % 2 == 0]
        unit.sections[name] = unit_file.Section(name, "f", 0, [Entry(key, value, "f", 0) for key, value in whole])
    again = parsed(unit.text())
    assert list(again.sections) == list(unit.sections)
    for name in unit.sections:
        assert [(one.key, one.value) for one in again.entries(name)] == [
            (one.key, one.value) for one in unit.entries(name)
        ]
    assert parsed(again.text()).text() == again.text()


def test_lines() -> None:
    unit = parsed(
        "\ufeff# comment\n[A]\n  K = one \\\n  # within\n\ttwo\\\n\n ; comment\nL=x=y\nK=\nK=three\r\n"
        "M=a\\\\\n[B]\nK=b\n[A]\nK=four\nN=last \\"
    )
    entries = [(one.key, one.value, one.line) for one in unit.entries("A")]
    assert entries == [
        ("K", "one  \ttwo", 3),
        ("L", "x=y", 8),
        ("K", "", 9),
        ("K", "three", 10),
        ("M", "a\\\\", 11),
        ("K", "four", 15),
        ("N", "last", 16),
    ]
    assert [one.value for one in unit.entries("A", "K")] == ["three", "four"]
    assert unit.last("A", "K") == Entry("K", "four", "f", 15)
    assert unit.last("B", "K") == Entry("K", "b", "f", 13)
    assert unit.last("B", "L") is None and unit.last("C", "K") is None


def test_an_empty_assignment_resets_over_drop_ins() -> None:
    unit = parsed("[A]\nK=one\n")
    unit.merge(parsed("[A]\nK=\nK=two\n[B]\nL=x\n"))
    assert [one.value for one in unit.entries("A", "K")] == ["two"]
    assert [one.value for one in unit.entries("B", "L")] == ["x"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("K=v\n", 1, "before the first"),
        ("[A]\n\njust text\n", 3, "not an assignment"),
        ("[A]\n=v\n", 2, "not an assignment"),
        ("[A\nK=v\n", 1, "invalid section header"),
        ("[]\nK=v\n", 1, "invalid section header"),
        ("[A]\nK=\udcff\n", 2, "not UTF-8"),
    ],
)
def test_what_says_nothing_is_complained_of(text: str, line: int, words: str) -> None:
    _, (complaint,) = unit_file.parse(text, "f")
    assert complaint.line == line and words in complaint.text


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=range(len(ARGUMENTS)))
def test_awkward_words(arguments: list[str]) -> None:
    assert unit_file.split(" ".join(quoting.quoted(word) for word in arguments)) == arguments


PIECES = st.lists(
    st.sampled_from([*" \t'\"\\ab;#$%é", "\\n", "\\x41", "\\101", "\\s", "\\u00e9", "\\t"]), max_size=10
)


@settings(max_examples=500, deadline=None)
@given(PIECES.map("".join))
def test_words_are_systemds_words(text: str) -> None:
    text += " end"  # a backslash at the end would continue the line
    try:
        found = [word.encode("utf-8", "surrogateescape") for word in unit_file.split(text)]
    except unit_file.BadWords:
        with pytest.raises(AssertionError, match="systemd cannot read"):
            systemd_words.environment_words(text.replace("%", "%%"))
        return
    assert systemd_words.environment_words(text.replace("%", "%%")) == found


@pytest.mark.parametrize("text", ['"a', "'a", "a\\", "\\q", "\\x4", "\\x00", "\\u12", "\\ud800", "\\777", "\\9"])
def test_what_cannot_be_split(text: str) -> None:
    with pytest.raises(unit_file.BadWords):
        unit_file.split(text)


def test_whole_values() -> None:
    assert unit_file.whole('"a b"') == "a b"
    assert unit_file.whole("'it'") == "it"
    assert unit_file.whole('"a" b "c"') == '"a" b "c"'
    assert unit_file.whole('a "b"') == 'a "b"'
    assert unit_file.whole('"') == '"' and unit_file.whole("") == ""


def test_booleans() -> None:
    assert [unit_file.boolean(text) for text in ("yes", "ON", "1", "t", "True")] == [True] * 5
    assert [unit_file.boolean(text) for text in ("no", "off", "0", "F", "n")] == [False] * 5
    assert unit_file.boolean("maybe") is None and unit_file.boolean("") is None
