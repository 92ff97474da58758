"""The pure parts of the monitor, called in process through the cffi extension."""

from __future__ import annotations

import codecs
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conmon._conmon import ffi, lib


def _one_for_each_byte(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error("go", _one_for_each_byte)

OUT, ERR = lib.STREAM_OUT, lib.STREAM_ERR


def stamp(nanoseconds: int = 123456789, offset: int = 3600) -> object:
    result = ffi.new("struct stamp *")
    broken_down = ffi.new("struct tm *")
    broken_down.tm_year, broken_down.tm_mon, broken_down.tm_mday = 126, 10, 24
    broken_down.tm_hour, broken_down.tm_min, broken_down.tm_sec = 21, 5, 9
    lib.stamp_set(result, broken_down, offset, nanoseconds)
    return result


HEAD = b"2026-11-24T21:05:09.123456789+01:00 "


def lines(data: bytes, room: int = 1 << 20, budget: int = -1, stream: int = OUT) -> tuple[bytes, int]:
    out = ffi.new("char[]", max(room, 1))
    used = ffi.new("size_t *")
    size = lib.cri_lines(stamp(), stream, data, len(data), used, out, room, budget)
    return ffi.buffer(out, size)[:], used[0]


def test_stamp() -> None:
    assert ffi.buffer(stamp().text)[:] == HEAD[:-1]
    assert ffi.buffer(stamp(5, -(5 * 3600 + 1800)).text)[:] == b"2026-11-24T21:05:09.000000005-05:30"
    changed = stamp()
    lib.stamp_nanoseconds(changed, 7)
    assert ffi.buffer(changed.text)[:] == b"2026-11-24T21:05:09.000000007+01:00"


@given(st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\n", b""))), st.binary(max_size=20))
def test_complete_lines_are_formatted_and_the_tail_is_left(texts: list[bytes], tail: bytes) -> None:
    tail = tail.replace(b"\n", b"")
    data = b"".join(text + b"\n" for text in texts)
    out, used = lines(data + tail, stream=ERR)
    assert used == len(data)
    assert out == b"".join(HEAD + b"stderr F " + text + b"\n" for text in texts)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.integers(0, 500), st.integers(-1, 500))
def test_never_beyond_room_or_budget(sizes: list[int], room: int, budget: int) -> None:
    data = b"".join(b"x" * size + b"\n" for size in sizes)
    out, used = lines(data, room, budget)
    limit = room if budget < 0 else min(room, budget)
    assert len(out) <= limit
    assert out.count(b"\n") == data[:used].count(b"\n")
    assert used == 0 or data[used - 1 : used] == b"\n"
    left = data[used:]
    if left:
        assert len(out) + 45 + left.index(b"\n") + 1 > limit


@given(st.binary(max_size=100))
def test_partial(text: bytes) -> None:
    out = ffi.new("char[]", 45 + len(text) + 1)
    size = lib.cri_partial(stamp(), OUT, text, len(text), out)
    assert ffi.buffer(out, size)[:] == HEAD + b"stdout P " + text + b"\n"


def json_file(
    data: bytes, room: int = 1 << 20, budget: int = -1, partial: bool = False, stream: int = OUT
) -> tuple[bytes, int]:
    out = ffi.new("char[]", max(room, 1))
    used = ffi.new("size_t *")
    size = lib.json_lines(stamp(offset=0), stream, partial, data, len(data), used, out, room, budget)
    return ffi.buffer(out, size)[:], used[0]


def texts_of(out: bytes) -> list[str]:
    entries = [json.loads(line) for line in out.decode("utf-8").split("\n")[:-1]]
    assert all(entry["time"] == "2026-11-24T21:05:09.123456789Z" and len(entry) == 3 for entry in entries)
    return [entry["log"] for entry in entries]


def test_json_file_is_written_as_docker_writes_it() -> None:
    when = b'"time":"2026-11-24T21:05:09.123456789Z"}\n'
    assert json_file(b'a "b"\\\t\x01\r\x7f\ntail') == (
        b'{"log":"a \\"b\\"\\\\\\t\\u0001\\r\\u007f\\n","stream":"stdout",' + when,
        11,
    )
    assert json_file(b"tail", partial=True, stream=ERR) == (b'{"log":"tail","stream":"stderr",' + when, 4)


_TEXT = st.one_of(st.binary(max_size=60), st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")))


@given(st.lists(_TEXT, max_size=8).map(b"\n".join), st.booleans())
def test_json_file_gives_the_text_back(data: bytes, partial: bool) -> None:
    """With U+FFFD for what is no UTF-8: as many of them as bytes, which is Docker's rule (Go's)."""
    out, used = json_file(data, partial=partial)
    assert used == (len(data) if partial else data.rfind(b"\n") + 1)
    wanted = [line.decode("utf-8", "go") + "\n" for line in data[:used].split(b"\n")]
    wanted[-1] = wanted[-1][:-1]
    assert texts_of(out) == [line for line in wanted if line]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.integers(0, 700), st.integers(-1, 700))
def test_json_file_never_beyond_room_or_budget(sizes: list[int], room: int, budget: int) -> None:
    data = b"".join(b"\x01" * size + b"\n" for size in sizes)
    out, used = json_file(data, room, budget)
    limit = room if budget < 0 else min(room, budget)
    assert len(out) <= limit
    assert "".join(texts_of(out)).encode() == data[:used]
    assert used == 0 or data[used - 1 : used] == b"\n"
    if left := data[used:]:
        assert len(out) + len(json_file(left[: left.index(b"\n") + 1])[0]) > limit


@pytest.mark.parametrize("text", ["x" * 50000, "é" * 25000, "€" * 17000, "\x01" * 40000, "a" + "😀" * 9000])
def test_json_file_cuts_long_lines_between_characters(text: str) -> None:
    raw = text.encode()
    for data, partial in ((raw + b"\n", False), (raw, True)):
        out, used = json_file(data, partial=partial)
        assert used == len(data)
        pieces = texts_of(out)
        assert "".join(pieces).encode() == data and len(pieces) > 1
        assert all(16381 <= len(piece.encode()) <= 16384 for piece in pieces[:-1])
        assert all(len(line) <= lib.JSON_ENTRY for line in out.splitlines())
        small, some = json_file(data, lib.JSON_ENTRY, partial=partial)
        assert 0 < some <= used and small == out[: len(small)]


@given(st.text(max_size=8), st.integers(0, 4))
def test_whole_characters(text: str, cut: int) -> None:
    raw = text.encode("utf-8", "replace")
    data = raw[: max(len(raw) - cut, 0)]
    whole = lib.utf8_whole(data, len(data))
    assert len(data) - whole <= 3
    assert data[:whole].decode() == data.decode("utf-8", "ignore")


@given(st.binary(max_size=12))
def test_whole_characters_of_any_bytes(data: bytes) -> None:
    """What is held back could still become a character."""
    whole = lib.utf8_whole(data, len(data))
    rest = data[whole:]
    assert len(rest) <= 3
    assert not rest or codecs.getincrementaldecoder("utf-8")().decode(rest) == ""


def message(number: int, text: bytes | None, room: int = 4096) -> bytes:
    out = ffi.new("char[]", room)
    length = len(text) if text is not None else 0
    size = lib.json_message(out, room, b"data", number, ffi.NULL if text is None else text, length)
    assert size <= room
    return bytes(ffi.buffer(out, size)[:])


def test_message_without_text() -> None:
    assert message(12345, None) == b'{"data": 12345}\n'
    assert message(-1, b"") == b'{"data": -1, "message": ""}\n'


@given(st.text(max_size=200))
def test_message_is_json(text: str) -> None:
    raw = text.encode("utf-8", "replace")
    value = json.loads(message(-1, raw))
    assert value == {"data": -1, "message": raw.decode()}


@given(st.binary(max_size=300), st.integers(64, 400))
def test_a_message_fits_and_is_json_whatever_a_runtime_writes(text: bytes, room: int) -> None:
    raw = message(-1, text, room)
    assert json.loads(raw.decode("utf-8", "replace"))["data"] == -1
    assert raw.endswith(b'"}\n')


def ctl(line: bytes) -> tuple[int, int, int] | None:
    numbers = [ffi.new("int *") for _ in range(3)]
    if lib.ctl_parse(line, len(line), *numbers):
        return None
    return numbers[0][0], numbers[1][0], numbers[2][0]


@given(st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 65535))
def test_ctl(a: int, b: int, c: int) -> None:
    assert ctl(b"%d %d %d" % (a, b, c)) == (a, b, c)


