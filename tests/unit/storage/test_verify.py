"""``system check``'s eyes: every kind of damage is seen, and repaired alone; a sound store is called sound."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import directory, docker_archive, entry, layer, pack

from pypod.errors import StorageError
from storage import archive, check, load, mend, verify
from storage.records import Image
from storage.store import Store

BASE = pack(
    directory("d"),
    (entry("d/file"), b"content"),
    entry("d/empty"),
    entry("d/link", tarfile.SYMTYPE, linkname="file"),
    entry("d/hard", tarfile.LNKTYPE, linkname="d/file"),
    entry("fifo", tarfile.FIFOTYPE),
    (entry("big"), bytes(range(256)) * 9000),
    (entry("n" * 150 + "/é"), b"x"),
)
TOP = pack((entry("implied/parent/f"), b"f"), (entry("d/file"), b"new"), (entry("d/file"), b"newer"))


@pytest.fixture
def image(store: Store, tmp_path: Path) -> Image:
    made = docker_archive(tmp_path / "a.tar", [BASE, TOP], ["localhost/a:1"])
    return load.load(store, str(made), normalise=lambda name: name)[0][0]


def lines(store: Store, quick: bool = True) -> list[str]:
    return [item.line for item in check.damaged(store, quick=quick)]


def diffs(store: Store, image: Image) -> tuple[Path, Path]:
    """The directories of the top layer and the base."""
    top, base = store.chain(image.layer)
    return Path(store.diff_directory(top.id)), Path(store.diff_directory(base.id))


def test_a_sound_store(store: Store, image: Image) -> None:
    store.create_container(id="c" * 64, names=["c"], image=image)
    assert lines(store) == lines(store, quick=False) == check.leftovers(store) == check.unused_layers(store, 0) == []


def cut(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "spoil", "quick"),
    [
        ("d/file", cut, "d/file has 0 bytes instead of 7"),
        ("d/file", Path.unlink, "d/file is missing"),
        ("d/empty", Path.unlink, "d/empty is missing"),
        ("d/empty", lambda path: path.write_bytes(b"x"), "d/empty has 1 bytes instead of 0"),
        ("fifo", Path.unlink, "fifo is missing"),
        ("d/link", lambda path: (path.unlink(), path.touch()), "d/link is not a symbolic link"),
        ("big", lambda path: path.write_bytes(bytes(path.stat().st_size)), ""),
    ],
)
def test_a_damaged_file(store: Store, image: Image, name: str, spoil: Callable[[Path], object], quick: str) -> None:
    spoil(diffs(store, image)[1] / name)
    base = store.chain(image.layer)[1].id
    found = lines(store)
    assert found == ([f"layer {base}: {quick}"] if quick else [])
    assert lines(store, quick=False) == (found or [f"layer {base}: big has been changed"])
    removed = mend.remove_damaged(
        store, check.damaged(store, quick=False), force=False, remove_container=lambda id: None
    )
    assert removed == [f"image {image.id}"]
    assert store.images() == [] and store.layers() == {} and check.leftovers(store) == []


def test_what_a_container_uses_stays_unless_forced(store: Store, image: Image) -> None:
    other = archive.import_stream(store, io.BytesIO(layer("b")).read, names=["localhost/b:1"])
    store.create_container(id="c" * 64, names=["c"], image=image)
    store.create_container(id="d" * 64, names=["d"], image=other)
    cut(diffs(store, image)[0] / "d/file")
    damage = check.damaged(store)
    assert mend.remove_damaged(store, damage, force=False, remove_container=lambda id: None) == []
    removed = mend.remove_damaged(
        store, damage, force=True, remove_container=lambda id: (store.delete_container(id), None)[1]
    )
    assert removed == [f"container {'c' * 64}", f"image {image.id}"]
    assert [item.id for item in store.containers()] == ["d" * 64]
    assert [item.id for item in store.images()] == [other.id]
    assert lines(store, quick=False) == check.leftovers(store) == []


def test_short_names_are_written_again(store: Store, image: Image) -> None:
    """What a power cut does to podman's layers: ``link`` and ``lower`` empty, links in ``l/`` gone."""
    top, base = store.chain(image.layer)
    for item in (top, base):
        for name in ("link", "lower"):
            if os.path.exists(f"{store.home}/{item.id}/{name}"):
                cut(Path(f"{store.home}/{item.id}/{name}"))
    for name in os.listdir(f"{store.home}/l"):
        os.unlink(f"{store.home}/l/{name}")
    assert len(lines(store)) == 2
    assert len(mend.relink(store)) == 2
    assert lines(store, quick=False) == check.leftovers(store) == []
    assert store.lower_directories(top.id) == [f"{store.home}/l/" + Path(f"{store.home}/{base.id}/link").read_text()]


