"""Layers that mean harm: refused by one clear line with the store as it was, or tamed; nothing outside is touched."""

from __future__ import annotations

import gzip
import io
import os
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from archives import directory, docker_archive, entry, layer, pack, tree
from test_tar import gnu_sparse, header

from pypod.errors import BadArchive, StorageError
from pypod.oci.reference import normalise
from storage import archive, load, overlay
from storage.store import Store

ROOT = os.geteuid() == 0 and not overlay.in_user_namespace()
SYM, LNK, DIR, CHR, BLK, FIFO = (
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.DIRTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
)
END = bytes(1024)


class Scene:
    """A store with one image, and a directory outside that nobody may touch."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.out = path / "out"
        self.out.mkdir()
        (self.out / "secret").write_bytes(b"secret")
        (self.out / "sub").mkdir()
        (self.out / "link").symlink_to("secret")
        self.store = Store(str(path / "g"), str(path / "r"))
        archive.import_stream(self.store, io.BytesIO(layer("first")).read, names=["localhost/first:1"])
        self.canary = self.outside()

    def outside(self) -> list[object]:
        found: list[object] = []
        for name, _, files in os.walk(self.out):
            for item in [name, *(f"{name}/{file}" for file in files)]:
                status = os.lstat(item)
                content = Path(item).read_bytes() if stat.S_ISREG(status.st_mode) else b""
                keys = os.listxattr(item, follow_symlinks=False)
                found.append(
                    (item, status.st_mode, status.st_nlink, status.st_mtime_ns, status.st_uid, content, keys)
                )
        return found

    def load(self, *layers: bytes, packed: bool = False) -> Path:
        """Load an image of these layers; the top one's files. ``packed`` unpacks them before their image is known."""
        path = docker_archive(self.path / "archive", list(layers), ["localhost/bad:1"])
        if packed:
            path.write_bytes(gzip.compress(path.read_bytes(), 1))
        [(image, _)] = load.load(self.store, str(path), normalise=normalise)
        return Path(self.store.diff_directory(image.layer))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    yield Scene(tmp_path)
    # pytest's own clean-up would stumble over a deep tree, in this run and in the next ones.
    subprocess.run(["rm", "-rf", str(tmp_path / "g")], check=True)


def sym(name: str, target: object) -> tarfile.TarInfo:
    return entry(name, SYM, 0o777, linkname=str(target))


def hard(name: str, target: object) -> tarfile.TarInfo:
    return entry(name, LNK, linkname=str(target))


def raw_pax(body: bytes, kind: bytes = b"x", tail: bytes = b"") -> bytes:
    """An entry behind a hand-written pax header."""
    block = header(kind=kind, size=b"%011o" % len(body))
    return block + body + bytes(-len(body) % 512) + (tail or header(size=b"0")) + END


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while length != len(key) + len(value) + 3 + len(str(length)):
        length = len(key) + len(value) + 3 + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def pax_sparse(pieces: list[tuple[int, int]], realsize: int, count: int | None = None) -> bytes:
    text = "\n".join([str(len(pieces) if count is None else count), *(f"{a}\n{b}" for a, b in pieces), ""]).encode()
    body = text + bytes(-len(text) % 512) + b"x" * sum(max(0, length) for _, length in pieces if length < 10_000)
    headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "s",
        "GNU.sparse.realsize": str(realsize),
    }
    return pack((entry("GNUSparseFile.1/s", pax_headers=headers), body))


def gone(store: Store) -> None:
    """What has been removed is gone after a moment: large trees are removed in the background."""
    end = time.monotonic() + 20
    while os.path.exists(f"{store.home}/tempdirs"):
        assert time.monotonic() < end, "the staging area stays"
        time.sleep(0.01)


