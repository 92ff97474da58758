"""The tar reader against Python's tarfile, and against bytes that nobody should write."""

from __future__ import annotations

import io
import tarfile

import pytest
from archives import entry, pack
from hypothesis import given, settings
from hypothesis import strategies as st

from pypod.base import text
from pypod.errors import BadArchive
from storage import stream, tar


def read(data: bytes, chunk: int = 1 << 16) -> tuple[list[tar.Entry], list[bytes]]:
    """All entries, and their payloads."""
    pieces = (data[place : place + chunk] for place in range(0, len(data), chunk))
    reader = tar.Reader(stream.Buffer(pieces))
    entries, payloads = [], []
    for item in reader:
        payloads.append(b"".join(bytes(piece) for piece in reader.payload()))
        entries.append(item)
    return entries, payloads


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=120).filter(
    lambda text: text.strip("/.") and not text.endswith("/")
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            names,
            st.binary(max_size=1500),
            st.integers(0, 0o7777),
            st.integers(0, 1 << 31),
            st.integers(0, 1 << 31),
            st.integers(0, 1 << 34).map(lambda value: value / 8),
        ),
        max_size=6,
    ),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(100, 2000),
)
def test_what_tarfile_writes(members: list[tuple], form: int, chunk: int) -> None:
    made = []
    for name, content, mode, uid, gid, mtime in members:
        made.append((entry(name, mode=mode, uid=uid, gid=gid, mtime=mtime), content))
    data = pack(*made, form=form)
    entries, payloads = read(data, chunk)
    assert [item.name.decode() for item in entries] == [info.name for info, _ in made]
    assert payloads == [content for _, content in made]
    for item, (info, content) in zip(entries, made, strict=True):
        assert (item.mode, item.uid, item.gid, item.size) == (info.mode, info.uid, info.gid, len(content))
        wanted = info.mtime if form == tarfile.PAX_FORMAT else int(info.mtime)
        assert abs(item.mtime / 1e9 - wanted) < 1e-5


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=1500), st.integers(0, 1023), st.binary(min_size=1, max_size=40))
def test_broken_bytes_are_a_bad_archive_or_read(noise: bytes, place: int, patch: bytes) -> None:
    data = bytearray(pack((entry("some/file"), b"content"), entry("link", tarfile.SYMTYPE, linkname="x")) + noise)
    data[place : place + len(patch)] = patch
    try:
        read(bytes(data))
    except BadArchive:
        pass


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 513, 1000, 1024, 1500])
def test_an_archive_that_is_cut_off(cut: int) -> None:
    data = pack((entry("a"), b"x" * 700), form=tarfile.USTAR_FORMAT)[:cut]
    if cut == 0:
        assert read(data)[0] == []
        return
    if cut == 1500:  # only padding is missing: the file is whole
        assert len(read(data)[0]) == 1
        return
    with pytest.raises(BadArchive):
        read(data)


def test_an_archive_without_end_blocks() -> None:
    data = pack((entry("a"), b"x" * 512), form=tarfile.USTAR_FORMAT)[:1024]
    entries, payloads = read(data)
    assert (len(entries), payloads) == (1, [b"x" * 512])


def test_links_devices_and_xattrs() -> None:
    data = pack(
        entry("d", tarfile.DIRTYPE, 0o1777),
        entry("s", tarfile.SYMTYPE, linkname="/etc/" + "x" * 200),
        entry("h", tarfile.LNKTYPE, linkname="d"),
        entry("c", tarfile.CHRTYPE, devmajor=5, devminor=1),
        (entry("x", pax_headers={"SCHILY.xattr.user.a": "b=c\nd"}), b"1"),
    )
    entries, _ = read(data)
    assert [item.kind for item in entries] == [tar.DIRECTORY, tar.SYMLINK, tar.LINK, tar.CHARACTER, tar.REGULAR]
    assert entries[1].target == b"/etc/" + b"x" * 200
    assert (entries[3].major, entries[3].minor) == (5, 1)
    assert entries[4].xattrs == {b"user.a": b"b=c\nd"}


