"""Lists of images in the store: what is written, and what they mean to who looks for an image."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from archives import layer

from pypod.base import files
from pypod.errors import InUse, NoSuchImage, NotFound, StorageError
from pypod.oci import manifest_list, platform
from pypod.oci.digest import of
from storage import archive, check, lists
from storage.lists import Content
from storage.records import Image
from storage.store import Store


def add(store: Store, image: Image, made: Image, architecture: str) -> Image:
    """Put an image in a list."""

    def edit(content: Content) -> None:
        data = store.image_data(made, "manifest")
        item = manifest_list.describe(
            "application/vnd.oci.image.manifest.v1+json", of(data), len(data), {"os": "linux"}
        )
        manifest_list.annotate(item, architecture=architecture)
        manifest_list.put(content.document, item)
        content.sources[item["digest"]] = f"containers-storage:@{made.id}"

    return lists.change(store, image, edit)


@pytest.fixture
def image(store: Store) -> Image:
    return archive.import_stream(store, io.BytesIO(layer("one")).read, names=["localhost/one:1"])


@pytest.fixture
def made(store: Store, image: Image) -> Image:
    return lists.create(store, ["localhost/list:1"], Content(manifest_list.new(), {}))


def test_a_list_is_kept_as_podman_keeps_it(store: Store, image: Image, made: Image) -> None:
    row = add(store, made, image, platform.here().architecture).raw
    assert row["names"] == ["localhost/list:1"] and "layer" not in row
    assert sorted(row["big-data-names"]) == ["instances.json", "manifest"]
    directory = Path(store.images_dir) / made.id
    for key in row["big-data-names"]:
        data = (directory / key).read_bytes()
        assert row["big-data-sizes"][key] == len(data) and row["big-data-digests"][key] == of(data)
    assert row["digest"] == row["big-data-digests"]["manifest"]
    assert json.loads((directory / "instances.json").read_text()) == {
        "": made.id,
        image.digest: f"containers-storage:@{image.id}",
    }
    document = json.loads((directory / "manifest").read_text())
    assert list(document) == ["schemaVersion", "mediaType", "manifests"]
    assert document["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert [item["digest"] for item in document["manifests"]] == [image.digest]
    assert not check.damaged(store, quick=False)


def test_a_list_means_its_image_for_this_machine(store: Store, image: Image, made: Image) -> None:
    with pytest.raises(NoSuchImage, match="no image is for linux/"):
        store.find_image("list:1")
    add(store, made, image, platform.here().architecture)
    assert store.find_image("list:1").id == image.id
    assert store.find_image("list:1", lists=True).is_list and not image.is_list
    store.delete_image(image.id)
    with pytest.raises(NoSuchImage, match=f"the list's image {image.digest} is not here"):
        store.find_image("list:1")
    store.delete_image(made.id)
    assert store.images() == [] and not [name for name in os.listdir(store.images_dir) if len(name) == 64]


def test_a_list_takes_no_name_away(store: Store, image: Image, made: Image) -> None:
    with pytest.raises(InUse, match=f'"localhost/one:1" is already associated with image "{image.id}"'):
        lists.create(store, ["localhost/one:1"], Content(manifest_list.new(), {}))
    assert len([name for name in os.listdir(store.images_dir) if len(name) == 64]) == 2


def test_what_is_refused_changes_nothing(store: Store, image: Image, made: Image) -> None:
    before = {path: path.read_bytes() for path in Path(store.images_dir).rglob("*") if path.is_file()}
    with pytest.raises(NotFound, match="no instance matching digest"):
        lists.change(store, made, lambda content: manifest_list.remove(content.document, image.digest))
    assert before == {path: path.read_bytes() for path in Path(store.images_dir).rglob("*") if path.is_file()}


def test_an_empty_list_of_podman_is_read_and_extended(store: Store, image: Image, made: Image) -> None:
    kind = "application/vnd.docker.distribution.manifest.list.v2+json"
    directory = f"{store.images_dir}/{made.id}"
    files.replace(f"{directory}/manifest", b'{"schemaVersion":2,"mediaType":"%s","manifests":null}' % kind.encode())
    files.replace(f"{directory}/instances.json", b"{}")
    assert lists.content(made).document["manifests"] == []
    # A crash has left the record behind: that is no damage.
    assert not check.damaged(store, quick=False)
    add(store, made, image, platform.here().architecture)
    assert store.find_image("list:1").id == image.id


def test_a_broken_list_is_told(store: Store, made: Image) -> None:
    files.replace(f"{store.images_dir}/{made.id}/manifest", b'{"schemaVersion":2,"layers":[]}')
    with pytest.raises(StorageError, match=f"cannot read list {made.id[:12]}"):
        lists.content(made)
