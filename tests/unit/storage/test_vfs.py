"""The vfs driver: layers that are whole trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from archives import directory, docker_archive, entry, pack, tree
from test_import import exported

from pypod.oci.reference import normalise
from storage import load
from storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "g"), str(tmp_path / "r"), driver="vfs")


BASE = pack(
    directory("d", 0o711), (entry("d/a"), b"a"), (entry("d/b"), b"b"), (entry("e/x"), b"x"), (entry("f"), b"f")
)
UPPER = pack(
    (entry("d/.wh.a"), b""),
    directory("e"),
    (entry("e/y"), b"y"),
    (entry("e/.wh..wh..opq"), b""),
    (entry("f"), b"other"),
    (entry("d/c"), b"c"),
)


def test_layers_are_trees(store: Store, tmp_path: Path) -> None:
    [(image, _)] = load.load(store, str(docker_archive(tmp_path / "a", [BASE, UPPER], ["x"])), normalise=normalise)
    top = Path(store.diff_directory(image.layer))
    assert top.parent == tmp_path / "g/vfs/dir"
    assert {name: content for name, (mode, _, content) in tree(top).items() if content} == {
        "d/b": b"b",
        "d/c": b"c",
        "e/y": b"y",
        "f": b"other",
    }
    assert (top / "d").stat().st_mode & 0o777 == 0o711
    assert [exported(store, item.id) for item in store.chain(image.layer)] == [UPPER, BASE]
    assert sorted(store.diff(image.layer)) == [
        ("A", "/d/c"),
        ("A", "/e/y"),
        ("C", "/d"),
        ("C", "/e"),
        ("C", "/f"),
        ("D", "/d/a"),
        ("D", "/e/x"),
    ]
    assert store.delete_image(image.id)
    assert os.listdir(tmp_path / "g/vfs") == ["dir"] and os.listdir(tmp_path / "g/vfs/dir") == []


def test_a_container(store: Store, tmp_path: Path) -> None:
    [(image, _)] = load.load(store, str(docker_archive(tmp_path / "a", [BASE], ["x"])), normalise=normalise)
    before = tree(tmp_path / "g/vfs")
    made = store.create_container(id="c" * 64, names=["c"], image=image)
    place = Path(store.mount(made.layer))
    (place / "f").unlink()
    (place / "new").write_text("new")
    assert list(store.diff(made.layer)) == [("D", "/f"), ("A", "/new")]
    assert not store.unmount(made.layer)
    assert store.delete_container(made.id)
    assert tree(tmp_path / "g/vfs") == before