@pytest.mark.parametrize("content", [b"", b"[{", b'{"a":1}'])
def test_a_file_of_records_that_is_none_is_not_written_over(store: Store, image: Image, content: bytes) -> None:
    for table in (store.image_table, store.layer_table, store.container_table):
        path = Path(table.path)
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        with pytest.raises(StorageError):
            archive.import_stream(store, io.BytesIO(layer("b")).read, names=["localhost/b:1"])
            store.create_container(id="c" * 64, names=["c"], image=image)
        assert path.read_bytes() == content
        assert [item.kind for item in check.damaged(store)] == ["file"]
        with pytest.raises(StorageError):
            mend.clean(store, 0)
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
    mend.clean(store, 0)
    assert image.id in [item.id for item in store.images()]
    assert lines(store, quick=False) == []


def test_a_broken_row_is_alone(store: Store, image: Image) -> None:
    """The others are used and written; it stays as it is until it is repaired away, and then a copy is kept."""
    path = Path(store.image_table.path)
    rows = json.loads(path.read_text())
    bad = [{"id": "b" * 64, "names": "no list"}, 17]
    path.write_text(json.dumps([bad[0], *rows, bad[1]]))
    assert [item.id for item in store.images()] == [image.id]
    store.tag(image.id, ["localhost/more:1"])
    assert json.loads(path.read_text())[1:] == bad
    assert [item.kind for item in check.damaged(store)] == ["record", "record"]
    assert check.unused_layers(store, 0) == []
    removed = mend.remove_damaged(store, check.damaged(store), force=False, remove_container=lambda id: None)
    assert len(removed) == 2
    assert [row["id"] for row in json.loads(path.read_text())] == [image.id]
    (kept,) = Path(f"{store.graphroot}/pypod").iterdir()
    assert json.loads(kept.read_text()) == bad


def test_image_data(store: Store, image: Image) -> None:
    config = next(
        path for path in Path(image.directory).iterdir() if path.name.startswith("=") and path.stat().st_size
    )
    content = config.read_bytes()
    config.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert len(lines(store, quick=False)) == 1
    config.write_bytes(content[:-1])
    assert len(lines(store)) == 1


def test_layers_that_nothing_uses(store: Store, image: Image) -> None:
    Path(store.image_table.path).unlink()
    store.image_table.rows()
    ids = [item.id for item in store.chain(image.layer)]
    assert check.unused_layers(store) == [] and check.unused_layers(store, 0) == ids
    mend.clean(store)
    assert len(store.layers()) == 2
    assert [line for line in mend.clean(store, 0) if line.startswith("layer")] == [f"layer {id}" for id in ids]
    assert store.layers() == {} and check.leftovers(store) == []


def test_a_damaged_tar_split(store: Store, image: Image) -> None:
    split = Path(f"{store.layers_dir}/{image.layer}.tar-split.gz")
    content = split.read_bytes()
    top = store.layer(image.layer)
    for spoiled in (b"", content[: len(content) // 2], content[:40] + b"XXXX" + content[44:]):
        split.write_bytes(spoiled)
        assert verify.layer(store, top, quick=True), spoiled
    split.unlink()
    assert verify.layer(store, top, quick=True)
