"""Layers that come from somewhere else: side by side, cut off anywhere and taken up again, by one process or two."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import archives
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pypod.errors import BadArchive, ConnectionCut, RegistryError
from storage import checkpoints, export, fetch, inflate, partial, sha256, stream
from storage.fetch import LayerBlob
from storage.progress import Progress
from storage.store import Store
from support import box


@functools.cache
def tar(seed: int, files: int = 30, largest: int = 200_000) -> bytes:
    """A layer of files, links and a directory that hold what compresses as programs do."""
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randint(2, 12)) for _ in range(500)]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number in range(files):
            content = b"".join(chance.choices(words, k=chance.randint(0, largest // 7)))
            info = archives.entry(f"d{seed}/{number % 3}/f{number}", size=len(content))
            archive.addfile(info, io.BytesIO(content))
            if number % 7 == 0:
                archive.addfile(archives.entry(f"d{seed}/link{number}", tarfile.SYMTYPE, linkname=f"0/f{number}"))
    return out.getvalue()


def members(data: bytes) -> bytes:
    half = len(data) // 2
    return gzip.compress(data[:half], 4, mtime=0) + gzip.compress(data[half:], 9, mtime=0) + b"\0" * 600


def flushed(data: bytes) -> bytes:
    """As parallel gzip writes: blocks that end at bytes."""
    one = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts = [
        one.compress(data[at : at + 100_000]) + one.flush(zlib.Z_SYNC_FLUSH) for at in range(0, len(data), 100_000)
    ]
    return b"".join(parts) + one.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "stored": lambda data: gzip.compress(data, 0, mtime=0),
    "members": members,
    "flushed": flushed,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}


class Source:
    """A registry in memory: what it was asked for, and where it breaks off."""

    def __init__(self, *tars: bytes, pack: Callable[[bytes], bytes] = PACKERS["gzip"]) -> None:
        packed = [(archives.digest(data), pack(data)) for data in tars]
        self.content = {archives.digest(data): data for _, data in packed}
        self.blobs = [
            LayerBlob(digest=archives.digest(data), size=len(data), media_type="", diff_id=diff_id)
            for diff_id, data in packed
        ]
        self.asked: list[tuple[str, int]] = []
        self.sent = 0
        self.cut: dict[str, int] = {}  # a blob's offset at which it breaks off
        self.lock = threading.Lock()
        config = {"architecture": "amd64", "os": "linux", "config": {}}
        config["rootfs"] = {"type": "layers", "diff_ids": [archives.digest(data) for data in tars]}
        self.config = json.dumps(config).encode()

    def open(self, blob: LayerBlob, offset: int) -> Body:
        self.asked.append((blob.digest, offset))
        return Body(self, blob.digest, offset)

    def fetch(self, store: Store, name: str = "localhost/a:1", **more: Any) -> Any:
        manifest = json.dumps({"schemaVersion": 2, "layers": [blob.digest for blob in self.blobs]}).encode()
        return fetch.fetch(
            store,
            self.blobs,
            self.open,
            config=self.config,
            manifests=[manifest],
            names=[name],
            created="2020-01-01T00:00:00Z",
            **more,
        )


class Body:
    def __init__(self, source: Source, name: str, offset: int) -> None:
        self.source, self.name, self.offset = source, name, offset
        self.closed = threading.Event()

    def read(self, count: int) -> bytes:
        if self.closed.is_set():
            raise ConnectionCut("closed")
        end = self.source.cut.get(self.name, 1 << 60)
        if end < 0:
            self.closed.wait(20)
            raise ConnectionCut("closed")
        if self.offset >= end:
            raise ConnectionCut("cut")
        data = self.source.content[self.name][self.offset : min(end, self.offset + min(count, 50_000))]
        self.offset += len(data)
        with self.source.lock:
            self.source.sent += len(data)
        return data

    def close(self) -> None:
        self.closed.set()


def listing(store: Store) -> list[str]:
    """All paths of a store but those of locks."""
    return sorted(
        str(path)
        for path in Path(store.graphroot).rglob("*")
        if not path.name.endswith((".lock", ".has-mount-program")) and "/pypod" not in str(path)
    )


def check(store: Store, image: Any, tars: Sequence[bytes]) -> None:
    """The image has these layers, to the byte, and nothing else lies about."""
    chain = store.chain(image.layer)[::-1]
    for layer, data in zip(chain, tars, strict=True):
        assert b"".join(export.layer(store, layer.id)) == data
    assert not os.path.exists(f"{store.home}/staging")
    assert not os.path.exists(f"{store.home}/tempdirs")


@pytest.mark.parametrize("packer", PACKERS)
def test_layers_come_side_by_side(store: Store, packer: str) -> None:
    tars = [tar(number) for number in range(4)]
    source = Source(*tars, pack=PACKERS[packer])
    image = source.fetch(store)
    check(store, image, tars)
    for blob, layer in zip(source.blobs, store.chain(image.layer)[::-1], strict=True):
        assert layer.raw["compressed-diff-digest"] == blob.digest
        assert layer.raw["compressed-size"] == blob.size


def test_what_is_there_is_not_fetched(store: Store) -> None:
    tars = [tar(number, 5) for number in range(3)]
    Source(*tars[:2]).fetch(store)
    source = Source(*tars, tars[0])
    image = source.fetch(store, "localhost/b:1")
    check(store, image, [*tars, tars[0]])
    assert [name for name, _ in source.asked] == [source.blobs[2].digest]  # the last one is a copy of the first


def test_layers_that_are_removed_before_the_pull_holds_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tars = [tar(number, 5) for number in range(3)]
    first = Source(*tars[:2]).fetch(store)
    look = fetch._missing

    def and_then_they_go(where: Store, blobs: Sequence[LayerBlob]) -> list[LayerBlob]:
        found = look(where, blobs)
        where.delete_image(first.id)
        return found

    monkeypatch.setattr(fetch, "_missing", and_then_they_go)
    source = Source(*tars)
    check(store, source.fetch(store, "localhost/b:1"), tars)
    assert len(source.asked) == 3


def test_the_room_that_is_asked_for(store: Store, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(fetch.space, "require", lambda place, size, what: asked.append(size))
    source = Source(tar(1), tar(2))
    sizes = [blob.size for blob in source.blobs]
    source.cut[source.blobs[1].digest] = sizes[1] // 2
    with pytest.raises(ConnectionCut):
        source.fetch(store, parallel=1)
    source.cut.clear()
    source.fetch(store)
    kept = [offset for name, offset in source.asked if name == source.blobs[1].digest][-1]
    assert kept > 0
    assert asked == [sum(sizes), sizes[1] - kept]


def test_a_blob_that_stands_twice_is_fetched_once(store: Store) -> None:
    data = tar(1, 5)
    source = Source(data, tar(2, 3), data)
    check(store, source.fetch(store), [data, tar(2, 3), data])
    assert len(source.asked) == 2


def test_vfs(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "g"), str(tmp_path / "r"), driver="vfs")
    tars = [tar(1, 5), tar(2, 5)]
    image = Source(*tars).fetch(store)
    for layer, data in zip(store.chain(image.layer)[::-1], tars, strict=True):
        assert b"".join(export.layer(store, layer.id)) == data


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints of small layers, so that tests need no large ones."""
    monkeypatch.setattr(checkpoints, "EVERY", 30_000)
    monkeypatch.setattr(checkpoints, "_FIRST_FLUSH", 20_000)
    monkeypatch.setattr(partial, "LEAST", 20_000)
    monkeypatch.setattr(fetch, "_TRACKED", 1)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("packer", ["plain", "gzip", "stored", "members", "flushed"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.97])
