"""Which image a word means, and what names and deletions do to the records."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from archives import layer

from pypod.base import files
from pypod.errors import InUse, NoSuchImage, StorageError
from storage import archive, images
from storage.records import Image
from storage.store import Store


def made(store: Store, content: str, *names: str) -> Image:
    return archive.import_stream(store, io.BytesIO(layer(content)).read, names=names)


def test_an_empty_store_is_not_touched_by_reading(store: Store, tmp_path: Path) -> None:
    assert store.images() == [] and store.containers() == [] and store.layers() == {}
    with pytest.raises(NoSuchImage, match="^x: image not known$"):
        store.find_image("x")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def some(store: Store) -> dict[str, str]:
    """Images by the word that they are called here."""
    return {
        "ours": made(store, "ours", "localhost/bb:1", "localhost/bb:latest").id,
        "hub": made(store, "hub", "docker.io/library/alpine:latest", "docker.io/user/thing:2").id,
        "quay": made(store, "quay", "quay.io/team/tool:1", "localhost:5000/x/y:latest").id,
        "both": made(store, "both", "localhost/alpine:3").id,
    }


@pytest.mark.parametrize(
    "word, which",
    [
        ("localhost/bb:1", "ours"),
        ("bb:1", "ours"),
        ("bb", "ours"),
        ("localhost/bb", "ours"),
        ("alpine", "hub"),
        ("alpine:latest", "hub"),
        ("docker.io/alpine", "hub"),
        ("docker.io/library/alpine", "hub"),
        ("index.docker.io/library/alpine", "hub"),
        ("alpine:3", "both"),
        ("user/thing:2", "hub"),
        ("quay.io/team/tool:1", "quay"),
        ("tool:1", "quay"),
        ("team/tool:1", "quay"),
        ("localhost:5000/x/y", "quay"),
    ],
)
def test_find(store: Store, some: dict[str, str], word: str, which: str) -> None:
    assert store.find_image(word).id == some[which]


def test_find_by_id_and_digest(store: Store, some: dict[str, str]) -> None:
    for identity in some.values():
        image = store.find_image(identity)
        assert image.id == identity
        assert store.find_image(identity[:12]).id == identity
        assert store.find_image(f"sha256:{identity}").id == identity
        name = image.names[0].rpartition(":")[0]
        assert store.find_image(f"{name}@{image.digest}").id == identity
    for word in ("nope", "ool:1", "sha256:", "", "bb:2", f"localhost/other@{image.digest}", "quay.io/bb", "tool"):
        with pytest.raises(NoSuchImage):
            store.find_image(word)


def test_when_configured_names_count(store: Store, some: dict[str, str]) -> None:
    """Files are read only where they can make a difference; the order is podman's."""
    asked: list[str] = []

    def short_names(name: str) -> tuple[str, tuple[str, ...]]:
        asked.append(name)
        return ("alias.example/other" if name == "al" else ""), ("one.example", "two.example")

    store.short_names = short_names
    image = store.find_image(some["ours"])
    for word in ("bb", "bb:1", image.id, image.id[:10], f"sha256:{image.id}", "localhost/bb:1"):
        assert store.find_image(word).id == image.id
    with pytest.raises(NoSuchImage):
        store.find_image("quay.io/not/here")
    assert asked == []
    names = [
        "alias.example/other:1",
        "localhost/al:1",
        "one.example/al:1",
        "two.example/al:1",
        "docker.io/library/al:1",
    ]
    made_of = {name: made(store, name).id for name in names}
    for name, identity in made_of.items():
        store.tag(identity, [name])
    for name, identity in made_of.items():
        assert store.find_image("al:1").id == identity, name
        store.untag(identity, [name])
    assert set(asked) == {"al"}
    with pytest.raises(NoSuchImage):
        store.find_image("al:1")


def test_an_ambiguous_prefix_is_nobody(store: Store) -> None:
    ids = [made(store, str(number)).id for number in range(17)]
    twice = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    with pytest.raises(NoSuchImage):
        store.find_image(twice)


