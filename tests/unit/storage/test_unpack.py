"""The unpacker against a slow and simple model of what a list of entries means, in pieces of any length."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from archives import ME, digest, directory, entry, pack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_tar import gnu_sparse

from pypod.errors import BadArchive
from storage import extract, tarsplit
from storage import pack as packing
from storage._native import ffi, lib
from storage.commit import Commit
from storage.progress import Progress
from storage.store import Store


def unpack(data: bytes, base: Path, *chunks: int) -> Path:
    """The tree that ``data`` becomes when it comes in pieces of these lengths, one after the other, over again."""
    root = base / "diff"
    root.mkdir(parents=True)
    lengths = chunks or (1 << 18,)

    def pieces() -> list[bytes]:
        made, place, turn = [], 0, 0
        while place < len(data):
            made.append(data[place : place + lengths[turn % len(lengths)]])
            place += len(made[-1])
            turn += 1
        return made

    extract.Extractor(
        str(root), tar_split=str(base / "split"), shadow=str(base / "shadow"), in_user_namespace=os.geteuid() != 0
    ).run(pieces())
    assert b"".join(tarsplit.rebuild(str(base / "split"), [str(root)])) == data
    return root


def seen(root: Path) -> dict[str, tuple]:
    """Every path with its kind, mode, time and content, and the first of the paths that are the same file."""
    first: dict[int, str] = {}
    found = {}
    for path in sorted(root.rglob("*")):
        name, status = str(path.relative_to(root)), path.lstat()
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        kind, mode = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode)
        mtime = status.st_mtime_ns
        if kind == stat.S_IFLNK:
            mode = 0
        same = first.setdefault(status.st_ino, name)
        found[name] = (kind, mode, mtime, content, same)
    return found


KINDS = {
    "f": tarfile.REGTYPE,
    "d": tarfile.DIRTYPE,
    "h": tarfile.LNKTYPE,
    "s": tarfile.SYMTYPE,
    "p": tarfile.FIFOTYPE,
}


class Refused(Exception):
    """The model's BadArchive."""


class Model:
    """What the entries mean: a file is an object, a directory a dict. Nothing leads through a symbolic link here."""

    def __init__(self) -> None:
        self.root: dict = {}
        self.meta: dict[int, tuple[int, int]] = {}  # of directories

    def walk(self, parts: list[str], make: bool) -> dict:
        at = self.root
        for part in parts:
            if part not in at and make:
                at[part] = {}
                self.meta[id(at[part])] = (0o755, -1)
            at = at.get(part)
            if not isinstance(at, dict):
                raise Refused
        return at

    def add(self, name: str, kind: str, content: bytes, target: str, mode: int, mtime: int) -> None:
        parts = [part for part in name.split("/") if part != "."]
        if not parts:
            return
        parent, base = self.walk(parts[:-1], True), parts[-1]
        there = parent.get(base)
        if kind == "d":
            if not isinstance(there, dict):
                parent[base] = {}
            self.meta[id(parent[base])] = (mode, mtime)
            return
        if kind == "h":
            aim = [part for part in target.split("/") if part != "."]
            if not aim:
                raise Refused
            if aim == parts and there is not None and not isinstance(there, dict):
                return
            if aim != parts:
                parent.pop(base, None)
            source = self.walk(aim[:-1], False).get(aim[-1])
            if source is None or isinstance(source, dict):
                raise Refused
            parent[base] = source
            return
        shape = {"f": stat.S_IFREG, "s": stat.S_IFLNK, "p": stat.S_IFIFO}[kind]
        content = target.encode() if kind == "s" else content if kind == "f" else b""
        parent[base] = (shape, 0 if kind == "s" else mode, mtime, content, object())

    def seen(self) -> dict[str, tuple]:
        found: dict[str, tuple] = {}
        first: dict[int, str] = {}

        def look(at: dict, above: str) -> None:
            for name, item in at.items():
                path = above + name
                if isinstance(item, dict):
                    found[path] = (stat.S_IFDIR, *self.meta[id(item)], b"", path)
                    look(item, path + "/")
                else:
                    found[path] = item

        look(self.root, "")
        # Paths in the order in which Path.rglob's are sorted.
        for path in sorted(found, key=lambda text: text.split("/")):
            if found[path][0] != stat.S_IFDIR:
                found[path] = (*found[path][:4], first.setdefault(id(found[path][4]), path))
        return found