def test_a_layer_that_was_cut_off_goes_on(store: Store, packer: str, share: float) -> None:
    tars = [tar(1, 3), tar(2, 20)]
    source = Source(*tars, pack=PACKERS[packer])
    whole = source.blobs[1]
    source.cut[whole.digest] = int(whole.size * share)
    with pytest.raises(ConnectionCut):
        source.fetch(store)
    assert not store.images() and not store.layers()
    source.cut, source.asked, source.sent = {}, [], 0
    image = source.fetch(store)
    check(store, image, tars)
    # The other layer may have been cut off by this one's end.
    again = source.blobs[0].size if len(source.asked) > 1 else 0
    assert source.sent <= whole.size * (1 - share) + again + 250_000
    assert whole.digest in [name for name, _ in source.asked]


@pytest.mark.usefixtures("small")
def test_a_layer_may_be_cut_off_again_and_again(store: Store) -> None:
    data = tar(3, 60)
    source = Source(data)
    [blob] = source.blobs
    offsets = []
    for tenth in range(2, 10, 2):
        source.cut[blob.digest] = blob.size * tenth // 10
        with pytest.raises(ConnectionCut):
            source.fetch(store)
        offsets.append(source.asked[-1][1])
    source.cut = {}
    check(store, source.fetch(store), [data])
    assert offsets == sorted(set(offsets)) and len(offsets) == 4


