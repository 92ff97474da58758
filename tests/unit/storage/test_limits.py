"""Bombs stop at limits, and the limits can be set."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from archives import config, digest, docker_archive, entry, layer, oci_layout, pack, tree
from test_tar import gnu_sparse

from pypod.engine import store_limits
from pypod.errors import BadArchive, ConfigError
from pypod.oci.reference import normalise
from storage import archive, load
from storage.limits import Limits
from storage.store import Store

ZEROS = pack((entry("zeros"), bytes(4 << 20)))
TWO = layer("a", "b")

# What exceeds: the limits, the layer, and what the message says.
LAYERS: dict[str, tuple[Limits, bytes, str]] = {
    "size": (Limits(max_layer_size=1 << 20), ZEROS, "a layer has more than the limit of 1048576 bytes"),
    "compressed size": (Limits(max_layer_size=1 << 20), gzip.compress(ZEROS), "limit of 1048576 bytes"),
    "entries": (Limits(max_layer_entries=1), TWO, "limit of 1 entries"),
    "name": (Limits(max_name_length=99), layer("x" * 100), "limit of 99 bytes"),
    "long name": (Limits(max_name_length=150), layer("x/" * 100 + "x"), "limit of 150 bytes"),
    "GNU long name": (
        Limits(max_name_length=150),
        pack((entry("x/" * 100 + "x"), b""), form=tarfile.GNU_FORMAT),
        "limit of 150 bytes",
    ),
    "link": (Limits(max_name_length=99), pack(entry("l", tarfile.SYMTYPE, linkname="x" * 100)), "limit of 99 bytes"),
    "pax": (
        Limits(max_pax_size=2048),
        pack((entry("f", pax_headers={"SCHILY.xattr.user.a": "x" * 3000}), b"")),
        "limit of 2048 bytes",
    ),
    "sparse": (Limits(max_sparse_size=1 << 20), gnu_sparse(2 << 20, [(0, b"x")]), "limit of 1048576 bytes"),
    "layers": (Limits(max_layers=1), TWO, "limit of 1 layers"),
}

BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


def store_with(tmp_path: Path, limits: Limits) -> Store:
    archive.import_stream(Store(str(tmp_path / "g"), str(tmp_path / "r")), io.BytesIO(layer("first")).read)
    return Store(str(tmp_path / "g"), str(tmp_path / "r"), limits=limits)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer(tmp_path: Path, name: str) -> None:
    limits, data, match = LAYERS[name]
    store = store_with(tmp_path, limits)
    plain = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    layers = [layer("base"), data] if name == "layers" else [data]
    path = docker_archive(tmp_path / "a", layers, ["x:1"], config=config(*map(digest, [*layers[:-1], plain])))
    before = tree(tmp_path / "g")
    with pytest.raises(BadArchive, match=match) as caught:
        load.load(store, str(path), normalise=normalise)
    assert f"pypod.max_{'' if name != 'layers' else 'layers'}" in caught.value.hint
    assert tree(tmp_path / "g") == before
    # The same archive under the defaults is an ordinary one.
    assert load.load(Store(store.graphroot, store.runroot), str(path), normalise=normalise)


@pytest.mark.parametrize("how", BOMBS)
@pytest.mark.parametrize("form", ["a layer", "the archive", "import"])
def test_a_bomb(tmp_path: Path, how: str, form: str) -> None:
    store = store_with(tmp_path, Limits(max_expansion=100, max_expansion_from=1 << 20))
    path = tmp_path / "a"
    if form == "a layer":
        docker_archive(path, [BOMBS[how](ZEROS)], [])
        before = tree(tmp_path / "g")
        with pytest.raises(BadArchive, match="limit of 100 times"):
            load.load(store, str(path), normalise=normalise)
    else:
        docker_archive(path, [ZEROS], [])
        path.write_bytes(BOMBS[how](path.read_bytes()))
        before = tree(tmp_path / "g")
        with pytest.raises(BadArchive, match="limit of 100 times"):
            if form == "import":
                archive.import_tarball(store, str(path))
            else:
                load.load(store, str(path), normalise=normalise)
    assert tree(tmp_path / "g") == before


def test_an_honest_archive_that_is_packed_well(tmp_path: Path) -> None:
    """Under the size from which expansion counts, it may be as good as it can."""
    store = store_with(tmp_path, Limits(max_expansion=2, max_expansion_from=8 << 20))
    archive.import_stream(store, io.BytesIO(gzip.compress(ZEROS)).read)
    random = pack((entry("noise"), os.urandom(9 << 20)))
    archive.import_stream(store, io.BytesIO(gzip.compress(random, 1)).read)


def test_manifests_and_files(tmp_path: Path) -> None:
    layout = oci_layout(tmp_path / "oci", [TWO], "x:1")
    docker = docker_archive(tmp_path / "docker", [TWO], ["x:1"])
    for limits, path, match in (
        (Limits(max_manifest_size=100), layout, "limit of 100 bytes"),
        (Limits(max_manifest_size=100), docker, "limit of 100 bytes"),
        (Limits(max_archive_files=2), docker, "limit of 2 files"),
    ):
        store = store_with(tmp_path, limits)
        before = tree(tmp_path / "g")
        with pytest.raises(BadArchive, match=match):
            load.load(store, str(path), normalise=normalise)
        assert tree(tmp_path / "g") == before


def test_how_limits_are_written() -> None:
    assert store_limits.parse({}) == Limits()
    assert store_limits.parse({"max_layer_size": "1.5g", "max_layers": 7}) == Limits(
        max_layer_size=3 << 29, max_layers=7
    )
    assert store_limits.parse({"max_layer_size": "0"}).max_layer_size == 0
    with pytest.raises(ConfigError, match=r"unknown limit pypod\.max_layer_siez"):
        store_limits.parse({"max_layer_siez": "1g"})
    for value in ("many", "-1", "", True, 1.5, "1g1", str(1 << 64), []):
        with pytest.raises(ConfigError, match="neither a number nor a size"):
            store_limits.parse({"max_layer_size": value})
