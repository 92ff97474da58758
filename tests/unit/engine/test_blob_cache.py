"""The cache of what registries have: hints that nothing breaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pypod.engine import blob_cache
from pypod.oci.manifest_write import Blob
from storage.store import Store

DIFF = "sha256:" + "d" * 64


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path), str(tmp_path / "r"))


def test_the_latest_comes_first(store: Store) -> None:
    assert blob_cache.find(store, DIFF) == []
    first = Blob(digest=digest(1), size=10, compression="gzip")
    second = Blob(digest=digest(2), size=20, compression="zstd:chunked", annotations={"a": "b"})
    blob_cache.note(store, DIFF, first, "one.example/a")
    blob_cache.note(store, DIFF, second, "two.example:5000/b")
    blob_cache.note(store, DIFF, first, "two.example:5000/c/d")
    known = blob_cache.find(store, DIFF)
    assert [item.blob for item in known] == [first, second]
    assert known[0].repositories("two.example:5000") == ["c/d"]
    assert known[0].repositories("one.example") == ["a"]
    assert known[0].repositories("example") == []


def test_it_stays_small(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_cache, "_MOST_FILES", 8)
    for number in range(30):
        blob_cache.note(store, DIFF, Blob(digest=digest(number), size=1), f"x/{number}")
        blob_cache.note(store, DIFF, Blob(digest=digest(7), size=1), f"x/{number}")
        blob_cache.note(store, digest(number), Blob(digest=digest(1), size=1), "x/y")
    assert len(blob_cache.find(store, DIFF)) == 8
    assert len(blob_cache.find(store, DIFF)[0].places) == 8
    assert len(list(Path(store.graphroot, "pypod/blobs").iterdir())) <= 8


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[{",
        b"[1, null]",
        json.dumps([{"digest": "sha256:1", "size": 1, "compression": "", "places": []}]).encode(),
        json.dumps([{"digest": digest(1), "size": -1, "compression": "", "places": []}]).encode(),
        json.dumps([{"digest": digest(1), "size": 1, "compression": "lz4", "places": []}]).encode(),
        json.dumps(
            [{"digest": digest(1), "size": 1, "compression": "", "annotations": {"a": 1}, "places": []}]
        ).encode(),
    ],
)
def test_what_is_broken_is_not_there(store: Store, content: bytes) -> None:
    path = Path(store.graphroot, "pypod/blobs")
    path.mkdir(parents=True)
    (path / f"{DIFF[7:]}.json").write_bytes(content)
    assert blob_cache.find(store, DIFF) == []
    blob_cache.note(store, DIFF, Blob(digest=digest(1), size=1), "x/y")
    assert len(blob_cache.find(store, DIFF)) == 1
    assert blob_cache.find(store, "../../etc/passwd") == []