@pytest.mark.usefixtures("small")
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cut=st.integers(0, 1 << 20),
    level=st.integers(0, 9),
    seed=st.integers(0, 5),
    strategy=st.sampled_from([0, 1, 2, 3, 4]),
)
def test_any_cut(tmp_path_factory: pytest.TempPathFactory, cut: int, level: int, seed: int, strategy: int) -> None:
    def pack(data: bytes) -> bytes:
        one = zlib.compressobj(level, zlib.DEFLATED, 31, 9, strategy)
        return one.compress(data) + one.flush()

    place = tmp_path_factory.mktemp("cut")
    store = Store(str(place / "g"), str(place / "r"))
    data = tar(seed, 6, 100_000)
    source = Source(data, pack=pack)
    [blob] = source.blobs
    source.cut[blob.digest] = cut % (blob.size + 1)
    try:
        source.fetch(store)
    except ConnectionCut:
        source.cut = {}
        check(store, source.fetch(store), [data])


@pytest.mark.usefixtures("small")
def test_what_is_wrong_is_not_kept(store: Store) -> None:
    source = Source(tar(1, 10), tar(2, 10))
    store.prepare()
    before = listing(store)
    bad = source.blobs[1].digest
    source.content[bad] = source.content[bad][:-9] + b"x" + source.content[bad][-8:]
    with pytest.raises(BadArchive):
        source.fetch(store)
    assert listing(store) == before


@pytest.mark.parametrize(
    "data",
    [b"<html>no</html>" * 100, b"PK\x03\x04" + bytes(2000), gzip.compress(b"no archive at all" * 100)],
    ids=["html", "zip", "gzip of text"],
)
def test_what_is_no_layer(store: Store, data: bytes) -> None:
    source = Source(data, pack=bytes)
    store.prepare()
    before = listing(store)
    with pytest.raises(BadArchive):
        source.fetch(store)
    assert listing(store) == before