# Refused: the layers (from the base up), and what the one line says.
REFUSED: dict[str, tuple[Callable[[Path], list[bytes]], str]] = {
    "a hard link out by an absolute name": (lambda out: [pack(hard("l", out / "secret"))], "link target"),
    "a hard link out through a link": (
        lambda out: [pack(sym("s", out), hard("l", "s/secret"))],
        "link target",
    ),
    "a hard link out through a link that climbs": (
        lambda out: [pack(directory("d"), sym("d/s", "../" * 20 + str(out)), hard("l", "d/s/secret"))],
        "link target",
    ),
    "a hard link to a lower layer's file": (lambda out: [layer("below"), pack(hard("l", "below"))], "link target"),
    "a hard link to itself": (lambda out: [pack(hard("l", "l"))], "link target"),
    "hard links in a circle": (lambda out: [pack(hard("a", "b"), hard("b", "a"))], "link target"),
    "a hard link to the root": (lambda out: [pack(hard("l", "."))], "hard link"),
    "a hard link to nothing": (lambda out: [pack(hard("l", ""))], "hard link"),
    "a symbolic link to nothing": (lambda out: [pack(sym("l", ""))], "symbolic link"),
    "a symbolic link with a zero byte": (
        lambda out: [pack(entry("l", SYM, pax_headers={"linkpath": "a\0b"}))],
        "zero byte|no name|link",
    ),
    "a chain of 50 links": (
        lambda out: [pack(*(sym(f"l{n}", f"l{n + 1}") for n in range(50)), directory("l50"), (entry("l0/f"), b"x"))],
        "cannot unpack",
    ),
    "links in a circle": (lambda out: [pack(sym("a", "b"), sym("b", "a"), (entry("a/f"), b"x"))], "cannot unpack"),
    "a file below a fifo": (lambda out: [pack(entry("p", FIFO), (entry("p/f"), b"x"))], "cannot unpack"),
    "a name of 10,000 characters": (lambda out: [pack((entry("x/" * 5000), b""))], "limit of 4096|too long"),
    "a component of 256 characters": (lambda out: [pack((entry("d/" + "x" * 256), b""))], "too long"),
    "a target of 10,000 characters": (lambda out: [pack(sym("l", "x/" * 5000))], "limit of 4096|too long"),
    "a name of zero bytes": (lambda out: [header(name=b"") + END], "no name"),
    "a negative size": (lambda out: [header(size=b"\xff" * 12) + END], "negative"),
    "a size beyond 64 bits": (lambda out: [header(size=b"\x80" + b"\xff" * 11) + END], "."),
    "a size of octal garbage": (lambda out: [header(size=b"00000000009") + END], "not a number"),
    "a pax size of 20 digits": (lambda out: [raw_pax(record(b"size", b"9" * 20))], "."),
    "a pax size that is negative": (lambda out: [raw_pax(record(b"size", b"-1"))], "not a number"),
    "a pax size beyond the archive": (lambda out: [raw_pax(record(b"size", b"999999"))], "middle of a file"),
    "a pax record longer than its header": (lambda out: [raw_pax(b"99999 path=x\n")], "pax record"),
    "a pax record of no length": (lambda out: [raw_pax(b"path=x\n")], "pax record"),
    "a pax record whose length wraps": (lambda out: [raw_pax(b"18446744073709551617 a=b\n")], "pax record"),
    "a pax name with a zero byte": (lambda out: [raw_pax(record(b"path", b"a\0../../x"))], "no name|zero byte"),
    "a pax attribute with a zero byte in its name": (
        lambda out: [raw_pax(record(b"SCHILY.xattr.user.a\0b", b"c"))],
        "zero byte|attribute",
    ),
    "a pax header of 2 MB": (lambda out: [raw_pax(record(b"comment", b"x" * (2 << 20)))], "limit of 1048576"),
    "pax headers without end": (
        lambda out: [
            (header(kind=b"x", size=b"%011o" % 512) + record(b"comment", b"x" * 499)) * 4000 + header(size=b"0") + END
        ],
        "limit of 1048576",
    ),
    "global headers without end": (
        lambda out: [
            b"".join(
                header(kind=b"g", size=b"%011o" % 512) + record(b"key%05d" % n, b"x" * 498)
                + header(name=b"f%d" % n, size=b"0")
                for n in range(2200)
            ) + END
        ],
        "limit of 1048576",
    ),
    "an archive that ends in a pax header": (lambda out: [raw_pax(record(b"path", b"x"))[:1024]], "extended header"),
    "a sparse name that climbs": (
        lambda out: [pack((entry("s", pax_headers={
            "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1",
            "GNU.sparse.name": "../../x"}), b"1\n0\n1\n".ljust(512, b"\0") + b"x"))],
        "leads out",
    ),
    "a sparse map out of order": (lambda out: [pax_sparse([(5, 3), (2, 1)], 100)], "sparse map"),
    "a sparse map that overlaps": (lambda out: [pax_sparse([(0, 5), (4, 3)], 100)], "sparse map"),
    "a sparse map that overflows": (lambda out: [pax_sparse([(1 << 62, 1 << 62), (2, 3)], 1 << 30)], "."),
    "a sparse map of a billion": (lambda out: [pax_sparse([(0, 1)], 100, count=10**9)], "sparse|middle of a file"),
    "a sparse map that never ends": (
        lambda out: [pack((entry("s", pax_headers={
            "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": "1",
        }), b"1" * 5_000_000))],
        "sparse|not a number",
    ),
    "a sparse file of 4 EB": (lambda out: [gnu_sparse(1 << 62, [(0, b"x")])], "limit|No space left"),
    "an unknown kind": (lambda out: [pack(entry("s", b"s"))], "unknown tar entry type"),
    "a zstd window of 2 GB": (
        lambda out: [b"\x28\xb5\x2f\xfd\x00" + bytes([21 << 3]) + b"\x01\x00\x00"],
        "cannot decompress",
    ),
    "an attribute without a name": (lambda out: [raw_pax(record(b"SCHILY.xattr.", b"c"))], "cannot unpack|attribute"),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["in place", "as it comes"])
