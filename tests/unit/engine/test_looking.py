"""The pure parts of cp, top and port."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from pypod.engine import copytar, copytree, cp, ports_view, top
from pypod.engine.copytree import Ids
from pypod.errors import BadArchive, PypodError, UsageError


@pytest.mark.parametrize(
    ("text", "container", "path"),
    [
        ("c:/a", "c", "/a"),
        ("c:a:b", "c", "a:b"),
        ("/a:b", "", "/a:b"),
        ("./a:b", "", "./a:b"),
        ("../a:b", "", "../a:b"),
        ("a", "", "a"),
        ("-", "", "-"),
        (":x", "", ":x"),
        ("c:", "c", ""),
    ],
)
def test_cp_arguments(text: str, container: str, path: str) -> None:
    assert cp.parse(text) == cp.Place(container=container, path=path)


def test_top_descriptors() -> None:
    assert top.descriptors([]) == list(top.DEFAULT)
    assert top.descriptors(["pid,user", "%C"]) == ["pid", "user", "pcpu"]
    assert top.descriptors(["pid", "aux"]) is None


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (999, "999ns"),
        (1_500, "1.5µs"),
        (30_000_000, "30ms"),
        (1_000_000_000, "1s"),
        (2_445_621_128, "2.445621128s"),
        (61_000_000_000, "1m1s"),
        (3_732_497_061_672, "1h2m12.497061672s"),
    ],
)
def test_durations_as_go_writes_them(nanoseconds: int, text: str) -> None:
    assert top.go_duration(nanoseconds) == text


def test_terminals() -> None:
    assert [top.terminal(os.makedev(*pair)) for pair in ((0, 0), (136, 5), (137, 1), (4, 2), (4, 65))] == [
        "?",
        "pts/5",
        "pts/257",
        "tty2",
        "ttyS1",
    ]


def test_top_reads_this_process() -> None:
    found = top.read(os.getpid())
    assert found is not None
    assert found.pids[0] == os.getpid() or found.pids[-1] == os.getpid()
    assert "python" in found.args or "pytest" in found.args
    assert top.read(2**22 + 1) is None


def test_ports_of_port() -> None:
    assert ports_view.parse("80") == (80, "tcp")
    assert ports_view.parse("53/udp") == (53, "udp")
    for text in ("", "x", "0", "65536", "80/", "80/icmp"):
        with pytest.raises(UsageError):
            ports_view.parse(text)


# Trees and tars.


def copy(source: Path, target: Path, name: str = "t", **options: object) -> None:
    parent = os.open(source.parent, os.O_RDONLY)
    directory = os.open(target, os.O_PATH)
    try:
        values: dict[str, object] = {"resolve": copytree.STRICT, "ids": Ids(), "owner": None} | options
        writer = copytree.Writer(directory, "", **values)  # type: ignore[arg-type]
        writer.put_all(copytree.read_tree(parent, source.name, Ids()), name)
    finally:
        os.close(parent)
        os.close(directory)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "sub").mkdir(parents=True)
    (root / "file").write_bytes(b"data" * 1000)
    (root / "file").chmod(0o640)
    os.link(root / "file", root / "sub" / "hard")
    os.symlink("../file", root / "sub" / "soft")
    os.mkfifo(root / "fifo")
    with open(root / "sparse", "wb") as file:
        file.seek(1 << 30)
        file.write(b"end")
    os.utime(root / "sub", ns=(10**18, 10**18))
    return root


def same(one: Path, other: Path) -> None:
    def listing(root: Path) -> list[tuple[object, ...]]:
        found = []
        for path in sorted(root.rglob("*")):
            info = path.lstat()
            link = os.readlink(path) if path.is_symlink() else ""
            found.append((path.relative_to(root), info.st_mode, info.st_mtime_ns, link, info.st_nlink))
        return found

    assert listing(one) == listing(other)
    assert (one / "file").read_bytes() == (other / "file").read_bytes()


def test_a_tree_is_copied_with_links_times_and_holes(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    copy(tree, target)
    same(tree, target / "t")
    assert (target / "t" / "sparse").stat().st_size == (1 << 30) + 3
    assert (target / "t" / "sparse").stat().st_blocks < 1000
    assert (target / "t" / "file").stat().st_ino == (target / "t" / "sub" / "hard").stat().st_ino


def test_a_tree_through_a_tar(tree: Path, tmp_path: Path) -> None:
    (tree / "sparse").unlink()
    target = tmp_path / "target"
    target.mkdir()
    parent = os.open(tree.parent, os.O_RDONLY)
    stream = io.BytesIO()
    copytar.write(copytree.read_tree(parent, tree.name, Ids()), stream, "t")
    os.close(parent)
    stream.seek(0)
    assert "t/sub/soft" in tarfile.open(fileobj=io.BytesIO(stream.getvalue())).getnames()
    directory = os.open(target, os.O_PATH)
    writer = copytree.Writer(directory, "", resolve=copytree.STRICT, ids=Ids(), owner=None)
    writer.put_all(copytar.read(stream), "")
    os.close(directory)
    for path in (tree, tree / "sub", target / "t", target / "t" / "sub"):
        os.utime(path, ns=(10**18, 10**18))
    assert sorted(path.name for path in (target / "t").rglob("*")) == sorted(path.name for path in tree.rglob("*"))
    assert (target / "t" / "file").stat().st_mode == (tree / "file").stat().st_mode
    assert (target / "t" / "file").read_bytes() == (tree / "file").read_bytes()


def archive(*entries: tuple[str, bytes, str]) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind, link in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            if kind == tarfile.REGTYPE:
                info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
    stream.seek(0)
    return stream


def extract(stream: io.BytesIO, target: Path, resolve: int = copytree.STRICT) -> None:
    directory = os.open(target, os.O_PATH)
    try:
        copytree.Writer(directory, "", resolve=resolve, ids=Ids(), owner=None).put_all(copytar.read(stream), "")
    finally:
        os.close(directory)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/../x"])
def test_names_that_climb_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "t").mkdir()
    with pytest.raises(BadArchive, match="leads out"):
        extract(archive((name, tarfile.REGTYPE, "")), tmp_path / "t")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("resolve", [copytree.STRICT, copytree.IN_ROOT])
@pytest.mark.parametrize("link", ["..", "/", "../outside"])
def test_a_link_does_not_lead_out(tmp_path: Path, link: str, resolve: int) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "outside").mkdir()
    try:
        extract(archive(("l", tarfile.SYMTYPE, link), ("l/x", tarfile.REGTYPE, "")), tmp_path / "t", resolve)
    except PypodError:
        pass
    assert not (tmp_path / "x").exists()
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_hard_link_out_of_the_archive(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "secret").write_text("s")
    with pytest.raises(PypodError):
        extract(archive(("l", tarfile.LNKTYPE, "../secret")), tmp_path / "t")
    with pytest.raises(PypodError):
        extract(archive(("l", tarfile.LNKTYPE, str(tmp_path / "secret"))), tmp_path / "t")


def test_what_an_earlier_copy_left_does_not_divert_the_next(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "t").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "t" / "d")
    source = tmp_path / "s" / "d"
    source.mkdir(parents=True)
    (source / "f").write_text("x")
    with pytest.raises(PypodError):
        copy(tmp_path / "s", tmp_path, "t")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_directories_and_files_replace_each_other_only_if_asked_to(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "x").mkdir()
    (tmp_path / "x").write_text("file")
    with pytest.raises(PypodError, match="cannot overwrite directory"):
        copy(tmp_path / "x", tmp_path / "t", "x")
    copy(tmp_path / "x", tmp_path / "t", "x", overwrite=True)
    assert (tmp_path / "t" / "x").read_text() == "file"


def test_a_truncated_archive(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    whole = archive(("a", tarfile.REGTYPE, "")).getvalue()
    with pytest.raises(PypodError):
        extract(io.BytesIO(whole[:514]), tmp_path / "t")
    with pytest.raises(BadArchive):
        extract(io.BytesIO(b"junk" * 200), tmp_path / "t")


def test_ids_through_a_map() -> None:
    ids = Ids(uid_map=[[0, 1, 1000], [1000, 0, 1]], gid_map=[[0, 100, 10]])
    assert ids.outside(1000, 5) == (0, 105)
    assert ids.inside(0, 105) == (1000, 5)
    assert ids.inside(5000, 5) == (65534, 65534)
    with pytest.raises(PypodError):
        ids.outside(2000, 0)