@pytest.mark.parametrize(
    "line", [b"", b"1", b"1 2", b"1 2 3 4", b"a b c", b"1 -2 3", b"1 2 99999999999999999999", b"1 2x 3"]
)
def test_bad_ctl(line: bytes) -> None:
    assert ctl(line) is None


@given(st.lists(st.binary(max_size=250).map(lambda line: line.replace(b"\n", b"")), max_size=6))
def test_ctl_lines_come_whole_however_they_are_cut(texts: list[bytes]) -> None:
    reader = ffi.new("struct ctl_reader *")
    got = []
    for byte in b"".join(text + b"\n" for text in texts):
        length = lib.ctl_feed(reader, bytes([byte]))
        if length >= 0:
            got.append(ffi.buffer(reader.line, length)[:])
    assert got == [text for text in texts if len(text) <= 200]


def notify(text: bytes) -> bytes:
    out = ffi.new("char[]", len(text) + 1)
    return bytes(ffi.buffer(out, lib.notify_filter(text, len(text), out))[:])


def test_notify() -> None:
    assert notify(b"READY=1\nMAINPID=1\nSTATUS=all is well\nFDSTORE=1\nWATCHDOG=1\n") == (
        b"READY=1\nSTATUS=all is well\nWATCHDOG=1"
    )
    assert notify(b"MAINPID=1") == b"" == notify(b"READY=10\nREADY")
    assert notify(b"EXTEND_TIMEOUT_USEC=5") == b"EXTEND_TIMEOUT_USEC=5"


