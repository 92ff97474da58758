"""Lists as documents: which kind they are written as, and that what nobody here knows stays."""

from __future__ import annotations

import json

import pytest

from pypod.errors import BadArchive, NotFound
from pypod.oci import manifest_list
from pypod.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def test_the_kind_is_what_holds_all_that_is_said() -> None:
    document = manifest_list.new()
    assert manifest_list.kind_of(document) == OCI_INDEX
    manifest_list.put(document, manifest_list.describe(DOCKER_MANIFEST, A, 5, {"os": "linux", "architecture": "arm"}))
    assert manifest_list.kind_of(document) == DOCKER_LIST
    manifest_list.annotate(manifest_list.entry(document, A), annotations={"k": "v"})
    assert manifest_list.kind_of(document) == OCI_INDEX
    docker = json.loads(manifest_list.dump(document, DOCKER_LIST))
    assert docker["mediaType"] == DOCKER_LIST and "annotations" not in docker["manifests"][0]
    manifest_list.put(document, manifest_list.describe(OCI_MANIFEST, B, 5, None))
    assert [item["digest"] for item in document["manifests"]] == [A, B]
    manifest_list.put(document, manifest_list.describe(DOCKER_MANIFEST, A, 7, None))
    assert [item["size"] for item in document["manifests"]] == [7, 5]


def test_annotating_keeps_what_is_not_named() -> None:
    config = {"os": "linux", "architecture": "arm64", "variant": "v8", "os.features": ["x"], "config": {}}
    item = manifest_list.describe(OCI_MANIFEST, A, 5, config)
    manifest_list.annotate(item, architecture="s390x", os_version="9", features=["f"])
    assert item["platform"] == {
        "architecture": "s390x",
        "os": "linux",
        "os.version": "9",
        "os.features": ["x"],
        "variant": "v8",
        "features": ["f"],
    }
    document = {**manifest_list.new(), "manifests": [item]}
    assert "features" in json.loads(manifest_list.dump(document))["manifests"][0]["platform"]
    assert "features" not in json.loads(manifest_list.dump(document, OCI_INDEX))["manifests"][0]["platform"]


def test_what_others_wrote_stays() -> None:
    data = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{"mediaType": OCI_MANIFEST, "digest": A, "size": 1, "x-new": [1]}],
        "x-top": True,
    }
    document = manifest_list.read(json.dumps(data).encode())
    assert json.loads(manifest_list.dump(document)) == data
    manifest_list.remove(document, A)
    with pytest.raises(NotFound, match="no instance matching digest"):
        manifest_list.remove(document, A)


@pytest.mark.parametrize(
    "text",
    [
        '{"schemaVersion":2,"layers":[]}',
        '{"schemaVersion":2}',
        '{"schemaVersion":2,"manifests":[{"digest":"x"}]}',
        '{"schemaVersion":2,"manifests":[{"digest":5}]}',
        '{"schemaVersion":2,"manifests":[],"config":{}}',
        "[]",
    ],
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(BadArchive):
        manifest_list.read(text.encode())