@pytest.mark.usefixtures("small")
def test_a_kept_layer_that_has_suffered_begins_anew(store: Store) -> None:
    data = tar(2, 20)
    source = Source(data)
    [blob] = source.blobs
    source.cut[blob.digest] = blob.size // 2
    states: list[Callable[[Path], object]] = [
        lambda place: (place / "dir/state.json").write_text("{"),
        lambda place: (place / "dir/state.json").write_text("[]"),
        lambda place: os.truncate(place / "dir/1/split", 100),
        lambda place: max((place / "dir/1/layer").rglob("f*"), key=lambda file: file.stat().st_size).write_text("x"),
        lambda place: change(place, "given", 1 << 40),
        lambda place: change(place, "offset", -5),
        lambda place: change(place, "offset", 1),
        lambda place: change(place, "taken", 1 << 50),
        lambda place: change(place, "sum", "00" * 112),
        lambda place: change(place, "sum", "ff" * 112),
        lambda place: change(place, "bits", 9),
        lambda place: change(place, "kind", 77),
        lambda place: change(place, "kind", 0),
        lambda place: change(place, "given", 5),
    ]
    for number, spoil in enumerate(states):
        with pytest.raises(ConnectionCut):
            source.fetch(store)
        [place] = Path(f"{store.home}/staging").iterdir()
        spoil(place)
        cut, source.cut = source.cut, {}
        image = source.fetch(store)
        check(store, image, [data])
        store.delete_image(image.id)
        source.cut = cut
        assert not store.layers(), number


def change(place: Path, key: str, value: object) -> None:
    state = json.loads((place / "dir/state.json").read_text())
    state["cut"][key] = value
    (place / "dir/state.json").write_text(json.dumps(state))


@pytest.mark.usefixtures("small")
def test_what_is_kept_is_swept_one_day(store: Store) -> None:
    source = Source(tar(2, 20))
    [blob] = source.blobs
    source.cut[blob.digest] = blob.size // 2
    with pytest.raises(ConnectionCut):
        source.fetch(store)
    assert partial.sweep(store.image_home) == []
    [place] = Path(f"{store.home}/staging").iterdir()
    os.utime(place / "dir/state.json", (time.time() - 90_000, time.time() - 90_000))
    assert partial.sweep(store.image_home) == [str(place)]
    assert not os.path.exists(f"{store.home}/staging")


@pytest.mark.usefixtures("small")
def test_nothing_outlives_a_reboot(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(tar(2, 20))
    [blob] = source.blobs
    source.cut[blob.digest] = blob.size // 2
    with pytest.raises(ConnectionCut):
        source.fetch(store)
    monkeypatch.setattr(partial, "_boot", lambda: "another")
    source.cut, source.asked = {}, []
    source.fetch(store)
    assert source.asked == [(blob.digest, 0)]


def test_one_failure_ends_all(store: Store) -> None:
    source = Source(*[tar(number, 5) for number in range(6)])
    for blob in source.blobs:
        source.cut[blob.digest] = -1  # they say nothing until they are closed
    failing = source.blobs[3].digest

    def open_(blob: LayerBlob, offset: int) -> Body:
        if blob.digest == failing:
            raise RegistryError("refused")
        return source.open(blob, offset)

    with pytest.raises(RegistryError, match="refused"):
        fetch.fetch(store, source.blobs, open_, config=source.config, manifests=[b"{}"], names=[], created="")
    assert not os.path.exists(f"{store.home}/staging")


PROGRAM = """
import json, sys, time
sys.path[:0] = {path!r}
import test_fetch as t
from storage import checkpoints, fetch, partial
checkpoints.EVERY, checkpoints._FIRST_FLUSH, partial.LEAST, fetch._TRACKED = 30_000, 20_000, 20_000, 1
from pypod.entry import _catch_signals
_catch_signals()
source = t.Source(*[t.tar(number, 10) for number in range(3)])
slow = {slow!r}
class Slow(t.Body):
    def read(self, count):
        if slow == "last" and self.name == source.blobs[2].digest and self.offset > 200_000:
            print("slow", flush=True)
            self.closed.wait(60)
        elif slow == "all":
            time.sleep(0.01)
        return super().read(count)
source.open = lambda blob, offset: (source.asked.append((blob.digest, offset)), Slow(source, blob.digest, offset))[1]
image = source.fetch(t.Store({root!r}, {root!r} + "-run"))
print(json.dumps([image.id, len(source.asked)]), flush=True)
"""


def start(store: Store, slow: str) -> subprocess.Popen[str]:
    here = [str(Path(__file__).parent), str(Path(__file__).parents[2]), *sys.path]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(path=here, slow=slow, root=store.graphroot)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=box.python_environment(),
    )


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_pull_that_is_ended_by_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    store = Store(str(tmp_path / "g"), str(tmp_path / "r"))
    program = start(store, "last")
    assert program.stdout and program.stdout.readline() == "slow\n"
    time.sleep(0.3)  # the other layers come to their end
    program.send_signal(number)
    program.communicate(timeout=20)
    assert program.returncode
    assert not store.images() and not store.layers()
    tars = [tar(index, 10) for index in range(3)]
    source = Source(*tars)
    check(store, source.fetch(store), tars)
    [(name, offset)] = source.asked
    assert name == source.blobs[2].digest
    assert offset == 0 if number == signal.SIGKILL else offset > 100_000


