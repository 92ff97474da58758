"""Manifests, indexes and platforms as data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pypod.errors import BadArchive, UsageError
from pypod.oci import manifest, platform
from pypod.oci.digest import of
from pypod.oci.manifest import Descriptor, Index, Manifest
from pypod.oci.platform import Platform

DIGEST = "sha256:" + "a" * 64
CONFIG = {"mediaType": manifest.OCI_CONFIG, "digest": DIGEST, "size": 2}


def data(**document: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, **document}).encode()


def test_a_manifest_with_all_it_may_have() -> None:
    layer = {
        "mediaType": manifest.OCI_LAYER_GZIP,
        "digest": DIGEST,
        "size": 5,
        "urls": ["https://x/y"],
        "annotations": {"a": "b"},
    }
    found = manifest.parse(
        data(config=CONFIG, layers=[layer], annotations={"k": "v"}, subject=CONFIG), manifest.OCI_MANIFEST
    )
    assert isinstance(found, Manifest) and found.is_image and found.media_type == manifest.OCI_MANIFEST
    assert found.layers == (
        Descriptor(
            media_type=manifest.OCI_LAYER_GZIP, digest=DIGEST, size=5, urls=("https://x/y",), annotations={"a": "b"}
        ),
    )
    assert found.annotations == {"k": "v"} and found.subject == found.config


def test_an_artifact_is_no_image() -> None:
    config = {**CONFIG, "mediaType": "application/vnd.oci.empty.v1+json"}
    found = manifest.parse(data(mediaType=manifest.OCI_MANIFEST, artifactType="text/x", config=config, layers=[]))
    assert isinstance(found, Manifest) and not found.is_image and found.artifact_type == "text/x"


REFUSED = {
    "schema 1": (data(mediaType=manifest.SCHEMA_1[1]), "", "schema 1"),
    "schema 1 without a type": (b'{"schemaVersion": 1, "fsLayers": []}', "", "schema 1"),
    "a list": (b"[]", "", "not a JSON object"),
    "two in one": (data(manifests=[], config=CONFIG), "", "index for one reader"),
    "an image called an index": (data(config=CONFIG, layers=[]), manifest.OCI_INDEX, "media type"),
    "an index called an image": (data(manifests=[]), manifest.DOCKER_MANIFEST, "media type"),
    "an index that says it is an image": (data(mediaType=manifest.OCI_MANIFEST, manifests=[]), "", "media type"),
    "no layers": (data(config=CONFIG), "", "no layers"),
    "no config": (data(layers=[]), "", "descriptor of config"),
    "another digest": (data(config={**CONFIG, "digest": "sha512:" + "a" * 128}, layers=[]), "", "sha256 digest"),
    "a size below nothing": (data(config={**CONFIG, "size": -1}, layers=[]), "", "size of config"),
    "a key twice": (b'{"layers": [], "layers": []}', "", "twice"),
    "another case": (data(config=CONFIG, layers=[], Layers=[]), "", "'Layers'"),
    "a platform of numbers": (data(manifests=[{"digest": DIGEST, "platform": {"os": 5}}]), "", "not a string"),
    "NaN": (b'{"schemaVersion": NaN}', "", "NaN"),
    "depth": (b"[" * 100_000, "", "nested too deeply"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    content, media_type, message = REFUSED[name]
    with pytest.raises(BadArchive, match=message) as caught:
        manifest.parse(content, media_type)
    assert caught.value.message.isprintable() and len(caught.value.message) < 400


def index(*platforms: str) -> Index:
    manifests = []
    for number, text in enumerate(platforms):
        item: dict[str, Any] = {"digest": f"sha256:{number:064x}", "size": 1}
        if text:
            given = platform.parse(text)
            item["platform"] = {"os": given.os, "architecture": given.architecture, "variant": given.variant}
        manifests.append(item)
    found = manifest.parse(data(mediaType=manifest.OCI_INDEX, manifests=manifests))
    assert isinstance(found, Index)
    return found


CHOICES = [
    # as podman chooses: (wanted, what there is, which)
    ("linux/amd64", ("linux/arm64", "linux/amd64"), 1),
    ("linux/arm/v7", ("linux/arm/v5", "linux/arm/v6", "linux/arm/v8"), 1),
    ("linux/arm/v7", ("linux/arm", "linux/arm/v5", "linux/arm/v7"), 2),
    ("linux/arm/v6", ("linux/arm/v7", "linux/arm"), 1),
    ("linux/arm", ("linux/arm/v6", "linux/arm/v7"), 1),
    ("linux/arm", ("linux/arm/v7", "linux/arm"), 1),
    ("linux/arm64", ("linux/arm64/v8", "linux/amd64"), 0),
    ("linux/arm64/v8", ("linux/amd64", "linux/arm64"), 1),
    ("linux/amd64/v3", ("linux/amd64/v2", "linux/amd64"), 1),
    ("linux/amd64", ("linux/amd64", "linux/amd64"), 0),
    ("linux/amd64", ("linux/arm64", ""), 1),
    ("linux/amd64", ("", "linux/amd64"), 1),
    ("linux/amd64", ("linux/amd64/v2",), -1),
    ("linux/arm/v6", ("linux/arm/v7",), -1),
    ("linux/amd64", ("windows/amd64", "unknown/unknown"), -1),
    ("windows/amd64", ("linux/amd64", "windows/amd64"), 1),
]


@pytest.mark.parametrize(("text", "there", "which"), CHOICES)
def test_choice(text: str, there: tuple[str, ...], which: int) -> None:
    if which < 0:
        with pytest.raises(BadArchive, match=f"no image is for {text}: there is"):
            manifest.choose(index(*there), platform.parse(text))
    else:
        assert manifest.choose(index(*there), platform.parse(text)).digest == f"sha256:{which:064x}"


def test_an_image_below_two_indexes() -> None:
    blobs: dict[str, bytes] = {}

    def put(content: bytes, **more: Any) -> dict[str, Any]:
        blobs[of(content)] = content
        return {"digest": of(content), "size": len(content), **more}

    image = data(config=CONFIG, layers=[])
    inner = data(mediaType=manifest.OCI_INDEX, manifests=[put(image)])
    outer = data(mediaType=manifest.OCI_INDEX, manifests=[put(inner)])
    found, all_of_them = manifest.resolve(outer, "", platform.here(), lambda item: blobs[item.digest])
    assert found.config.digest == DIGEST and all_of_them == [image, inner, outer]
    for _ in range(3):
        outer = data(mediaType=manifest.OCI_INDEX, manifests=[put(outer)])
    with pytest.raises(BadArchive, match="indexes within indexes"):
        manifest.resolve(outer, "", platform.here(), lambda item: blobs[item.digest])
    with pytest.raises(BadArchive, match="has the digest"):
        manifest.resolve(outer, "", platform.here(), lambda item: b"another")


def test_what_the_flags_ask_for() -> None:
    here = platform.here()
    assert platform.wanted() == here
    assert platform.wanted(platform="linux/arm/v7") == Platform(os="linux", architecture="arm", variant="v7")
    assert platform.wanted(platform="linux/armhf") == Platform(os="linux", architecture="arm", variant="v7")
    assert platform.wanted(architecture="aarch64", variant="v8") == Platform(os="linux", architecture="arm64")
    assert platform.wanted(architecture="x86_64") == Platform(os="linux", architecture="amd64")
    assert platform.wanted(os="windows") == Platform(os="windows", architecture=here.architecture)
    for bad in ("", "linux/", "/", "linux/amd64/v1/x"):
        with pytest.raises(UsageError, match="invalid platform syntax"):
            platform.parse(bad)
    with pytest.raises(UsageError, match="--platform option can not"):
        platform.wanted(platform="linux/amd64", architecture="arm")
