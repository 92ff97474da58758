"""Reading a log and the files that it was rotated into."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conmon import logs
from pypod.base import times


def line(number: int, text: str, stream: str = "stdout", tag: str = "F") -> bytes:
    return f"2026-11-24T10:00:{number % 60:02d}.000000000+00:00 {stream} {tag} {text}\n".encode()


def write(path: Path, *contents: bytes) -> None:
    """The last content is the log, those before it are PATH.n … PATH.1."""
    for number, content in enumerate(reversed(contents)):
        (path if number == 0 else path.with_name(f"{path.name}.{number}")).write_bytes(content)


def texts(path: Path, **more: int) -> list[str]:
    return [entry[3].decode() for entry in logs.read(str(path), **more)]


def test_parse() -> None:
    assert logs.parse(line(1, "a  b ", "stderr", "P")[:-1]) == (
        "2026-11-24T10:00:01.000000000+00:00",
        "stderr",
        True,
        b"a  b ",
    )
    assert logs.parse(line(1, "")[:-1]) == ("2026-11-24T10:00:01.000000000+00:00", "stdout", False, b"")
    for bad in (b"", b"\0\0\0", b"x stdout F", b"x stdout Q text", b"x other F text"):
        assert logs.parse(bad) is None


def docker(number: int, text: str, stream: str = "stdout", tag: str = "F") -> bytes:
    """As ``line``, in Docker's format."""
    value = {"log": text + "\n" * (tag == "F"), "stream": stream, "time": f"2026-11-24T10:00:{number % 60:02d}.0Z"}
    return json.dumps(value).encode() + b"\n"


@pytest.fixture(params=[line, docker], ids=["k8s-file", "json-file"])
def form(request: pytest.FixtureRequest) -> Callable[..., bytes]:
    """A log format: what makes a line of it."""
    result: Callable[..., bytes] = request.param
    return result


def test_parse_json_file() -> None:
    when = "2026-11-24T10:00:01.5Z"
    head, tail = b'{"log":"', b'","stream":"stderr","time":"2026-11-24T10:00:01.5Z"}'
    assert logs.parse(head + b"\\u00e9\\n" + tail) == (when, "stderr", False, "é".encode())
    assert logs.parse(head + b"a" + tail) == (when, "stderr", True, b"a")
    assert logs.parse(head + b"\\n" + tail) == (when, "stderr", False, b"")
    for bad in (b"{", b"{}", head + b"a", head + tail[1:], head + tail.replace(b"stderr", b"x"), b'{"log":1}'):
        assert logs.parse(bad) is None


def test_formats_may_be_mixed(tmp_path: Path) -> None:
    """A container that was started with our monitor at one time and with conmon at another."""
    write(tmp_path / "log", line(1, "a") + docker(2, "b"), docker(3, "c") + line(4, "d"))
    assert texts(tmp_path / "log") == list("abcd")
    assert texts(tmp_path / "log", tail=3) == list("bcd")


def test_nothing(tmp_path: Path) -> None:
    assert texts(tmp_path / "log") == [] == texts(tmp_path / "log", tail=3)
    (tmp_path / "log").touch()
    assert texts(tmp_path / "log") == [] == texts(tmp_path / "log", tail=3)
    assert list(logs.follow(str(tmp_path / "nothing"), lambda: True)) == []


def test_rotated_files_come_first(tmp_path: Path, form: Callable[..., bytes]) -> None:
    write(tmp_path / "log", form(1, "a"), form(2, "b"), form(3, "c"))
    assert texts(tmp_path / "log") == ["a", "b", "c"]
    assert texts(tmp_path / "log", tail=2) == ["b", "c"]
    assert texts(tmp_path / "log", tail=0) == []


def test_torn_lines_are_left_out(tmp_path: Path, form: Callable[..., bytes]) -> None:
    (tmp_path / "log").write_bytes(b"\0\0\n" + form(1, "a") + b"garbage\n" + form(2, "b") + b"2026-11-24T1")
    assert texts(tmp_path / "log") == ["a", "b"] == texts(tmp_path / "log", tail=5)


def test_pieces_count_with_their_form(tmp_path: Path, form: Callable[..., bytes]) -> None:
    write(
        tmp_path / "log",
        form(1, "x") + form(1, "a", tag="P"),
        form(2, "E", "stderr") + form(2, "b", tag="P") + form(3, "c"),
    )
    assert texts(tmp_path / "log", tail=1) == ["b", "c"] or texts(tmp_path / "log", tail=1) == ["c"]
    assert texts(tmp_path / "log", tail=2) == ["a", "E", "b", "c"]
    assert texts(tmp_path / "log", tail=3) == ["x", "a", "E", "b", "c"]


@given(
    st.lists(st.sampled_from(["", "x", "y" * 70000, "z" * 300]), max_size=12),
    st.integers(0, 14),
    st.integers(0, 12),
    st.sampled_from([line, docker]),
)
def test_tail(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], tail: int, cut: int, form: Callable[..., bytes]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    all_lines = [form(number, word) for number, word in enumerate(words)]
    write(path, b"".join(all_lines[:cut]), b"".join(all_lines[cut:]))
    assert texts(path) == words
    assert texts(path, tail=tail) == (words[-tail:] if tail else [])


def test_since_and_until(tmp_path: Path, form: Callable[..., bytes]) -> None:
    (tmp_path / "log").write_bytes(b"".join(form(number, str(number)) for number in range(10)))
    at = [times.parse_rfc3339(f"2026-11-24T10:00:{number:02d}Z") for number in range(10)]
    assert texts(tmp_path / "log", since=at[7]) == ["7", "8", "9"]
    assert texts(tmp_path / "log", until=at[2]) == ["0", "1", "2"]
    assert texts(tmp_path / "log", since=at[3], until=at[4]) == ["3", "4"]


def test_follow_through_rotations(tmp_path: Path, form: Callable[..., bytes]) -> None:
    path = tmp_path / "log"
    path.write_bytes(form(1, "a") + form(2, "b"))
    steps = iter(range(100))

    def ended() -> bool:
        step = next(steps)
        if step == 1:
            with path.open("ab") as file:
                file.write(form(3, "c") + form(4, "d")[:5])
        elif step == 2:
            with path.open("ab") as file:
                file.write(form(4, "d")[5:])
        elif step == 3:
            path.rename(tmp_path / "log.1")
            path.write_bytes(form(5, "e"))
        elif step == 4:  # two at once
            (tmp_path / "log.1").rename(tmp_path / "log.3")
            path.rename(tmp_path / "log.2")
            (tmp_path / "log.1").write_bytes(form(6, "f"))
            path.write_bytes(form(7, "g"))
        elif step == 5:
            with path.open("ab") as file:
                file.write(form(8, "h"))
            return True
        return False

    got = [entry[3].decode() for entry in logs.follow(str(path), ended, tail=1)]
    assert got == list("bcdefgh")


def test_follow_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    steps = iter(range(9))

    def ended() -> bool:
        if next(steps) == 1:
            (tmp_path / "log").write_bytes(line(1, "a"))
            return True
        return False

    assert [entry[3] for entry in logs.follow(str(tmp_path / "log"), ended)] == [b"a"]