def test_two_at_once_share_the_work(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "g"), str(tmp_path / "r"))
    programs = [start(store, "all") for _ in range(3)]
    results = [json.loads(program.communicate(timeout=60)[0]) for program in programs]
    assert len({id for id, _ in results}) == 1
    assert sorted(asked for _, asked in results) == [0, 0, 3]
    [image] = store.images()
    check(store, image, [tar(index, 10) for index in range(3)])


def test_who_waits_goes_on_when_the_first_is_killed(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "g"), str(tmp_path / "r"))
    first = start(store, "last")
    assert first.stdout and first.stdout.readline() == "slow\n"
    said = []

    class Listener(Progress):
        def say(self, text: str) -> None:
            said.append(text)
            first.kill()

    tars = [tar(index, 10) for index in range(3)]
    check(store, Source(*tars).fetch(store, progress=Listener()), tars)
    assert said == [said[0]] and "Waiting" in said[0]
    first.communicate()


@pytest.mark.parametrize("level", [1, 3, 19, 22])
def test_the_memory_that_zstd_needs(level: int) -> None:
    for size in (100, 300, 70_000, 3_000_000):
        for known in (True, False):
            parameters = zstandard.ZstdCompressionParameters.from_level(
                level, source_size=size, write_content_size=known
            )
            packed = zstandard.ZstdCompressor(compression_params=parameters).compress(
                random.Random(1).randbytes(size)
            )
            assert stream.zstd_window(packed[:18]) == zstandard.get_frame_parameters(packed).window_size
    assert stream.zstd_window(b"\x28\xb5\x2f\xfd") == 0


@given(st.binary(max_size=5000), st.integers(0, 5000))
def test_a_sum_goes_on_from_its_state(data: bytes, cut: int) -> None:
    one = sha256.Sha256()
    one.update(data[:cut])
    other = sha256.Sha256(one.state())
    other.update(data[cut:])
    assert other.hexdigest() == hashlib.sha256(data).hexdigest()
    assert one.hexdigest() == hashlib.sha256(data[:cut]).hexdigest()


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_empty_members_of_gzip(step: int) -> None:
    for tail in (gzip.compress(b"x" * 100), bytes(512), gzip.compress(b""), b""):
        data = gzip.compress(b"") + tail
        one = inflate.Inflater()
        pieces = [piece for at in range(0, len(data), step) for piece in one.feed(data[at : at + step])]
        one.finish()
        assert b"".join(pieces) == (b"x" * 100 if len(tail) > 20 and tail[0] else b"")


@settings(deadline=None)
@given(st.binary(max_size=3000), st.integers(1, 700))
def test_what_is_no_gzip_is_an_error(data: bytes, step: int) -> None:
    for broken in (data, gzip.compress(data)[:-5], gzip.compress(data * 9)[5:]):
        one = inflate.Inflater()
        try:
            for at in range(0, len(broken), step):
                one.wanted = True
                for _ in one.feed(broken[at : at + step]):
                    pass
            one.finish()
        except ValueError:
            continue
        finally:
            one.close()
        assert not broken or zlib.decompress(broken, 31) is not None