def gnu_sparse(size: int, pieces: list[tuple[int, bytes]], stored: int | None = None) -> bytes:
    """An entry in GNU's old sparse format, which tarfile reads but does not write."""
    content = b"".join(piece for _, piece in pieces)
    header = bytearray(entry("sparse", size=len(content) if stored is None else stored).tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    for number, (offset, piece) in enumerate(pieces):
        header[386 + 24 * number : 410 + 24 * number] = b"%011o\0%011o\0" % (offset, len(piece))
    header[483:495] = b"%011o\0" % size if size < 8 << 30 else b"\x80" + size.to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content + bytes(-len(content) % 512) + bytes(1024)


def test_gnu_sparse() -> None:
    data = gnu_sparse(10_000, [(0, b"abc"), (5000, b"defg"), (10_000, b"")])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:  # the bytes above are what they claim to be
        assert archive.getmembers()[0].size == 10_000
    entries, payloads = read(data)
    assert (entries[0].size, entries[0].stored) == (10_000, 7)
    assert entries[0].sparse == [(0, 3), (5000, 4), (10_000, 0)]
    assert payloads == [b"abcdefg"]


@pytest.mark.parametrize(
    "pieces, size",
    [([(5, b"abc"), (2, b"d")], 100), ([(0, b"abc")], 2), ([(99, b"abc")], 100)],
    ids=["backwards", "longer than the file", "beyond its end"],
)
def test_sparse_maps_that_lie(pieces: list[tuple[int, bytes]], size: int) -> None:
    with pytest.raises(BadArchive, match="sparse map"):
        read(gnu_sparse(size, pieces))


def test_pax_sparse() -> None:
    body = b"2\n0\n3\n4096\n2\n".ljust(512, b"\0") + b"abc" + b"de"
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "s",
        "GNU.sparse.realsize": "5000",
    }
    data = pack((entry("GNUSparseFile.1/s", pax_headers=headers), body))
    entries, payloads = read(data)
    assert (entries[0].name, entries[0].size, entries[0].sparse) == (b"s", 5000, [(0, 3), (4096, 2)])
    assert payloads == [b"abcde"]


def header(**fields: bytes) -> bytes:
    """A header with some raw fields, its checksum right."""
    places = {"size": (124, 136), "uid": (108, 116), "kind": (156, 157), "name": (0, 100), "mode": (100, 108)}
    block = bytearray(entry("a", uid=0, gid=0).tobuf(tarfile.USTAR_FORMAT))
    for key, value in fields.items():
        start, end = places[key]
        block[start:end] = value.ljust(end - start, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "block, match",
    [
        (header(size=b"\xff" * 12), "negative"),
        (header(size=b"notanumber"), "not a number"),
        (header(uid=b"\x80\0\0\x7f\xff\xff\xff\xff"), "too big"),
        (header(kind=b"Z"), "unknown tar entry type"),
        (header(name=b""), "no name"),
        (header(kind=b"L", size=b"77777777777"), "a name (of|has)"),
        (header(kind=b"x", size=b"77777777777"), "pax header (of|has)"),
        (header(size=b"77777777777"), "middle of a file"),
        (b"plain text, not an archive".ljust(512), "not an archive"),
    ],
)
def test_hostile_headers(block: bytes, match: str) -> None:
    with pytest.raises(BadArchive, match=match):
        read(block + b"\0" * 512)


@pytest.mark.parametrize(
    "data", [b"5 a=b\n", b"99 a=b\n", b"x a=b\n", b"6 abc\n", b"9 path\n", b"0 a=b\n", b"-1 a=b\n"]
)
def test_broken_pax_records(data: bytes) -> None:
    block = header(kind=b"x", size=b"%011o" % len(data))
    with pytest.raises(BadArchive):
        read(block + data.ljust(512, b"\0") + header() + bytes(1024))


def test_names_are_shown_on_one_line() -> None:
    assert text.show(b"a\nb\x1b[31m\xff") == "a\\nb\\x1b[31m\\xff"