@pytest.mark.parametrize("name", REFUSED)
def test_refused(scene: Scene, name: str, packed: bool) -> None:
    make, match = REFUSED[name]
    layers = make(scene.out)
    before = tree(scene.path / "g")
    with pytest.raises((BadArchive, StorageError), match=match) as caught:
        scene.load(*layers, packed=packed)
    assert caught.value.message.isprintable() and len(caught.value.message) < 700
    assert tree(scene.path / "g") == before
    assert scene.outside() == scene.canary
    gone(scene.store)


def kind(path: Path) -> str:
    mode = path.lstat().st_mode
    return next(word for word in ("DIR", "REG", "LNK", "CHR", "BLK", "FIFO") if getattr(stat, f"S_IS{word}")(mode))


def shape(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): kind(path) for path in sorted(root.rglob("*"))}


# Tamed: the layers, and what is in the top one afterwards.
TAMED: dict[str, tuple[Callable[[Path], list[bytes]], Callable[[Path], dict[str, str]]]] = {
    "an absolute name": (
        lambda out: [pack((entry(f"{out}/new"), b"x"))],
        lambda out: {**{str(p)[1:]: "DIR" for p in [out, *out.parents][:-1]}, f"{out}/new"[1:]: "REG"},
    ),
    "a file through a lower layer's absolute link": (
        lambda out: [pack(sym("s", out)), pack((entry("s/f"), b"x"))],
        lambda out: {"s": "DIR", "s/f": "REG"},
    ),
    "a file through a lower layer's link that climbs": (
        lambda out: [pack(sym("s", "../" * 20 + str(out)[1:])), pack((entry("s/f"), b"x"))],
        lambda out: {"s": "DIR", "s/f": "REG"},
    ),
    "a directory over a link out": (
        lambda out: [pack(sym("s", out), entry("s", DIR, 0o777), (entry("s/f"), b"x"))],
        lambda out: {"s": "DIR", "s/f": "REG"},
    ),
    "a file over a link out": (
        lambda out: [pack(sym("s", out / "secret"), (entry("s"), b"x"))],
        lambda out: {"s": "REG"},
    ),
    "a link over a directory": (
        lambda out: [pack(directory("d"), (entry("d/f"), b"x"), sym("d", out))],
        lambda out: {"d": "LNK"},
    ),
    "file, directory, link, fifo by one name": (
        lambda out: [pack((entry("x"), b"1"), directory("x"), (entry("x/y"), b"2"), sym("x", out), entry("x", FIFO))],
        lambda out: {"x": "FIFO"},
    ),
    "a hard link to a link out": (
        lambda out: [pack(sym("s", out / "secret"), hard("l", "s"), (entry("l"), b"mine"))],
        lambda out: {"l": "REG", "s": "LNK"},
    ),
    "a hard link to what is replaced by a link out": (
        lambda out: [pack((entry("a"), b"1"), hard("l", "a"), sym("a", out / "secret"))],
        lambda out: {"a": "LNK", "l": "REG"},
    ),
    "whiteouts of nothing": (
        lambda out: [pack(entry(".wh."), entry(".wh.."), entry(".wh..."), entry(".wh..wh."), entry(".wh..wh.plnk"))],
        lambda out: {},
    ),
    "the root itself, as everything": (
        lambda out: [pack(sym(".", out), sym("./", out), entry("/", DIR, 0o777), (entry("."), b"content"),
                          hard(".", "x"), entry("./.", FIFO))],
        lambda out: {},
    ),
    "an end, and garbage": (lambda out: [layer("a") + os.urandom(5000)], lambda out: {"a": "REG"}),
    "two archives": (lambda out: [layer("a") + layer("b")], lambda out: {"a": "REG"}),
    "a directory with content": (
        lambda out: [header(name=b"d/", kind=b"5", size=b"00000001000") + header(name=b"f", size=b"0") + END],
        lambda out: {"d": "DIR", "f": "REG"},
    ),
    "1,200 directories in each other": (
        lambda out: [pack((entry("d/" * 1200 + "f"), b""))],
        lambda out: {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["in place", "as it comes"])
@pytest.mark.parametrize("name", TAMED)
def test_tamed(scene: Scene, name: str, packed: bool) -> None:
    make, wanted = TAMED[name]
    root = scene.load(*make(scene.out), packed=packed)
    if not name.startswith("1,200"):
        assert shape(root) == wanted(scene.out)
    assert scene.outside() == scene.canary
    for image in scene.store.images():
        if "localhost/bad:1" in image.names:
            scene.store.delete_image(image.id)
    assert [image.names for image in scene.store.images()] == [["localhost/first:1"]]
    end = time.monotonic() + 20
    while os.path.exists(f"{scene.store.home}/tempdirs"):  # what is large is removed in the background
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.skipif(not ROOT, reason="whiteouts are device nodes")
def test_whiteouts_stay_in_their_directory(scene: Scene) -> None:
    lower = pack(directory("d"), sym("s", scene.out), (entry("d/f"), b"x"))
    upper = pack(
        entry("s/.wh.secret"), entry("d/.wh.f"), entry("d/../.wh.first"), entry("x/.wh.a/b"), entry(".wh..wh..opq")
    )
    root = scene.load(lower, upper)
    found = shape(root)
    assert {name for name, what in found.items() if what == "CHR"} == {"s/secret", "d/f", "first"}
    assert found["s"] == "DIR"
    assert os.getxattr(root, "trusted.overlay.opaque") == b"y"
    assert scene.outside() == scene.canary


def test_marks_of_drivers_are_dropped(scene: Scene) -> None:
    marks = [
        "trusted.overlay.opaque", "trusted.overlay.redirect", "trusted.overlay.metacopy", "trusted.overlay.whiteout",
        "user.overlay.opaque", "user.overlay.redirect", "user.overlay.overlay.opaque", "user.fuseoverlayfs.opaque",
        "user.fuseoverlayfs.override_stat", "user.containers.override_stat", "security.selinux",
    ]  # fmt: skip
    headers = {f"SCHILY.xattr.{mark}": "y" for mark in marks}
    root = scene.load(pack(
        entry("d", DIR, 0o755, pax_headers=headers), entry("p", FIFO, pax_headers=headers),
        entry("s", SYM, linkname="x", pax_headers=headers), (entry("f", pax_headers=headers), b""),
    ))  # fmt: skip
    for name in "dpsf":
        kept = set(os.listxattr(root / name, follow_symlinks=False)) & set(marks)
        assert kept <= {"security.selinux"}, name
        if kept:
            assert os.getxattr(root / name, "security.selinux", follow_symlinks=False) != b"y"


@pytest.mark.skipif(not ROOT, reason="makes device nodes and gives files away")
def test_devices_and_set_id_bits_are_what_the_archive_says(scene: Scene) -> None:
    """As for podman: a layer belongs to root, in a directory that only root may enter."""
    root = scene.load(pack(
        entry("null", CHR, 0o666, devmajor=1, devminor=3), entry("disk", BLK, 0o600, devmajor=7, devminor=9),
        (entry("su", mode=0o6755, uid=0, gid=5), b"x"), entry("sticky", DIR, 0o1777),
    ))  # fmt: skip
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_IMODE((root / "su").stat().st_mode) == 0o6755
    assert stat.S_IMODE((root / "sticky").stat().st_mode) == 0o1777
    assert os.stat(scene.store.home).st_mode & 0o077 == 0 or os.stat(scene.store.graphroot).st_mode & 0o077 == 0 or (
        os.stat(root.parent).st_mode & 0o077 == 0
    )  # fmt: skip


def test_a_tree_deeper_than_any_path(scene: Scene) -> None:
    """Links lead on where a name may not be longer: 8,000 levels, and all go away again."""
    members: list[tarfile.TarInfo] = []
    at = ""
    for number in range(4):
        deep = at + "d/" * 2000
        members += [directory(deep), sym(f"l{number}", deep)]
        at = f"l{number}/"
    before = tree(scene.path / "g")
    try:
        scene.load(pack(*members))
    except (BadArchive, StorageError) as error:
        assert error.message.isprintable()
        assert tree(scene.path / "g") == before
    else:
        [image] = [item for item in scene.store.images() if "localhost/bad:1" in item.names]
        scene.store.delete_image(image.id)
    gone(scene.store)


SWAPPER = """
import os, sys
home, out = sys.argv[1:]
while True:
    try:
        area = home + "/tempdirs/" + next(n for n in os.listdir(home + "/tempdirs") if n.startswith("temp-dir"))
        trees = [f"{area}/{name}/diff" for name in os.listdir(area)]
    except (OSError, StopIteration):
        continue
    for tree in trees:
        for name in ("d", "d/e", "d/sub"):
            for _ in range(20):
                try:
                    os.rename(f"{tree}/{name}", f"{tree}/moved")
                    os.symlink(out, f"{tree}/{name}")
                    os.write(1, b".")
                    os.unlink(f"{tree}/{name}")
                    os.rename(f"{tree}/moved", f"{tree}/{name}")
                except OSError:
                    break
"""


def test_somebody_swaps_directories_for_links_meanwhile(scene: Scene) -> None:
    """Who can write in the staging area (the same user) still cannot lead the unpacking out of it."""
    members = [directory("d"), directory("d/e")]
    for number in range(100):
        members += [
            entry(f"d/e/f{number}", mode=0o777), entry(f"d/p{number}", FIFO, 0o777), sym(f"d/e/s{number}", "x"),
            entry("d/secret", mode=0o777), entry("d/e/link", FIFO), hard(f"d/h{number}", f"d/p{number}"),
            entry("d/.wh.secret"), entry("d", DIR, 0o777), entry("d/sub", DIR, 0o777), entry("d/e", DIR, 0o777),
        ]  # fmt: skip
    data = pack(*members)
    swapper = subprocess.Popen(
        [sys.executable, "-c", SWAPPER, scene.store.home, str(scene.out)],
        stdout=subprocess.PIPE,
    )
    swaps = attempts = 0
    assert swapper.stdout is not None
    os.set_blocking(swapper.stdout.fileno(), False)
    try:
        start = time.monotonic()
        while time.monotonic() < start + (2 if swaps > 3 else 60):
            swaps += len(swapper.stdout.read() or b"")
            attempts += 1
            # A layer that the store has already would not be unpacked again.
            another = pack(entry(f"attempt{attempts}"))[: tarfile.BLOCKSIZE]
            try:
                scene.load(another + data)
            except (BadArchive, StorageError):
                pass
    finally:
        swapper.kill()
        swapper.wait()
        swapper.stdout.close()
    assert scene.outside() == scene.canary
    assert swaps > 3


def test_a_compressed_layer_with_a_huge_window_is_not_allocated(scene: Scene) -> None:
    """A window of 128 MB is the most that zstd's own tool takes without being asked."""
    frame = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    )
    data = frame.compress(layer("a"))
    archive.import_stream(scene.store, io.BytesIO(data).read)


def test_memory_does_not_grow_with_the_length_of_paths(scene: Scene) -> None:
    """8,000 entries for one directory whose path has 3,800 bytes: 30 MB if each were kept with its path."""
    path = ("d" * 200 + "/") * 19
    one = raw_pax(record(b"path", path.encode() + b"x"), tail=header(kind=b"5", size=b"0"))[: -len(END)]
    data = memoryview(one * 64)
    left = 8_000 // 64
    resident: list[int] = []

    def read(count: int) -> bytes:
        nonlocal left
        with open("/proc/self/statm") as file:
            resident.append(int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE"))
        left -= 1
        return bytes(data) if left >= 0 else END if left == -1 else b""

    archive.import_stream(scene.store, read)
    assert max(resident) - resident[10] < 12 << 20


def test_times_are_those_of_what_is_there_at_the_end(scene: Scene) -> None:
    """A directory's time goes away with it, and does not come back for what takes its place or its memory."""
    moment = 1_500_000_000
    below = pack(entry("kept", DIR, 0o755, mtime=moment), entry("kept/in", DIR, 0o755, mtime=moment + 1))
    root = scene.load(
        below,
        pack(
            entry("a", DIR, 0o755, mtime=moment + 2),
            entry("a/b", DIR, 0o755, mtime=moment + 3),
            (entry("a", mtime=moment + 4), b"a file now"),
            entry("c", DIR, 0o755, mtime=moment + 5),
            (entry("c/new/f", mtime=moment + 6), b""),
            (entry("kept/in/g"), b""),
            sym("s", "kept/in"),
            (entry("s/f", mtime=moment + 7), b""),
            entry("c", DIR, 0o755, mtime=moment + 8),
        ),
    )
    found = {name: int((root / name).lstat().st_mtime) for name in ("a", "c", "c/new/f", "kept", "kept/in")}
    assert found == {
        "a": moment + 4, "c": moment + 8, "c/new/f": moment + 6, "kept": moment, "kept/in": moment + 1
    }  # fmt: skip
    assert int((root / "c/new").stat().st_mtime) > moment + 1000  # nobody says when it was made


def test_directories_on_the_way_keep_the_lower_layers_times(scene: Scene) -> None:
    moment = 1_500_000_000
    below = pack(*(entry(name, DIR, 0o755, mtime=moment + n) for n, name in enumerate(["k", "k/l", "k/l/m", "o"])))
    root = scene.load(below, pack((entry("k/l/m/new/f"), b""), sym("o", "k/l"), (entry("k/l/n/f"), b"")))
    found = [int((root / name).stat().st_mtime) - moment for name in ("k", "k/l", "k/l/m")]
    assert found == [0, 1, 2]