def test_tag_and_untag(store: Store, some: dict[str, str]) -> None:
    store.tag(some["hub"], ["localhost/new:1", "localhost/bb:1"])
    image = store.find_image("new:1")
    assert image.id == some["hub"]
    assert image.names[:2] == ["localhost/new:1", "localhost/bb:1"]
    assert store.find_image(some["ours"]).names == ["localhost/bb:latest"]
    assert store.find_image(some["ours"]).names_history == ["localhost/bb:1", "localhost/bb:latest"]
    store.untag(some["hub"], image.names)
    bare = store.find_image(some["hub"])
    assert bare.names == [] and "names" not in bare.raw
    assert "localhost/new:1" in bare.names_history
    with pytest.raises(NoSuchImage):
        store.tag("0" * 64, ["localhost/x:1"])


def test_unknown_keys_survive(store: Store, some: dict[str, str]) -> None:
    rows = files.read_json(store.image_table.path)
    rows[0]["of-the-future"] = {"a": [1]}
    files.replace_json(store.image_table.path, [*rows, "rubbish", {"no": "id"}])
    store.tag(rows[1]["id"], ["localhost/t:1"])
    again = Store(store.graphroot, store.runroot)
    assert again.find_image(rows[0]["id"]).raw["of-the-future"] == {"a": [1]}
    assert len(again.images()) == 4


def test_a_damaged_file_is_said_so(store: Store, some: dict[str, str]) -> None:
    Path(store.image_table.path).write_text("[{]")
    with pytest.raises(StorageError, match="images.json"):
        Store(store.graphroot, store.runroot).images()


def test_two_stores_see_each_others_changes(store: Store) -> None:
    other = Store(store.graphroot, store.runroot)
    assert other.images() == []
    first = made(store, "a", "localhost/a:1")
    assert [image.id for image in other.images()] == [first.id]
    second = made(other, "b", "localhost/b:1")
    assert {image.id for image in store.images()} == {first.id, second.id}
    other.delete_image(first.id)
    assert [image.id for image in store.images()] == [second.id]


def test_delete_refuses_what_a_container_needs(store: Store, some: dict[str, str]) -> None:
    image = store.find_image("bb")
    container = store.create_container(id="c" * 64, names=["c"], image=image)
    with pytest.raises(InUse, match=f"image used by {container.id}: image is in use by a container") as caught:
        store.delete_image(image.id)
    assert caught.value.code == 2
    assert store.delete_container(container.id)
    assert store.delete_image(image.id) == [image.layer]


def test_read_only_stores(store: Store, tmp_path: Path) -> None:
    image = made(store, "shared", "localhost/shared:1")
    mine = Store(str(tmp_path / "g2"), str(tmp_path / "r2"), additional_image_stores=[store.graphroot])
    found = mine.find_image("shared:1")
    assert found.id == image.id and found.read_only
    assert mine.image_config(found)["rootfs"]
    container = mine.create_container(id="c" * 64, names=["c"], image=found)
    lowers = mine.lower_directories(container.layer)
    assert [os.path.samefile(lowers[0], store.diff_directory(image.layer)), len(lowers)] == [True, 1]
    mine.tag(found.id, ["localhost/mine:1"])
    copied = Store(mine.graphroot, mine.runroot).find_image("mine:1")
    assert not copied.read_only
    assert mine.image_data(copied, "manifest") == store.image_data(image, "manifest")


@pytest.mark.parametrize(
    "key, name",
    [
        ("manifest", "manifest"),
        ("sha256:ab", "=c2hhMjU2OmFi"),
        ("Manifest", "=TWFuaWZlc3Q="),
        ("a-b", "=YS1i"),
    ],
)
def test_names_of_data_files(key: str, name: str) -> None:
    assert images.data_file(key) == name


def test_a_data_key_that_would_be_a_path() -> None:
    with pytest.raises(StorageError):
        images.data_file("???")
