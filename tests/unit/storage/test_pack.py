"""Directory trees as archives."""

from __future__ import annotations

import io
import os
import resource
import stat
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pypod.errors import StorageError
from storage import extract, overlay, pack, tarsplit

ROOT = os.geteuid() == 0
USERNS = overlay.in_user_namespace()
OPAQUE = "user.overlay.opaque" if USERNS else "trusted.overlay.opaque"
needs_root = pytest.mark.skipif(not ROOT, reason="whiteouts and device nodes")


def packed(path: Path, **options: object) -> bytes:
    with pack.open_tree(str(path), **options) as tree:  # type: ignore[arg-type]
        return b"".join(tree)


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


def names(data: bytes) -> list[str]:
    return list(members(data))


def contents(data: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def set_xattr(path: Path, key: str, value: bytes) -> None:
    try:
        os.setxattr(path, key, value)
    except OSError as error:
        pytest.skip(f"{key} cannot be set here: {error}")


def test_every_kind_of_file_with_all_that_it_has(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "d").mkdir(mode=0o755)
    (tree / "d/f").write_bytes(b"x" * 1000)
    (tree / "d/f").chmod(0o4751)
    os.utime(tree / "d/f", ns=(1, 1_234_567_890_123_456_789))
    (tree / "empty").touch()
    os.utime(tree / "empty", ns=(1, 1_700_000_000_000_000_000))
    os.link(tree / "d/f", tree / "hard")
    (tree / "soft").symlink_to("d/f")
    (tree / ("l" * 150)).symlink_to("t" * 150)
    os.mkfifo(tree / "pipe", 0o640)
    data = packed(tree)
    found = members(data)
    assert list(found) == ["d", "d/f", "empty", "hard", "l" * 150, "pipe", "soft"]
    assert found["d"].isdir() and found["pipe"].isfifo()
    assert (found["d/f"].mode, found["d/f"].size) == (0o4751, 1000)
    assert found["d/f"].pax_headers["mtime"] == "1234567890.123456789"
    assert found["empty"].pax_headers == {} and found["empty"].mtime == 1_700_000_000
    assert (found["hard"].type, found["hard"].linkname, found["hard"].size) == (tarfile.LNKTYPE, "d/f", 0)
    assert found["soft"].linkname == "d/f" and found["l" * 150].linkname == "t" * 150
    assert {(item.uid, item.gid, item.uname) for item in found.values()} == {(os.getuid(), os.getgid(), "")}
    assert contents(data, "d/f") == b"x" * 1000
    assert data == packed(tree)
    assert len(data) % 512 == 0 and data.endswith(bytes(1024))


@needs_root
def test_device_nodes_of_a_whole_tree(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "c", stat.S_IFCHR | 0o600, os.makedev(250, 70000))
        os.mknod(tmp_path / "b", stat.S_IFBLK | 0o600, os.makedev(7, 1))
    except PermissionError:
        pytest.skip("no device nodes here")
    found = members(packed(tmp_path))
    assert (found["c"].type, found["c"].devmajor, found["c"].devminor) == (tarfile.CHRTYPE, 250, 70000)
    assert (found["b"].type, found["b"].devmajor, found["b"].devminor) == (tarfile.BLKTYPE, 7, 1)


@pytest.mark.parametrize("length", [99, 100, 101, 155, 200, 255])
@pytest.mark.parametrize("depth", [0, 1, 2, 9])
def test_names_of_any_length(tmp_path: Path, length: int, depth: int) -> None:
    directory = tmp_path / "tree"
    name = "/".join(["d" * 60] * depth + ["n" * length])
    (directory / name).parent.mkdir(parents=True)
    (directory / name).write_bytes(b"found")
    assert contents(packed(directory), name) == b"found"


@pytest.mark.parametrize("name", ["é" * 30, "é" * 120, "caf\udce9", "\udce9" * 200, "new\nline", "a=b", " ", "\\"])
def test_names_of_any_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"found")
    (tmp_path / "target").symlink_to(name)
    data = packed(tmp_path)
    assert contents(data, name) == b"found"
    assert members(data)["target"].linkname == name


