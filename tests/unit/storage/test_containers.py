"""Container records and their layers."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest
from archives import layer, tree

from pypod.base import files
from pypod.errors import InUse, NoSuchContainer, NoSuchImage, StorageError
from storage import archive, trash
from storage.records import Image
from storage.store import Store


@pytest.fixture
def image(store: Store) -> Image:
    return archive.import_stream(store, io.BytesIO(layer("a")).read, names=["localhost/a:1"])


def identity(number: int) -> str:
    return f"{number:064x}"


def test_create_and_delete(store: Store, image: Image, tmp_path: Path) -> None:
    before = tree(tmp_path / "g")
    made = store.create_container(
        id=identity(1), names=["one"], image=image, metadata='{"a":1}', layer_name="one-layer"
    )
    assert Store(store.graphroot, store.runroot).containers() == [made]
    assert made.raw["flags"] == {"MountLabel": "", "ProcessLabel": ""}
    assert (made.image, made.metadata, made.name) == (image.id, '{"a":1}', "one")
    assert Path(store.container_directory(made.id)).is_dir() and Path(store.run_directory(made.id)).is_dir()
    own = store.layer(made.layer)
    assert (own.parent, own.names) == (image.layer, ["one-layer"])
    home = Path(store.home) / made.layer
    assert sorted(item.name for item in home.iterdir()) == ["diff", "link", "lower", "lower-layers", "merged", "work"]
    assert (home / "lower-layers").read_text() == image.layer
    assert os.readlink(f"{store.home}/l/{(home / 'link').read_text()}") == f"../{made.layer}/diff"
    (Path(store.container_directory(made.id)) / "config.json").write_text("{}")
    assert store.delete_container(made.id)
    assert not store.delete_container(made.id)
    after = tree(tmp_path / "g")
    for lists in ("overlay-containers/containers.json",):
        assert after.pop(lists)[2] == b"[]"
    assert after == before
    assert not Path(store.run_directory(made.id)).parent.exists()


def test_find(store: Store, image: Image) -> None:
    store.create_container(id="ab" + "0" * 62, names=["first"], image=image)
    store.create_container(id="ac" + "0" * 62, names=["ab"], image=image)
    assert store.find_container("first").names == ["first"]
    assert store.find_container("ab").names == ["ab"]  # a name wins over the beginning of an id
    assert store.find_container("ab0").names == ["first"]
    assert store.find_container("/first").names == ["first"]
    with pytest.raises(NoSuchContainer, match='^no container with name or ID "x" found: no such container$'):
        store.find_container("x")
    with pytest.raises(NoSuchContainer, match="more than one result for container ID a: container already exists"):
        store.find_container("a")
    with pytest.raises(NoSuchContainer):
        store.find_container("")


def test_a_name_that_is_taken(store: Store, image: Image, tmp_path: Path) -> None:
    store.create_container(id=identity(1), names=["one"], image=image)
    store.create_container(id=identity(2), names=["two"], image=image)
    before = tree(tmp_path)
    with pytest.raises(InUse, match=f'the container name "one" is already in use by {identity(1)}'):
        store.create_container(id=identity(3), names=["one"], image=image)
    with pytest.raises(InUse):
        store.rename_container(identity(2), "one")
    assert tree(tmp_path) == before
    store.rename_container(identity(2), "two")
    store.rename_container(identity(2), "three", '{"name":"three"}')
    assert store.find_container("three").metadata == '{"name":"three"}'
    with pytest.raises(NoSuchContainer):
        store.rename_container(identity(9), "x")


def test_an_image_that_went_meanwhile(store: Store, image: Image, tmp_path: Path) -> None:
    store.delete_image(image.id)
    with pytest.raises(NoSuchImage):
        store.create_container(id=identity(1), names=["one"], image=image)
    assert not store.containers() and os.listdir(f"{store.home}/l") == []


def test_without_an_image(store: Store) -> None:
    made = store.create_container(id=identity(1), names=["rootfs"], image=None)
    assert made.layer == "" and "layer" not in made.raw
    assert store.delete_container(made.id)


def test_a_failure_leaves_nothing(
    store: Store, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(tmp_path / "g")
    real = files.replace

    def fail(path: str, data: bytes, **more: bool) -> None:
        if path.endswith("containers.json"):
            raise OSError(28, "No space left on device")
        real(path, data, **more)

    monkeypatch.setattr(files, "replace", fail)
    with pytest.raises(StorageError, match="No space left on device"):
        store.create_container(id=identity(1), names=["one"], image=image)
    monkeypatch.undo()
    assert tree(tmp_path / "g") == before and not store.containers()
    assert list(store.layers()) == [image.layer]
    assert len(os.listdir(f"{store.home}/l")) == 1


def test_records_of_newer_tools(store: Store, image: Image) -> None:
    """Volatile records live in files of their own there: they count, and can be removed."""
    made = store.create_container(id=identity(1), names=["v"], image=image)
    for old in (store.container_table.path, store.layer_table.path):
        rows = files.read_json(old)
        mine = [row for row in rows if row["id"] in (made.id, made.layer)]
        files.replace_json(old, [row for row in rows if row not in mine])
        directory, name = os.path.split(old)
        files.replace_json(f"{directory}/volatile-{name}", mine)
    assert store.find_container("v").id == made.id
    assert store.layer(made.layer).parent == image.layer
    with pytest.raises(InUse):
        store.delete_image(image.id)
    with pytest.raises(InUse):
        store.create_container(id=identity(2), names=["v"], image=image)
    assert store.delete_container(made.id)
    assert not store.containers() and list(store.layers()) == [image.layer]
    assert not Path(store.home, made.layer).exists()


def test_many_at_once(store: Store, image: Image) -> None:
    errors: list[BaseException] = []

    def work(start: int) -> None:
        mine = Store(store.graphroot, store.runroot)
        try:
            for number in range(start, start + 8):
                mine.create_container(id=identity(number), names=[f"c{number}"], image=image, volatile=True)
            for number in range(start, start + 4):
                assert mine.delete_container(identity(number))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in (100, 200, 300, 400)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(store.containers()) == 16 and len(store.layers()) == 17
    assert len(os.listdir(f"{store.home}/l")) == 17
    assert sorted(os.listdir(store.home)) == sorted(["l", ".has-mount-program", *store.layers()])


def test_a_layer_is_locked_once(store: Store, image: Image) -> None:
    made = store.create_container(id=identity(1), names=["one"], image=image)
    fd = store.lock_layer(made.layer)
    assert fd >= 0
    assert store.lock_layer(made.layer) == -1
    os.close(fd)
    again = store.lock_layer(made.layer)
    assert again >= 0
    os.close(again)


def test_what_a_killed_process_leaves_is_cleaned(store: Store) -> None:
    store.prepare()
    living = trash.Staging(store.home)
    with living:
        dead = trash.Staging(store.home)
        dead.__enter__()
        os.mkdir(dead.new())
        dead.lock.release()  # as the kernel does for a killed process
        assert trash.clean(store.home) == 1
        assert os.path.isdir(living.path) and len(os.listdir(living.parent)) == 2
        assert not os.path.exists(dead.path)
    assert not os.path.exists(f"{store.home}/tempdirs")
    assert trash.clean(store.home) == 0
