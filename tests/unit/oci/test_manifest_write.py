"""Which manifest is written for which layers."""

from __future__ import annotations

import pytest

from pypod.errors import UsageError
from pypod.oci import manifest_write
from pypod.oci.manifest import Manifest, parse
from pypod.oci.manifest_write import DOCKER, OCI, Blob

HEX = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("wanted", "own", "compression", "kind"),
    [
        ("", OCI, "gzip", OCI),
        ("", DOCKER, "gzip", DOCKER),
        ("", DOCKER, "", DOCKER),
        ("", DOCKER, "zstd", OCI),
        ("", DOCKER, "zstd:chunked", OCI),
        (DOCKER, OCI, "gzip", DOCKER),
        (OCI, DOCKER, "zstd", OCI),
    ],
)
def test_kinds(wanted: str, own: str, compression: str, kind: str) -> None:
    assert manifest_write.choose_kind(wanted, own, compression) == kind


def test_docker_has_no_zstd() -> None:
    with pytest.raises(UsageError, match="zstd layers need an OCI manifest"):
        manifest_write.choose_kind(DOCKER, OCI, "zstd")


@pytest.mark.parametrize("kind", [OCI, DOCKER])
def test_what_is_written_can_be_read(kind: str) -> None:
    import json

    blobs = [
        Blob(digest=HEX, size=1),
        Blob(digest=HEX, size=2, compression="gzip"),
        Blob(digest=HEX, size=3, compression="gzip", foreign=True, urls=("https://example.org/x",)),
    ]
    if kind == OCI:
        blobs.append(Blob(digest=HEX, size=4, compression="zstd:chunked", annotations={"a": "b"}))
    document = manifest_write.build(kind, (HEX, 5), blobs, {"org.example": "x"})
    read = parse(json.dumps(document).encode(), kind)
    assert isinstance(read, Manifest) and read.is_image and read.config.size == 5
    assert [layer.size for layer in read.layers] == [blob.size for blob in blobs]
    found = [manifest_write.compression_of(layer.media_type) for layer in read.layers]
    assert found == ["", "gzip", "gzip", *(["zstd"] if kind == OCI else [])]
    assert [manifest_write.is_foreign(item) for item in document["layers"]][:3] == [False, False, True]
    assert read.layers[2].urls == ("https://example.org/x",)
    assert read.annotations == ({"org.example": "x"} if kind == OCI else {})