def test_names_come_in_the_order_of_their_bytes_and_trees_depth_first(tmp_path: Path) -> None:
    for name in ("b", "a-b", "a/z", "a/b/c", "a.b", "B", "é"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names(packed(tmp_path)) == ["B", "a", "a/b", "a/b/c", "a/z", "a-b", "a.b", "b", "é"]


def test_attributes(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.touch()
    for key, value in (("user.z", b"1"), ("user.a", b"\0\xff\n="), ("user.overlay.origin", b"x")):
        set_xattr(file, key, value)
    (tmp_path / "d").mkdir()
    set_xattr(tmp_path / "d", "user.dir", b"x" * 1000)
    data = packed(tmp_path)
    headers = members(data)["f"].pax_headers
    kept = [key for key in headers if key != "mtime"]
    assert kept == ["SCHILY.xattr.user.a", "SCHILY.xattr.user.z"]
    assert b"=SCHILY.xattr" not in data and b" SCHILY.xattr.user.a=\0\xff\n=\n" in data
    assert len(members(data)["d"].pax_headers["SCHILY.xattr.user.dir"]) == 1000


def test_an_attribute_that_no_archive_can_hold(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    set_xattr(tmp_path / "f", "user.a=b", b"1")
    with pytest.raises(StorageError, match=r"f: an archive cannot hold an attribute with = in its name"):
        packed(tmp_path)


@needs_root
def test_capabilities(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    value = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
    set_xattr(tmp_path / "f", "security.capability", value)
    assert b" SCHILY.xattr.security.capability=" + value + b"\n" in packed(tmp_path)
    if not USERNS:
        # One of a container's root, whose id is 100000 on disk.
        set_xattr(tmp_path / "f", "security.capability", struct.pack("<6I", 0x03000001, 1 << 10, 0, 0, 0, 100_000))
        os.chown(tmp_path / "f", 100_005, 100_007)
        map = [[0, 100_000, 1000]]
        set_xattr(tmp_path / "f", "security.capability", struct.pack("<6I", 0x03000001, 1 << 10, 0, 0, 0, 100_000))
        data = packed(tmp_path, uid_map=map, gid_map=map)
        assert b" SCHILY.xattr.security.capability=" + value + b"\n" in data
        assert (members(data)["f"].uid, members(data)["f"].gid) == (5, 7)
        with pytest.raises(
            StorageError, match=r"f: its owner 100005:100007 is not in the container's user namespace"
        ):
            packed(tmp_path, uid_map=[[0, 0, 1000]], gid_map=map)


def test_big_and_odd_numbers(tmp_path: Path) -> None:
    with open(tmp_path / "f", "wb") as file:
        file.truncate(9 << 30)
    os.utime(tmp_path / "f", ns=(0, -1_250_000_000))
    os.mkdir(tmp_path / "late")
    os.utime(tmp_path / "late", ns=(0, 1 << 62))
    with pack.open_tree(str(tmp_path)) as tree:
        start = tree.read(4096)
    assert b"=9663676416\n" in start and b"mtime=-1.25\n" in start
    if ROOT and not USERNS:
        (tmp_path / "f").unlink()
        os.chown(tmp_path / "late", 3_000_000_000, 2_097_152)
        found = members(packed(tmp_path))["late"]
        assert (found.uid, found.gid) == (3_000_000_000, 2_097_152)
        assert found.pax_headers["mtime"] == "4611686018.427387904"


def test_sockets_are_left_out(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        with pack.open_tree(str(tmp_path)) as tree:
            assert tree.read() == bytes(1024)
            assert tree.sockets == 1


def test_small_reads_give_the_same(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"f{number}").write_bytes(os.urandom(number * 100))
    with pack.open_tree(str(tmp_path)) as tree:
        pieces = list(iter(lambda: tree.read(7), b""))
    assert b"".join(pieces) == packed(tmp_path)
    assert {len(piece) for piece in pieces[:-1]} == {7}


def test_a_file_that_shrinks_and_one_that_grows(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 300_000)
    (tmp_path / "b").write_bytes(b"b" * 10)
    with pack.open_tree(str(tmp_path)) as tree:
        start = tree.read(100_000)
        os.truncate(tmp_path / "a", 150_000)
        (tmp_path / "b").unlink()
        data = start + b"".join(tree)
        assert tree.shrunk == 1
    assert names(data) == ["a"]
    assert contents(data, "a") == b"a" * 150_000 + bytes(150_000)
    with pack.open_tree(str(tmp_path)) as tree:
        start = tree.read(100_000)
        with open(tmp_path / "a", "ab") as file:
            file.write(b"more" * 1000)
        data = start + b"".join(tree)
        assert tree.shrunk == 0
    assert contents(data, "a") == b"a" * 150_000


def test_a_tree_deeper_than_descriptors_go(tmp_path: Path) -> None:
    deep = "/".join("d" for _ in range(1200))
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=at)
        fd = os.open("z", os.O_CREAT | os.O_WRONLY, dir_fd=at)
        os.close(fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    found = names(packed(tmp_path))
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)  # pytest's own way is not up to it
    assert len(found) == 2400
    assert deep in found and "z" == found[-1] and "d/z" == found[-2]


def test_a_path_longer_than_the_kernel_takes(tmp_path: Path) -> None:
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("n" * 250, dir_fd=at)
        inner = os.open("n" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    with pytest.raises(StorageError, match="path too long"):
        packed(tmp_path)
    subprocess.run(["rm", "-rf", *map(str, tmp_path.iterdir())], check=True)


def test_no_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"secret")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "d").symlink_to("../outside")
    (tree / "f").symlink_to("../outside/secret")
    data = packed(tree)
    assert [member.type for member in members(data).values()] == [tarfile.SYMTYPE] * 2
    assert b"secret" not in data.replace(b"../outside/secret", b"")


def whiteout(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
    except PermissionError:
        pytest.skip("no device nodes here")


@needs_root
def test_the_changes_of_a_layer(tmp_path: Path) -> None:
    upper, lower, lowest = (tmp_path / name for name in ("upper", "lower", "lowest"))
    for path in ("upper/etc", "upper/var", "upper/new", "lower/var", "lowest/home"):
        (tmp_path / path).mkdir(parents=True)
    (upper / "etc/passwd").touch()
    os.link(upper / "etc/passwd", upper / "etc/pw2")
    whiteout(upper / "etc/group")
    os.link(upper / "etc/group", upper / "home")  # the kernel shares one inode for many whiteouts
    (upper / "var/x").touch()
    for name in ("var", "new"):
        set_xattr(upper / name, OPAQUE, b"y")
    set_xattr(upper / "etc", OPAQUE.replace("opaque", "origin"), b"1")
    data = packed(upper, lowers=[str(lower), str(lowest)], userns=USERNS)
    assert names(data) == [
        "etc", "etc/.wh.group", "etc/passwd", "etc/pw2", ".wh.home", "new", "var", "var/.wh..wh..opq", "var/x",
    ]  # fmt: skip
    assert b"overlay" not in data
    # The directory below is hidden already, so it need not be hidden again.
    (lower / "var").rmdir()
    assert "var/.wh..wh..opq" not in names(packed(upper, lowers=[str(lower), str(lowest)], userns=USERNS))
    (lowest / "var").mkdir()
    assert "var/.wh..wh..opq" in names(packed(upper, lowers=[str(lower), str(lowest)], userns=USERNS))
    (lower / "var").touch()
    assert "var/.wh..wh..opq" not in names(packed(upper, lowers=[str(lower), str(lowest)], userns=USERNS))


def test_the_notations_of_fuse_overlayfs(tmp_path: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for path in ("upper/a", "upper/b", "upper/c", "lower/a", "lower/b", "lower/c"):
        (tmp_path / path).mkdir(parents=True)
    (upper / "a/.wh..wh..opq").touch()
    (upper / "b/.wh..opq").touch()
    set_xattr(upper / "c", "user.fuseoverlayfs.opaque", b"y")
    (upper / ".wh.gone").touch()
    (upper / ".wh.here").touch()
    (upper / "here").touch()
    assert names(packed(upper, lowers=[str(lower)], fuse=True)) == [
        "a", "a/.wh..wh..opq", "b", "b/.wh..wh..opq", "c", "c/.wh..wh..opq", ".wh.gone", "here",
    ]  # fmt: skip
    # In a whole tree they are files like any other.
    assert ".wh.gone" in names(packed(upper))


def test_nobody_gets_a_file_of_roots_by_an_attribute_of_fuse_overlayfs(tmp_path: Path) -> None:
    """Any user of a container can set it on a file of his own, where the kernel mounts."""
    (tmp_path / "f").touch(mode=0o644)
    set_xattr(tmp_path / "f", "user.containers.override_stat", b"12345:54321:4755")
    status = (tmp_path / "f").stat()
    for options in ({}, {"fuse": True}, {"lowers": []}, {"parent": ""}):
        found = members(packed(tmp_path, **options))["f"]
        assert (found.uid, found.gid, found.mode) == (status.st_uid, status.st_gid, 0o644), options
    found = members(packed(tmp_path, lowers=[], fuse=True))["f"]
    assert (found.uid, found.gid, found.mode) == (12345, 54321, 0o4755)


@needs_root
@pytest.mark.parametrize("what", ["redirect", "metacopy"])
def test_what_needs_the_mount_is_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "f").touch()
    set_xattr(tmp_path / "f", OPAQUE.replace("opaque", what), b"/x")
    with pytest.raises(StorageError, match=f"f: it was .* on a mount with {what}.*, its content is elsewhere"):
        packed(tmp_path, lowers=[], userns=USERNS)


def test_what_differs_from_a_whole_tree(tmp_path: Path) -> None:
    for tree in ("new", "old"):
        for path in ("same", "gone", "changed", "deep/er"):
            (tmp_path / tree / path).mkdir(parents=True)
            (tmp_path / tree / path / "f").write_bytes(b"1")
        for path in ("same", "gone", "changed", "deep/er", "deep"):
            for name in (f"{path}/f", path):
                if (tmp_path / tree / name).exists():
                    os.utime(tmp_path / tree / name, ns=(0, 1_700_000_000_000_000_000))
    new = tmp_path / "new"
    assert names(packed(new, parent=str(tmp_path / "old"))) == []
    (new / "changed").chmod(0o700)
    (new / "gone/f").unlink()
    (new / "gone").rmdir()
    (new / "deep/er/f").write_bytes(b"22")
    os.utime(new / "deep/er", ns=(0, 1_700_000_000_000_000_000))
    (new / "added").touch()
    assert names(packed(new, parent=str(tmp_path / "old"))) == [
        "added", "changed", "deep", "deep/er", "deep/er/f", ".wh.gone",
    ]  # fmt: skip


def test_what_differs_from_a_tree_deeper_than_descriptors_go(tmp_path: Path) -> None:
    """Directories that have not changed come when something in them has: here all of them, by the deepest file."""
    depth = 700
    deep = "/".join("d" * depth)
    for tree in ("new", "old"):
        subprocess.run(["mkdir", "-p", f"{tmp_path}/{tree}/{deep}"], check=True)
        for level in range(depth, 0, -1):
            os.utime(f"{tmp_path}/{tree}/{deep[: 2 * level - 1]}", ns=(0, 0))
    (tmp_path / "new" / deep / "f").touch()
    (tmp_path / "old" / deep / "gone").touch()
    (tmp_path / "old/d/d/gone").touch()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
    try:
        data = packed(tmp_path / "new", parent=str(tmp_path / "old"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert names(data) == [
        *(deep[: 2 * level - 1] for level in range(1, depth + 1)), f"{deep}/f", f"{deep}/.wh.gone", "d/d/.wh.gone",
    ]  # fmt: skip


def test_a_tree_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot pack .*/none: No such file"):
        pack.open_tree(str(tmp_path / "none"))


NAMES = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=90
).filter(lambda name: name not in (".", "..") and not name.startswith(".wh.") and len(os.fsencode(name)) < 255)
NODES = st.recursive(
    st.one_of(
        st.tuples(st.just("file"), st.binary(max_size=1500), st.integers(0, 0o7777), st.integers(0, 9 * 10**18)),
        st.tuples(st.just("link"), NAMES),
        st.tuples(st.just("fifo"), st.integers(0, 0o777)),
        st.tuples(st.just("hard"), st.integers(0, 9)),
    ),
    lambda inner: st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)


def plant(place: Path, node: object, files: list[Path]) -> None:
    if isinstance(node, dict):
        place.mkdir()
        for name, inner in node.items():
            plant(place / name, inner, files)
        os.utime(place, ns=(0, 1_600_000_000_123_456_789))
    elif isinstance(node, tuple) and node[0] == "file":
        place.write_bytes(node[1])
        place.chmod(node[2] if ROOT else node[2] | 0o400)  # others cannot read all of their own files
        os.utime(place, ns=(0, node[3]))
        files.append(place)
    elif isinstance(node, tuple) and node[0] == "link":
        place.symlink_to(node[1])
    elif isinstance(node, tuple) and node[0] == "fifo":
        os.mkfifo(place)
        place.chmod(node[1])
    elif isinstance(node, tuple) and files:
        os.link(files[node[1] % len(files)], place)


def seen(root: Path) -> dict[str, object]:
    """All that an archive should keep of a tree."""
    found: dict[str, object] = {}
    inodes: dict[int, str] = {}
    for directory, names, files in os.walk(os.fsencode(root)):
        for name in sorted([*names, *files]):
            full = os.path.join(directory, name)
            shown = os.path.relpath(full, os.fsencode(root))
            status = os.lstat(full)
            kind = stat.S_IFMT(status.st_mode)
            content = b""
            if kind == stat.S_IFREG:
                with open(full, "rb") as file:
                    content = file.read()
            elif kind == stat.S_IFLNK:
                content = os.readlink(full)
            first = inodes.setdefault(status.st_ino, os.fsdecode(shown))
            found[os.fsdecode(shown)] = (status.st_mode, status.st_mtime_ns, content, first)
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(NAMES, NODES, max_size=6))
def test_any_tree_comes_out_of_its_archive_as_it_was(tmp_path: Path, tree: dict[str, object]) -> None:
    """Packed, unpacked by the store, and packed again from there."""
    place = tmp_path / os.urandom(6).hex()
    place.mkdir()
    root = place / "tree"
    files: list[Path] = []
    try:
        plant(root, tree, files)
    except FileExistsError:
        return  # the file system folds the names
    layer = place / "layer"
    layer.mkdir()
    extractor = extract.Extractor(
        str(layer), tar_split=f"{place}/split", shadow=f"{place}/shadow", in_user_namespace=USERNS
    )
    with pack.open_tree(str(root)) as packing:
        extractor.run(packing)
    assert seen(layer) == seen(root)
    data = b"".join(tarsplit.rebuild(f"{place}/split", [str(layer)]))
    assert data == packed(root) == packed(layer) == packed(layer, lowers=[str(root)])
    subprocess.run(["rm", "-rf", str(place)], check=True)