@given(st.binary(max_size=200))
def test_notify_never_passes_what_is_not_listed(text: bytes) -> None:
    for line in notify(text).split(b"\n"):
        assert line == b"" or line.startswith(
            (
                b"READY=1",
                b"RELOADING=1",
                b"STOPPING=1",
                b"WATCHDOG=",
                b"STATUS=",
                b"ERRNO=",
                b"BUSERROR=",
                b"MONO",
                b"EXT",
            )
        )


@given(st.binary(max_size=100))
def test_journal_field(value: bytes) -> None:
    out = ffi.new("char[]", 256)
    at = ffi.new("size_t *")
    lib.journal_field(out, 256, at, b"KEY", value, len(value))
    expected = b"KEY\n" + struct.pack("<Q", len(value)) + value if b"\n" in value else b"KEY=" + value
    assert ffi.buffer(out, at[0])[:] == expected + b"\n"


def test_a_field_that_does_not_fit_spoils_the_datagram() -> None:
    out = ffi.new("char[]", 20)
    at = ffi.new("size_t *")
    lib.journal_field(out, 20, at, b"KEY", b"x" * 20, 20)
    lib.journal_field(out, 20, at, b"K", b"x", 1)
    assert at[0] == 2**64 - 1


def test_journal_priority() -> None:
    assert [lib.journal_priority(text, len(text)) for text in (b"<3>x", b"<8>x", b"<3", b"", b"x<3>")] == [
        3,
        -1,
        -1,
        -1,
        -1,
    ]


def cgroup(text: bytes, controller: bytes) -> bytes:
    out = ffi.new("char[]", 64)
    return bytes(ffi.buffer(out, lib.cgroup_path(text, len(text), controller, out, 64))[:])


def test_cgroup_path() -> None:
    hybrid = b"12:cpu,memory:/a/b\n3:name=systemd:/s\n0::/unified\n"
    assert cgroup(hybrid, b"") == b"/unified"
    assert cgroup(hybrid, b"memory") == b"/a/b"
    assert cgroup(hybrid, b"mem") == b""
    assert cgroup(b"0::/" + b"x" * 100, b"") == b""


def test_keyed_value() -> None:
    text = b"low 0\noom 3\noom_kill 12\n"
    assert lib.keyed_value(text, len(text), b"oom") == 3
    assert lib.keyed_value(text, len(text), b"oom_kill") == 12
    assert lib.keyed_value(text, len(text), b"max") == -1
    for number in (2**63 - 1, 2**63, 10**30):
        text = b"max %d\n" % number
        assert (2**63 - 1) // 10 * 10 <= lib.keyed_value(text, len(text), b"max") <= 2**63 - 1


def test_syslog_is_written_as_libc_writes_it() -> None:
    when = ffi.new("struct tm *")
    when.tm_mon, when.tm_mday, when.tm_hour, when.tm_min, when.tm_sec = 10, 9, 1, 2, 3
    out = ffi.new("char[]", 100)
    size = lib.syslog_line(out, 100, 8 | 3, when, b"0123456789abcdef" * 4, b"error", b"text")
    assert ffi.buffer(out, size)[:] == b"<11>Nov  9 01:02:03 conmon: conmon 0123456789abcdef0123 <error>: text"
    size = lib.syslog_line(out, 100, 8 | 7, when, b"", b"ndebug", b"x" * 200)
    assert size == 99 and ffi.string(out).endswith(b" <ndebug>: " + b"x" * 53)