paths = st.lists(st.sampled_from(["a", "b", "c", "longer-name", "."]), min_size=1, max_size=3).map("/".join)
members = st.tuples(
    paths,
    st.sampled_from("fffddhhsp"),
    st.binary(max_size=1200),
    paths,
    st.sampled_from([0o755, 0o700, 0o1777, 0o640]),
    st.integers(0, 1 << 31).map(lambda value: value * 1_000_000_000),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(members, max_size=12),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]),
    st.lists(st.integers(1, 2000), min_size=1, max_size=5),
)
def test_what_a_list_of_entries_means(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple], form: int, chunks: list[int]
) -> None:
    model, refused = Model(), False
    archive = []
    for name, kind, content, target, mode, mtime in made:
        if kind == "s":
            name = f"{name}-link"  # links are nobody's parents
        archive.append(
            (entry(name, KINDS[kind], mode, linkname=target, mtime=mtime // 10**9), content if kind == "f" else b"")
        )
        try:
            if not refused:
                model.add(name, kind, content, target, mode, mtime)
        except Refused:
            refused = True
    data, base = pack(*archive, form=form), tmp_path_factory.mktemp("u")
    if refused:
        with pytest.raises(BadArchive):
            unpack(data, base, *chunks)
        return
    found = seen(unpack(data, base, *chunks))
    wanted = model.seen()
    assert found.keys() == wanted.keys()
    for path, (kind, mode, mtime, content, same) in wanted.items():
        if mtime < 0:  # nobody has said when it was made
            mtime = found[path][2]
        assert found[path] == (kind, mode, mtime, content, same), path


def pax_header(*records: tuple[str, str]) -> bytes:
    """A pax header with records in this order, a key more than once if need be, which tarfile does not write."""
    body = b""
    for key, value in records:
        rest = f" {key}={value}\n".encode()
        size = len(rest) + 1
        while len(str(size)) + len(rest) != size:
            size += 1
        body += str(size).encode() + rest
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)


def file_of(data: bytes, name: str = "s") -> bytes:
    return pack((entry(name), data), form=tarfile.USTAR_FORMAT)


def gnu_sparse_extended() -> bytes:
    """A map that needs two more blocks."""
    pieces = [(number * 100, 1) for number in range(30)]
    header = bytearray(entry("s", size=30).tobuf(tarfile.GNU_FORMAT))
    more = [bytearray(512), bytearray(512)]
    for place, (offset, length) in enumerate(pieces):
        block, start = (header, 386) if place < 4 else (more[(place - 4) // 21], -96)
        at = start + 24 * (place if place < 4 else (place - 4) % 21 + 4)
        block[at : at + 24] = b"%011o\0%011o\0" % (offset, length)
    header[156:157], header[482], more[0][504] = b"S", 1, 1
    header[483:495] = b"%011o\0" % 5000
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(more[0]) + bytes(more[1]) + b"q" * 30 + bytes(482 + 1024)


SPARSE = {
    "gnu": (gnu_sparse(5000, [(0, b"abc"), (4096, b"de")]), "sparse", {0: b"abc", 4096: b"de"}),
    "gnu, extended": (gnu_sparse_extended(), "s", {number * 100: b"q" for number in range(30)}),
    "pax 0.0": (
        pax_header(
            *(("GNU.sparse." + key, value) for key, value in [("size", "5000"), ("numblocks", "2")]),
            *(("GNU.sparse." + key, value) for key, value in [("offset", "0"), ("numbytes", "3")]),
            *(("GNU.sparse." + key, value) for key, value in [("offset", "4096"), ("numbytes", "2")]),
        )
        + file_of(b"abcde"),
        "s",
        {0: b"abc", 4096: b"de"},
    ),
    "pax 0.1": (
        pax_header(("GNU.sparse.size", "5000"), ("GNU.sparse.map", "0,3,4096,2")) + file_of(b"abcde"),
        "s",
        {0: b"abc", 4096: b"de"},
    ),
    "pax 1.0": (
        pax_header(
            ("GNU.sparse.major", "1"),
            ("GNU.sparse.minor", "0"),
            ("GNU.sparse.name", "s"),
            ("GNU.sparse.realsize", "5000"),
        )
        + file_of(b"2\n0\n3\n4096\n2\n".ljust(512, b"\0") + b"abcde", "GNUSparseFile.1/s"),
        "s",
        {0: b"abc", 4096: b"de"},
    ),
    "only a hole": (gnu_sparse(5000, []), "sparse", {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_files_of_every_kind(tmp_path: Path, kind: str) -> None:
    data, name, pieces = SPARSE[kind]
    wanted = bytearray(5000)
    for offset, piece in pieces.items():
        wanted[offset : offset + len(piece)] = piece
    for chunks in ([1], [511], [512], [513, 7], [1 << 18]):
        root = unpack(data, tmp_path / str(chunks[0]), *chunks)
        assert (root / name).read_bytes() == wanted
        assert [item.name for item in root.iterdir()] == [name]


def test_cut_off_at_every_place(tmp_path: Path) -> None:
    """Whatever is missing: an error, or (at the end of an entry) a shorter archive."""
    headers = {"SCHILY.xattr.user.a": "b"}
    parts = [
        pack((entry("first", pax_headers=headers), b"x" * 700)),
        SPARSE["pax 1.0"][0],
        gnu_sparse(5000, [(0, b"abc"), (4096, b"de")]),
    ]
    data = b""
    for part in parts:
        part = part.rstrip(b"\0")
        data += part + bytes(-len(part) % 512)
    good = 0
    for end in range(0, len(data), 3):
        base = tmp_path / str(end)
        try:
            unpack(data[:end], base, 600)
            good += 1
        except BadArchive as error:
            assert "middle of" in error.message or "extended header" in error.message
    assert 1 < good < len(data) // 6


@pytest.mark.parametrize("size", [*range(0, 150, 7), 511, 512, 513, 1000])
def test_the_checksum(size: int) -> None:
    data, start = os.urandom(size), int.from_bytes(os.urandom(8), "big")
    wanted = start ^ (1 << 64) - 1
    for byte in data:
        wanted ^= byte
        for _ in range(8):
            wanted = (wanted >> 1) ^ (0xD800000000000000 if wanted & 1 else 0)
    wanted ^= (1 << 64) - 1
    assert tarsplit.crc64(data, start) == wanted
    assert lib.st_crc64_portable(start, data, size) == wanted


def test_names_in_records(tmp_path: Path) -> None:
    names = [
        b'"',
        b"\\",
        b"\n\t\x01\x7f",
        "é€𝄞".encode(),
        b"\xff",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xf4\x90\x80\x80",
        b"<&>",
    ]
    writer = tarsplit.Writer(str(tmp_path / "s"))
    for name in names:
        writer.raw(name)
        writer.file(name, 3, 1 << 63)
    writer.close()
    found = list(tarsplit.records(str(tmp_path / "s")))
    assert [tarsplit.name_of(item) for item in found[1::2]] == names
    assert [item["position"] for item in found] == list(range(2 * len(names)))
    assert all(item["payload"] == "gAAAAAAAAAA=" and item["size"] == 3 for item in found[1::2])


def test_a_directory_replaced_again_and_again(tmp_path: Path) -> None:
    parts = []
    for number in range(300):
        parts += [directory("d"), (entry(f"d/{number}"), b"x" * number), (entry("d"), b"%d" % number)]
    root = unpack(pack(*parts), tmp_path)
    assert (root / "d").read_bytes() == b"299"


def test_dates_far_away(tmp_path: Path) -> None:
    far = {"1678": -9_200_000_000, "1677": -9_300_000_000, "2200": 7_258_118_400, "2242": 8_589_934_591}
    far |= {"2446": 15_032_385_535, "beyond": 999_999_999_999}
    root = unpack(pack(*(entry(name, mtime=time) for name, time in far.items()), directory("d")), tmp_path)
    for name, time in far.items():
        limit = max(-9_200_000_000, min(time, 9_200_000_000))
        os.utime(tmp_path, (0, limit))  # what this file system makes of it
        assert (root / name).stat().st_mtime == tmp_path.stat().st_mtime, name


def test_a_device_in_a_user_namespace_replaces_a_file_and_is_not_made(tmp_path: Path) -> None:
    data = pack((entry("f"), b"abc"), entry("f", tarfile.CHRTYPE, devmajor=1, devminor=3))
    (tmp_path / "diff").mkdir()
    extract.Extractor(
        str(tmp_path / "diff"),
        tar_split=str(tmp_path / "split"),
        shadow=str(tmp_path / "shadow"),
        in_user_namespace=True,
    ).run([data])
    assert os.listdir(tmp_path / "diff") == []
    assert b"".join(tarsplit.rebuild(str(tmp_path / "split"), [str(tmp_path / "diff")])) == data


def test_an_opaque_directory_of_a_whole_tree_loses_all_that_is_not_of_the_layer(tmp_path: Path) -> None:
    """Whatever came before the mark: files, sparse files, directories that the layer lists or implies."""
    root = tmp_path / "diff"
    for path in ("d/old", "d/listed/old", "d/implied/deep/old", "d/gone/old", "kept/old"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    sparse = gnu_sparse(1 << 20, [(0, b"x" * 512)])[:1024]
    data = (
        pack(directory("d/listed"), entry("d/implied/deep/new"), entry("d/new"))[: 3 * 512]
        + sparse
        + pack(entry("d/.wh..wh..opq"), entry(".wh..wh..opq"))
    )
    extract.Extractor(
        str(root),
        tar_split=str(tmp_path / "split"),
        shadow=str(tmp_path / "shadow"),
        in_user_namespace=os.geteuid() != 0,
        whiteouts="apply",
    ).run([data])
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == [
        "d", "d/implied", "d/implied/deep", "d/implied/deep/new", "d/listed", "d/new", "sparse",
    ]  # fmt: skip


def test_a_sparse_file_needs_no_room_for_its_holes(tmp_path: Path) -> None:
    size = 1 << 38
    if os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize > size:
        pytest.skip("so much is free here")
    root = unpack(gnu_sparse(size, [(0, b"x" * 512)]), tmp_path)
    assert (root / "sparse").stat().st_size == size


def test_an_attribute_that_the_kernel_refuses_is_named_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="f: one of its extended attributes has no valid value"):
        unpack(pack(entry("f", pax_headers={"SCHILY.xattr.security.capability": "x"})), tmp_path)


def test_files_named_by_way_of_a_link_that_leads_elsewhere_in_the_end(tmp_path: Path) -> None:
    """Their records name where they are, once each, so that the archive comes out again."""
    data = pack(
        directory("a"),
        entry("l", tarfile.SYMTYPE, linkname="/a"),
        (entry("l/f"), b"one"),
        (entry("l/g"), b"two"),
        directory("l"),
        (entry("l/f"), b"three"),
    )
    root = unpack(data, tmp_path)
    assert (root / "a/f").read_bytes() == b"one" and (root / "l/f").read_bytes() == b"three"
    names = [tarsplit.name_of(item) for item in tarsplit.records(str(tmp_path / "split")) if item.get("size")]
    assert names == [b"a/f", b"a/g", b"l/f"]


@pytest.mark.skipif(os.geteuid() != 0, reason="whiteouts are device nodes")
def test_a_mark_below_what_is_hidden_already(tmp_path: Path) -> None:
    root = unpack(pack(entry(".wh.d"), (entry("d/.wh.f"), b"x"), entry("d/.wh.d2/.wh.g"), entry("d/.wh.f")), tmp_path)
    assert os.listdir(root) == ["d"] and stat.S_ISCHR((root / "d").stat().st_mode)
    with pytest.raises(BadArchive, match="d/f: Not a directory"):
        unpack(pack(entry(".wh.d"), entry("d/f")), tmp_path / "other")


def test_ids(tmp_path: Path) -> None:
    """More owners than a small table holds; those of what is left out don't count."""
    if os.geteuid():
        pytest.skip("only root gives files away")
    made = [(entry(str(uid), uid=uid, gid=uid * 7), b"") for uid in range(1000, 1100)]
    root = tmp_path / "d"
    root.mkdir()
    one = extract.Extractor(
        str(root), tar_split=str(tmp_path / "s"), shadow=str(tmp_path / "x"), in_user_namespace=False
    )
    try:
        one.feed(pack(*made))
        one.finish()
        assert one.uids == set(range(1000, 1100)) and one.gids == {uid * 7 for uid in range(1000, 1100)}
    finally:
        one.close()


class Heard(Progress):
    def __init__(self) -> None:
        self.events: list[tuple] = []
        self.bytes = 0

    def begin(self, key: str, what: str, total: int = -1) -> None:
        self.events.append(("begin", key, total))

    def advance(self, key: str, count: int) -> None:
        self.bytes += count

    def end(self, key: str, note: str = "") -> None:
        self.events.append(("end", key))


LARGE = pack((entry("big"), os.urandom(3 << 20)), *((entry(f"f{number}"), b"x" * number) for number in range(900)))


def test_a_layer_by_several_threads_says_how_far_it_is(store: Store) -> None:
    heard = Heard()
    with Commit(store) as commit:
        row = commit.add(io.BytesIO(LARGE).read, size=len(LARGE), progress=heard)
        assert row["diff-digest"] == digest(LARGE) == row["compressed-diff-digest"]
        assert heard.bytes == len(LARGE) == row["diff-size"]
        assert heard.events == [("begin", "layer 1", len(LARGE)), ("end", "layer 1")]
        assert row["uidset"] == [ME[0]]
    assert not list(Path(store.home).glob("tempdirs*"))


def test_of_two_errors_the_one_about_the_earlier_bytes_is_reported(store: Store) -> None:
    bad = bytearray(LARGE)
    bad[512 + (3 << 20) + 148] ^= 1  # in the checksum of the entry behind the big file
    file = io.BytesIO(bytes(bad))

    def read(count: int) -> bytes:
        if not (data := file.read(count)):
            raise BadArchive("cannot read the archive: it broke")
        return data

    with Commit(store) as commit, pytest.raises(BadArchive, match="wrong checksum"):
        commit.add(read)


@pytest.mark.parametrize("error", [KeyboardInterrupt, BadArchive("cannot read the archive: Input/output error")])
def test_an_interrupted_read_leaves_no_thread_and_no_file(store: Store, error: BaseException) -> None:
    import threading

    before = threading.active_count()
    file = io.BytesIO(LARGE)

    def read(count: int) -> bytes:
        if file.tell() > 2 << 20:
            raise error
        return file.read(count)

    with pytest.raises((KeyboardInterrupt, BadArchive)), Commit(store) as commit:
        commit.add(read)
    assert threading.active_count() == before
    assert not store.layers() and not list(Path(store.home).glob("tempdirs*"))
    assert hashlib.sha256(LARGE).hexdigest() not in str(list(Path(store.home).iterdir()))


def test_text_waits_to_be_taken() -> None:
    """However many records one piece makes, the text does not grow without end."""
    split = ffi.gc(lib.st_split_new(), lib.st_split_free)
    size = ffi.new("size_t *")
    assert lib.st_split_raw(split, bytes((1 << 20) + 1), (1 << 20) + 1) < 0
    assert lib.st_split_file(split, b"x", 1, 0, 0) == 0
    lib.st_split_text(split, size)
    assert 0 < size[0] < 100


def test_a_mask_keeps_what_files_should_have(tmp_path: Path) -> None:
    """And what the archive implies takes after the layer below; packed again everything is as it was."""
    archive = tmp_path / "in.tar"
    with tarfile.open(archive, "w") as out:
        for name, kind, mode in (
            ("d", tarfile.DIRTYPE, 0o1777),
            ("d/f", tarfile.REGTYPE, 0o4711),
            ("pipe", tarfile.FIFOTYPE, 0o600),
            ("char", tarfile.CHRTYPE, 0o620),
            ("implied/sub/f", tarfile.REGTYPE, 0o600),
            ("other/f", tarfile.REGTYPE, 0o600),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid, info.devmajor, info.devminor = kind, mode, 12345, 678, 5, 2
            out.addfile(info)
    lower, root = tmp_path / "lower", tmp_path / "root"
    (lower / "implied").mkdir(parents=True)
    os.setxattr(lower / "implied", "user.containers.override_stat", b"7:8:0750")
    root.mkdir()
    unpacker = extract.Extractor(
        str(root),
        lowers=[str(lower)],
        tar_split=str(tmp_path / "split"),
        shadow=str(tmp_path / "shadow"),
        in_user_namespace=True,
        mask=0o700,
    )
    unpacker.run([archive.read_bytes()])
    kept = {
        str(path.relative_to(root)): os.getxattr(path, "user.containers.override_stat").decode()
        for path in root.rglob("*")
    }
    assert kept == {
        "d": "12345:678:01777",
        "d/f": "12345:678:04711",
        "pipe": "12345:678:0600:pipe",
        "char": "12345:678:0620:char-5-2",
        "implied": "7:8:0750",
        "implied/sub": "0:0:0755",
        "implied/sub/f": "12345:678:0600",
        "other": "0:0:0755",
        "other/f": "12345:678:0600",
    }
    assert {path.stat().st_mode & 0o7777 for path in root.rglob("*")} == {0o700}
    assert b"".join(tarsplit.rebuild(str(tmp_path / "split"), [str(root)])) == archive.read_bytes()
    again = io.BytesIO()
    with packing.open_tree(str(root), lowers=[], fuse=True) as tree:
        again.write(b"".join(tree))
    again.seek(0)
    with tarfile.open(fileobj=again) as found, tarfile.open(archive) as original:
        for item in original:
            other = found.getmember(item.name)
            for field in ("type", "mode", "uid", "gid", "devmajor", "devminor"):
                assert getattr(other, field) == getattr(item, field) or field.startswith("dev"), (item.name, field)
        assert (found.getmember("char").devmajor, found.getmember("char").devminor) == (5, 2)
