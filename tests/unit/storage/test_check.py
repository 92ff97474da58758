"""Leftovers of killed processes, and damage."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest
from archives import layer, tree

from pypod.base import files
from storage import archive, check, mend, trash
from storage.records import Image
from storage.store import Store
from support import signalled


def test_leftovers_are_found_and_removed(store: Store, tmp_path: Path) -> None:
    image = archive.import_stream(store, io.BytesIO(layer("a")).read, names=["localhost/a:1"])
    store.create_container(id="c" * 64, names=["c"], image=image)
    assert check.leftovers(store) == [] == mend.clean(store, 0) == check.damaged(store)
    before = tree(tmp_path)
    ghost = "f" * 64
    shutil.copytree(f"{store.home}/{image.layer}", f"{store.home}/{ghost}", symlinks=True)
    Path(f"{store.home}/{ghost}/link").write_text("GHOST")
    os.symlink(f"../{ghost}/diff", f"{store.home}/l/GHOST")
    os.symlink("../nothing/diff", f"{store.home}/l/DANGLING")
    Path(f"{store.layers_dir}/{ghost}.tar-split.gz").touch()
    for place in (store.images_dir, store.containers_dir, f"{store.runroot}/overlay-containers"):
        files.make_directory(f"{place}/{ghost}/userdata")
    Path(f"{store.home}/tempdirs/temp-dir-x/1").mkdir(parents=True)
    Path(f"{store.home}/tempdirs/lock-x").touch()
    assert len(check.leftovers(store)) == 6
    assert len(mend.clean(store, 0)) == 6
    assert tree(tmp_path) == before


def test_a_signal_while_a_staging_area_is_made_leaves_none(store: Store) -> None:
    store.prepare()
    area = trash.Staging(store.home)

    def make() -> None:
        nonlocal area
        assert not os.path.exists(f"{store.home}/tempdirs")
        area = trash.Staging(store.home).__enter__()

    assert signalled.after_each_call(make) > 5
    assert os.path.isdir(area.path)
    area.__exit__(None, None, None)
    assert not os.path.exists(f"{store.home}/tempdirs")


def test_a_container_that_is_made_meanwhile_is_not_damaged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    image = archive.import_stream(store, io.BytesIO(layer("a")).read, names=["localhost/a:1"])
    images = store.images

    def make_one_first() -> list[Image]:
        if not store.containers():
            Store(store.graphroot, store.runroot).create_container(id="c" * 64, names=["c"], image=image)
        return images()

    monkeypatch.setattr(store, "images", make_one_first)
    assert check.damaged(store) == []


def test_damage_is_told(store: Store) -> None:
    image = archive.import_stream(store, io.BytesIO(layer("a")).read, names=["localhost/a:1"])
    Path(f"{image.directory}/manifest").unlink()
    shutil.rmtree(f"{store.home}/{image.layer}")
    lines = [item.line for item in check.damaged(store)]
    assert len(lines) == 2
    assert lines[0] == f"layer {image.layer}: its files are missing"
    assert image.id in lines[1] and "No such file" in lines[1]
