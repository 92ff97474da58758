"""Trees copied and removed by several threads."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pypod.base import files
from storage import trees
from storage.progress import Progress
from storage.trash import Staging
from support import box

ROOT = os.geteuid() == 0
need_root = pytest.mark.skipif(not ROOT, reason="needs root")


@pytest.fixture(params=[1, 4], autouse=True)
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "threads", lambda: request.param)


def look(root: Path | str) -> dict[str, tuple[object, ...]]:
    """Everything about a tree that a copy keeps."""
    found: dict[str, tuple[object, ...]] = {}
    groups: dict[tuple[int, int], str] = {}
    places = [str(root)]
    while places:
        path = places.pop()
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        content: object = None
        if kind == stat.S_IFDIR:
            places += sorted(os.path.join(path, name) for name in os.listdir(path))
        elif kind == stat.S_IFREG:
            content = Path(path).read_bytes()
        elif kind == stat.S_IFLNK:
            content = os.readlink(path)
        name = os.path.relpath(path, root)
        first = groups.setdefault((status.st_dev, status.st_ino), name) if kind != stat.S_IFDIR else name
        keys = os.listxattr(path, follow_symlinks=False)
        xattrs = {key: os.getxattr(path, key, follow_symlinks=False) for key in keys}
        found[name] = (
            kind,
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            status.st_rdev,
            status.st_size if kind != stat.S_IFDIR else 0,
            status.st_nlink if kind != stat.S_IFDIR else 0,
            content,
            first,
            xattrs,
        )
    return found


def copied(source: Path, target: Path, **options: object) -> dict[str, tuple[object, ...]]:
    target.mkdir()
    trees.copy(str(source), str(target), **options)  # type: ignore[arg-type]
    return look(target)


NAMES = st.sampled_from(["a", "b", "c d", "caf\udce9", "x" * 255, "-", "..."])
LEAVES = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=300), st.integers(0, 0o7777)),
    st.tuples(st.just("link"), st.sampled_from(["/etc/passwd", "..", "gone", "a"]), st.just(0)),
    st.tuples(st.just("fifo"), st.just(b""), st.integers(0, 0o777)),
    st.tuples(st.just("hard"), st.just(b""), st.just(0)),
)
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=5), max_leaves=25)


def build(place: Path, tree: object, hard: list[Path], number: list[int]) -> None:
    number[0] += 1
    when = number[0] * 1_234_567_891 + 7
    if isinstance(tree, dict):
        place.mkdir()
        for name, inner in tree.items():
            build(place / name, inner, hard, number)
        place.chmod(0o700 | number[0] % 8)
    else:
        kind, content, mode = tree  # type: ignore[misc]
        if kind == "hard" and not hard:
            kind, mode = "file", 0o640
        if kind == "hard":
            os.link(hard[number[0] % len(hard)], place, follow_symlinks=False)
            return
        if kind == "link":
            place.symlink_to(content)
        elif kind == "fifo":
            os.mkfifo(place)
        else:
            place.write_bytes(content)
        hard.append(place)
        if ROOT:
            os.chown(place, number[0], 1000 + number[0], follow_symlinks=False)
        if kind != "link":
            place.chmod(mode if ROOT else mode | 0o400)
    os.utime(place, ns=(when, when), follow_symlinks=False)


@given(tree=st.dictionaries(NAMES, TREES, min_size=1, max_size=5))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_tree_is_copied_with_all_that_it_has(tmp_path: Path, tree: dict[str, object]) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    try:
        build(source, tree, [], [0])
        assert copied(source, target) == look(source)
    finally:
        for path in (source, target):
            trees.remove(str(path))
            assert not path.exists()


@need_root
def test_attributes_devices_sockets_and_capabilities(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.mkdir()
    plain = source / "f"
    plain.write_bytes(b"x")
    os.chown(plain, 5, 6)
    plain.chmod(0o6755)
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(plain, "user.one", b"value")
    os.setxattr(plain, "user.long", b"v" * 3000)
    os.setxattr(plain, "security.capability", capability)
    os.setxattr(source, "user.overlay.opaque", b"y")
    os.setxattr(source, "trusted.overlay.opaque", b"y")
    os.setxattr(source, "trusted.kept", b"y")
    os.mknod(source / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(source / "socket"))
    found = copied(source, tmp_path / "t")
    wanted = look(source)
    for name in ("user.overlay.opaque", "trusted.overlay.opaque"):
        del wanted["."][-1][name]  # type: ignore[attr-defined]
    assert found == wanted
    assert os.getxattr(tmp_path / "t/f", "security.capability") == capability


@need_root
def test_owners_are_mapped_and_those_in_access_lists(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.mkdir()
    for number in (0, 7, 1000):
        (source / f"f{number}").write_bytes(b"x")
        os.chown(source / f"f{number}", number, number + 1)
        (source / f"l{number}").symlink_to("nowhere")
        os.chown(source / f"l{number}", number, number + 1, follow_symlinks=False)
    # version 2; user::rw-, user:7:r--, group::r--, mask::rw-, other::r--
    entries = [(1, 6, 0xFFFFFFFF), (2, 4, 7), (4, 4, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF), (32, 4, 0xFFFFFFFF)]
    value = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + id.to_bytes(4, "little") for tag, bits, id in entries
    )
    try:
        os.setxattr(source / "f0", "system.posix_acl_access", value)
        acl = True
    except OSError:
        acl = False
    maps = [[0, 1, 1000], [1000, 0, 1], [1001, 1001, 100]]
    copied(source, tmp_path / "t", uid_map=maps, gid_map=[[0, 2000, 2000]])
    for number, wanted in ((0, 1), (7, 8), (1000, 0)):
        for kind in "fl":
            status = os.lstat(tmp_path / f"t/{kind}{number}")
            assert (status.st_uid, status.st_gid) == (wanted, 2001 + number)
    if acl:
        mapped = os.getxattr(tmp_path / "t/f0", "system.posix_acl_access")
        assert mapped == value.replace((7).to_bytes(4, "little"), (8).to_bytes(4, "little"))


@need_root
@pytest.mark.skipif(os.geteuid() != 0, reason="a group that is not ours")
def test_a_set_group_id_directory_above_gives_nobody_its_group(tmp_path: Path) -> None:
    (tmp_path / "source/d").mkdir(parents=True)
    (tmp_path / "source/d/f").touch()
    os.symlink("f", tmp_path / "source/d/l")
    above = tmp_path / "above"
    above.mkdir()
    os.chown(above, 0, 1234)
    above.chmod(0o2755)
    (above / "target").mkdir()
    trees.copy(str(tmp_path / "source"), str(above / "target"))
    for path in (".", "d", "d/f", "d/l"):
        status = (above / "target" / path).lstat()
        assert (status.st_gid, status.st_mode & 0o7000) == (os.getegid(), 0), path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_id_without_room_is_named(tmp_path: Path) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/er/file").write_bytes(b"")
    os.chown(source / "deep/er/file", 3, 70000)
    target.mkdir()
    with pytest.raises(trees.NoRoom) as caught:
        trees.copy(str(source), str(target), uid_map=[[0, 5, 10]], gid_map=[[0, 5, 65536]])
    assert (caught.value.kind, caught.value.id, caught.value.path) == ("gid", 70000, "deep/er/file")


def test_holes_stay_holes_and_a_large_file_is_copied_in_parts(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.mkdir()
    sparse, large = source / "sparse", source / "large"
    with open(sparse, "wb") as file:
        for offset in (0, 100 << 20, 300 << 20):
            file.seek(offset)
            file.write(os.urandom(5000))
        file.truncate(400 << 20)
    piece = os.urandom(1 << 20)
    with open(large, "wb") as file:
        for number in range(70):
            file.write(number.to_bytes(4, "little") + piece[4:])
    os.link(large, source / "other")
    for path in (sparse, large):
        path.chmod(0o4555)
        os.utime(path, ns=(10, 20))
    target = tmp_path / "t"
    target.mkdir()
    trees.copy(str(source), str(target))
    for name in ("sparse", "large", "other"):
        assert subprocess.run(["cmp", source / name, target / name], check=False).returncode == 0
        status = os.stat(target / name)
        assert (status.st_mtime_ns, stat.S_IMODE(status.st_mode)) == (20, 0o4555)
    assert os.stat(target / "sparse").st_blocks * 512 < 1 << 20
    assert os.stat(target / "large").st_ino == os.stat(target / "other").st_ino


class Watcher(Progress):
    def __init__(self, stop: bool = False) -> None:
        self.bytes = 0
        self.stop = stop

    def advance(self, key: str, count: int) -> None:
        assert key == "k"
        self.bytes += count
        if self.stop:
            raise KeyboardInterrupt


def test_progress_counts_bytes_and_an_interrupt_ends_it(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.mkdir()
    with open(source / "f", "wb") as file:
        file.write(os.urandom(3 << 20))
    watcher = Watcher()
    threads = len(os.listdir("/proc/self/task"))  # pytest may have some
    copied(source, tmp_path / "t", progress=watcher, key="k")
    assert watcher.bytes == 3 << 20
    (tmp_path / "u").mkdir()
    with pytest.raises(KeyboardInterrupt):
        trees.copy(str(source), str(tmp_path / "u"), progress=Watcher(stop=True), key="k")
    assert len(os.listdir("/proc/self/task")) == threads


def deep(place: Path, levels: int) -> None:
    """``levels`` directories in each other, whose path is longer than PATH_MAX, a file in each."""
    place.mkdir()
    fd = os.open(place, os.O_RDONLY)
    for number in range(levels):
        name = f"level{number}"
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd))
        os.mkdir(name, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)


def test_a_deep_tree_with_few_descriptors(tmp_path: Path) -> None:
    deep(tmp_path / "s", 2000)
    (tmp_path / "t").mkdir()
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); from storage import trees;"
        "trees.copy(sys.argv[1], sys.argv[2]); trees.remove(sys.argv[1]); trees.remove(sys.argv[2])"
    )
    argv = [sys.executable, "-c", script, tmp_path / "s", tmp_path / "t"]
    subprocess.run(argv, check=True, timeout=60, cwd="/", env=box.python_environment())
    assert os.listdir(tmp_path) == []


def test_many_entries_and_directories_without_permissions_go(tmp_path: Path) -> None:
    place = tmp_path / "s"
    place.mkdir()
    for number in range(3000):
        (place / f"f{number}").touch()
    for number in range(300):
        (place / f"d{number}").mkdir()
        (place / f"d{number}/f").symlink_to(tmp_path)
        (place / f"d{number}").chmod(number % 8 << 6)
    place.chmod(0)
    assert trees.remove(str(place))
    assert not place.exists()
    assert trees.remove(str(place))
    assert trees.remove(str(tmp_path / "no/such"))


def test_removal_of_a_file_and_of_a_link_leaves_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").touch()
    (tmp_path / "l").symlink_to("d")
    assert trees.remove(str(tmp_path / "l"))
    assert (tmp_path / "d/f").exists()
    assert trees.remove(str(tmp_path / "d/f"))
    assert os.listdir(tmp_path / "d") == []


def test_what_others_put_in_meanwhile_goes_too(tmp_path: Path) -> None:
    place = tmp_path / "s"
    for number in range(50):
        (place / f"d{number}").mkdir(parents=True)
    stop = threading.Event()
    made = []

    def disturb() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                (place / f"d{number % 50}/new{number}").touch()
                (place / f"d{number % 50}/dir{number}").mkdir()
                os.rename(place / f"d{number % 50}", place / f"d{(number * 7) % 50}x")
                made.append(number)
            except OSError:
                time.sleep(0)

    other = threading.Thread(target=disturb)
    other.start()
    time.sleep(0.02)
    try:
        trees.remove(str(place))
    except OSError as error:
        assert error.errno == 39  # the other is faster
    stop.set()
    other.join()
    trees.remove(str(place))
    assert not place.exists() and made


@need_root
def test_a_mount_in_the_tree_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/precious").touch()
    (tmp_path / "s/a/mount").mkdir(parents=True)
    (tmp_path / "s/b").mkdir()
    source = Path(trees.__file__).parents[1]
    script = f"mount --bind {tmp_path}/data {tmp_path}/s/a/mount && cd {source} && {sys.executable} - {tmp_path}/s"
    code = "import sys; from storage import trees; trees.remove(sys.argv[1])"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], input=code, capture_output=True, text=True, check=False
    )
    assert "Device or resource busy" in done.stderr and "s/a/mount" in done.stderr, done.stderr
    assert (tmp_path / "data/precious").exists()
    assert not (tmp_path / "s/b").exists()


def test_a_budget_ends_before_the_tree(tmp_path: Path) -> None:
    place = tmp_path / "s"
    place.mkdir()
    with open(place / "large", "wb") as file:
        file.truncate(65 << 20)
    assert not trees.remove(str(place), budget=1000)
    assert (place / "large").exists()
    assert trees.remove(str(place))


def fill(place: str) -> None:
    os.mkdir(place)
    with open(f"{place}/large", "wb") as file:
        file.truncate(65 << 20)


def gone(place: str) -> bool:
    end = time.monotonic() + 20
    while os.path.exists(place):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_a_staging_area_is_removed_in_the_background(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    before = set(os.listdir("/proc/self/fd"))
    with Staging(home, later=True) as staging:
        fill(staging.new())
    assert gone(f"{home}/tempdirs")
    assert set(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # no child of ours is left
    with Staging(home) as staging:
        fill(staging.new())
    assert not os.path.exists(f"{home}/tempdirs")


def test_the_background_holds_the_lock_and_nothing_else(tmp_path: Path) -> None:
    """Nobody waits for it by a pipe, and nobody takes its area for rubbish."""
    import fcntl

    home = str(tmp_path / "home")
    reading, writing = os.pipe()
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with Staging(home, later=True) as staging:
        fill(staging.new())
    os.close(writing)
    os.set_blocking(reading, False)
    assert os.read(reading, 1) == b""
    os.close(reading)
    os.close(held)
    other = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    assert gone(home + "/tempdirs")


def test_small_trees_go_at_once(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    with Staging(home, later=True) as staging:
        files.make_directory(staging.new() + "/a/b")
    assert not os.path.exists(staging.path)


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    trees.remove(str(tmp_path))
    tmp_path.mkdir(exist_ok=True)
