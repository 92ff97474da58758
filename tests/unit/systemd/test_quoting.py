"""Quoting for unit files, held against systemd's own reader."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pypod.systemd import quoting
from support import systemd_words

# What arguments are made of, the awkward more often than chance would have it; then anything without NUL.
PIECES = st.sampled_from(
    [
        *" \t\n\r;#'\"\\%$@-:+!{}=~*?",
        "%n",
        "%%",
        "$HOME",
        "${HOME}",
        "$$",
        "\\n",
        "\\x41",
        "ü",
        "日",
        "\u2028",
        "\x7f",
    ]
)
AWKWARD = st.lists(PIECES, max_size=8).map("".join)
ANYTHING = st.binary(max_size=12).map(lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape"))
WORDS = st.lists(st.one_of(AWKWARD, ANYTHING), max_size=8)


def encoded(words: list[str]) -> list[bytes]:
    return [word.encode("utf-8", "surrogateescape") for word in words]


@settings(max_examples=500, deadline=None)
@given(WORDS)
@example([";"])
@example(["", ";", "", "#", "\\;", ";;", "-x", "@a"])
@example(["\ufffe\ud7ff", "\udcff\udc80"])
def test_words_arrive_as_they_are(words: list[str]) -> None:
    setting = quoting.lines(quoting.command(["/bin/echo", *words]))
    assert systemd_words.exec_words(setting) == [[b"/bin/echo", *encoded(words)]]


@settings(max_examples=200, deadline=None)
@given(WORDS, st.integers(min_value=1, max_value=60))
def test_lines_say_what_one_line_says(words: list[str], width: int) -> None:
    quoted = quoting.command(["/bin/echo", *words])
    assert systemd_words.exec_words(quoting.lines(quoted, width=width)) == systemd_words.exec_words(" ".join(quoted))


@settings(max_examples=200, deadline=None)
@given(st.one_of(AWKWARD, ANYTHING))
def test_what_is_written_is_one_line_of_printable_text(text: str) -> None:
    word = quoting.word(text)
    assert word.isprintable()
    word.encode()  # no surrogates


@settings(max_examples=200, deadline=None)
@given(st.one_of(AWKWARD, ANYTHING))
def test_assignments_arrive_as_they_are(value: str) -> None:
    assert systemd_words.environment_words(quoting.assignment("NAME", value)) == encoded([f"NAME={value}"])


def test_what_is_raw_keeps_its_specifiers() -> None:
    words = quoting.command(["/bin/rm", "-f", quoting.Raw("%t/%n.ctr-id"), "%t/%n.ctr-id"])
    assert words == ["/bin/rm", "-f", "%t/%n.ctr-id", "%%t/%%n.ctr-id"]
    found = systemd_words.exec_words(" ".join(words), {"t": "/run", "n": "a.service"})
    assert found == [[b"/bin/rm", b"-f", b"/run/a.service.ctr-id", b"%t/%n.ctr-id"]]


@pytest.mark.parametrize("text", ["plain", "a=b", "--flag=x", "/a/b.c", "a,b", "x:y", "50%"])
def test_plain_words_stay_readable(text: str) -> None:
    assert quoting.word(text) == text.replace("%", "%%")


def test_a_continued_line_never_looks_like_a_comment() -> None:
    words = quoting.command(["/bin/echo", "x" * 200, "#no", "y" * 200, ";no", "z"])
    for line in quoting.lines(words).split("\n"):
        assert line.lstrip()[0] not in "#;"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/bin/pypod", ["/usr/bin/pypod"]),
        ("/opt/my tools/pypod", ['"/opt/my tools/pypod"']),
        ("/opt/100%/pypod", ["/opt/100%%/pypod"]),
        ("/opt/$x/pypod", ["/usr/bin/env", "/opt/$$x/pypod"]),
        ("/opt/a\tb", ["/usr/bin/env", '"/opt/a\\tb"']),
    ],
)
def test_programs(path: str, expected: list[str]) -> None:
    assert quoting.program(path) == expected


@pytest.mark.parametrize("path", ["pypod", "", "@/bin/sh", "-/bin/sh", "/a=$b"])
def test_programs_that_systemd_cannot_start(path: str) -> None:
    with pytest.raises(quoting.Unrepresentable):
        quoting.program(path)


def test_nul_and_bad_names() -> None:
    with pytest.raises(quoting.Unrepresentable):
        quoting.word("a\0b")
    for name in ("", "1A", "A-B", "ä", "A B"):
        with pytest.raises(quoting.Unrepresentable):
            quoting.assignment(name, "x")


@pytest.mark.parametrize("path", ["/a", "/a b", "/100%", "/a\\x41", '/say "a"', "/it's", "/é/日", "/a\\"])
def test_listed_paths(path: str) -> None:
    assert systemd_words.listed_paths(quoting.listed_path(quoting.specifiers(path))) == [path]
    with pytest.raises(quoting.Unrepresentable):
        quoting.listed_path(path + "\n")


def test_whole_paths() -> None:
    assert quoting.whole_path("/a b/100%") == "/a b/100%%"
    for path in ("/a\n", "/a ", "/a\\"):
        with pytest.raises(quoting.Unrepresentable):
            quoting.whole_path(path)
