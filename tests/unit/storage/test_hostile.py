"""Archives that are broken or mean harm: one clear error, and the store is as it was before."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from archives import config, digest, docker_archive, entry, layer, oci_layout, pack, tree
from test_tar import gnu_sparse

from pypod.errors import BadArchive, PypodError, StorageError
from pypod.oci.reference import normalise
from storage import archive, load
from storage.store import Store

GOOD = layer("good")
BIG = pack((entry("big"), os.urandom(300_000)))


@pytest.fixture
def full(store: Store) -> Store:
    """A store with one image."""
    archive.import_stream(store, io.BytesIO(layer("first")).read, names=["localhost/first:1"])
    return store


def pax(**headers: str) -> bytes:
    return pack((entry("f", pax_headers=headers), b"x"))


BAD_TARS: dict[str, tuple[bytes, str]] = {
    "a name that climbs": (pack((entry("../../evil"), b"x")), "leads out"),
    "a name that climbs later": (pack((entry("a/../../evil"), b"x")), "leads out"),
    "an absolute name that climbs": (pack((entry("/../evil"), b"x")), "leads out"),
    "a hard link that climbs": (pack(entry("l", tarfile.LNKTYPE, linkname="../../etc/passwd")), "leads out"),
    "a hard link to the host": (pack(entry("l", tarfile.LNKTYPE, linkname="/etc/passwd")), "hard link target"),
    "a hard link to nothing": (pack(entry("l", tarfile.LNKTYPE, linkname="nosuch")), "not there"),
    "a hard link to a directory": (
        pack(entry("d", tarfile.DIRTYPE, 0o755), entry("l", tarfile.LNKTYPE, linkname="d")),
        "cannot unpack",
    ),
    "a file below a file": (pack((entry("a"), b"x"), (entry("a/b"), b"y")), "Not a directory"),
    "a file below a link that loops": (
        pack(entry("a", tarfile.SYMTYPE, linkname="a"), (entry("a/b"), b"y")),
        "cannot unpack",
    ),
    "a file below a link to nowhere": (
        pack(entry("a", tarfile.SYMTYPE, linkname="/nowhere"), (entry("a/b"), b"y")),
        "cannot unpack",
    ),
    "cut off in a file": (BIG[:200_000], "middle of a file"),
    "cut off in a header": (GOOD[:300], "middle of a header"),
    "gzip cut off": (gzip.compress(BIG)[:-1000], "cannot decompress"),
    "zstd cut off": (zstandard.compress(BIG)[:-1000], "cannot decompress"),
    "xz cut off": (lzma.compress(BIG)[:-1000], "cannot decompress"),
    "bzip2 cut off": (bz2.compress(BIG)[:-1000], "cannot decompress"),
    "gzip with a wrong checksum": (gzip.compress(BIG)[:-8] + b"12345678", "cannot decompress"),
    "gzip and garbage": (gzip.compress(GOOD) + b"garbage", "cannot decompress"),
    "a sparse file of 1 PB": (gnu_sparse(1 << 50, [(0, b"x")]), "No space left|limit"),
    "a pax sparse file of 1 PB": (
        pack(
            (
                entry(
                    "GNUSparseFile.1/f",
                    pax_headers={
                        "GNU.sparse.major": "1",
                        "GNU.sparse.minor": "0",
                        "GNU.sparse.name": "f",
                        "GNU.sparse.realsize": str(1 << 50),
                    },
                ),
                b"1\n0\n1\n".ljust(512, b"\0") + b"x",
            )
        ),
        "No space left|limit",
    ),
    "a size beyond everything": (pax(size=str(1 << 62)), "No space left"),
    "a size that is no number": (pax(size="many"), "not a number"),
    "an owner that is no number": (pax(uid="-7"), "not a number"),
    "an owner beyond everything": (pax(uid=str(1 << 40)), "too big"),
    "a time beyond everything": (pax(mtime="9e300"), "not a number"),
    "a name with a zero byte": (pax(path="a\0b"), "no name"),
    "a name that is too long": (pack((entry("x" * 300), b"")), "too long"),
    "no archive": (b"#!/bin/sh\necho hello\n" * 50, "not an archive"),
    "an unknown kind": (pack(entry("x", b"Q")), "unknown tar entry type"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TARS)
def test_import(full: Store, name: str, tmp_path: Path) -> None:
    data, match = BAD_TARS[name]
    before = tree(tmp_path / "g")
    with pytest.raises((BadArchive, StorageError), match=match) as caught:
        archive.import_stream(full, io.BytesIO(data).read, names=["localhost/bad:1"])
    assert "\n" not in caught.value.message
    assert tree(tmp_path / "g") == before
    assert [image.names for image in Store(full.graphroot, full.runroot).images()] == [["localhost/first:1"]]


def test_import_into_an_empty_store_leaves_no_record(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadArchive):
        archive.import_stream(store, io.BytesIO(BAD_TARS["a name that climbs"][0]).read)
    assert not store.images() and not store.layers()
    assert not [name for name, (mode, _, _) in tree(tmp_path / "g").items() if mode & 0o100000]


def test_a_link_out_of_the_image_is_followed_inside(full: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    data = pack(
        entry("escape", tarfile.SYMTYPE, linkname=str(outside)),
        entry(str(outside)[1:], tarfile.DIRTYPE, 0o755),
        (entry("escape/file"), b"x"),
        entry("up", tarfile.SYMTYPE, linkname="../../../../../../.." + str(outside)),
        (entry("up/other"), b"y"),
    )
    image = archive.import_stream(full, io.BytesIO(data).read)
    assert list(outside.iterdir()) == []
    inside = Path(full.diff_directory(image.layer) + str(outside))
    assert sorted(item.name for item in inside.iterdir()) == ["file", "other"]


def test_marks_of_overlayfs_are_not_taken_from_an_archive(full: Store) -> None:
    headers = {
        f"SCHILY.xattr.{key}": "y"
        for key in ("user.overlay.opaque", "user.overlay.redirect", "trusted.overlay.redirect", "user.fine")
    }
    data = pack(entry("d", tarfile.DIRTYPE, 0o755, pax_headers=headers), (entry("f", pax_headers=headers), b"x"))
    image = archive.import_stream(full, io.BytesIO(data).read)
    for name in ("d", "f"):
        keys = os.listxattr(f"{full.diff_directory(image.layer)}/{name}")
        assert [key for key in keys if "overlay" in key] == []
        assert keys in ([], ["user.fine"])  # tmpfs may know no user attributes


def wrong_digest(path: Path) -> Path:
    """Every layer is another one than the manifest says."""
    layout = oci_layout(path, [layer("a")])
    blobs = sorted((layout / "blobs/sha256").iterdir(), key=lambda item: item.read_bytes()[:2] != b"\x1f\x8b")
    blobs[0].write_bytes(gzip.compress(layer("b")))
    return layout


def wrong_manifest(path: Path) -> Path:
    layout = oci_layout(path, [layer("a")])
    [own] = json.loads((layout / "index.json").read_text())["manifests"]
    blob = layout / "blobs/sha256" / own["digest"][7:]
    blob.write_bytes(blob.read_bytes() + b" ")
    return layout


def link_out(path: Path) -> Path:
    layout = oci_layout(path, [layer("a")])
    (layout / "index.json").unlink()
    (layout / "index.json").symlink_to("/etc/passwd")
    return layout


def changed(path: Path, change: Callable[[dict], None]) -> Path:
    layout = oci_layout(path, [layer("a")])
    index = json.loads((layout / "index.json").read_text())
    change(index)
    (layout / "index.json").write_text(json.dumps(index))
    return layout


BAD_LOADS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a layer of another digest": (wrong_digest, "has the digest"),
    "a manifest of another digest": (wrong_manifest, "has the digest"),
    "a layer of another size": (lambda p: oci_layout(p, [GOOD], size=5), "manifest says 5"),
    "another diff_id": (lambda p: oci_layout(p, [GOOD], diff_ids=[digest(b"other")]), "uncompressed digest"),
    "too few diff_ids": (lambda p: oci_layout(p, [GOOD, BIG], diff_ids=[digest(GOOD)]), "1 diff_ids"),
    "a second layer that is broken": (
        lambda p: docker_archive(p, [GOOD, BAD_TARS["a name that climbs"][0]], ["x:1"]),
        "leads out",
    ),
    "a digest that is a path": (
        lambda p: changed(p, lambda index: index["manifests"][0].update(digest="sha256:../../../etc/passwd")),
        "not a sha256 digest",
    ),
    "an index that is a list": (lambda p: oci_layout(p, [GOOD], index=[1]), "not a JSON object"),
    "an index without manifests": (lambda p: oci_layout(p, [GOOD], index={"manifests": []}), "lists no manifests"),
    "an index of numbers": (lambda p: oci_layout(p, [GOOD], index={"manifests": [1]}), "not an object"),
    "an index that is a link out": (link_out, "payload does not match|broken archive|cannot read"),
    "another platform": (
        lambda p: changed(
            p, lambda index: index["manifests"][0].update(platform={"os": "plan9", "architecture": "vax"})
        ),
        "is for linux",
    ),
    "a bad name": (lambda p: oci_layout(p, [GOOD], "NOT/a name"), "its image name"),
    "a docker-archive without a layer": (lambda p: docker_archive(p, [GOOD], ["x:1"], missing=0), "not in it"),
    "a docker-archive with another layer": (
        lambda p: docker_archive(p, [GOOD], ["x:1"], config=config(digest(BIG))),
        "uncompressed digest",
    ),
    "a manifest.json that is no JSON": (lambda p: docker_archive(p, [GOOD], [], manifest=b"{"), "manifest.json"),
    "a manifest.json that is a string": (lambda p: docker_archive(p, [GOOD], [], manifest=b'"x"'), "not a list"),
    "a manifest.json of nulls": (lambda p: docker_archive(p, [GOOD], [], manifest=b"[null]"), "not a JSON object"),
    "a config that is missing": (
        lambda p: docker_archive(p, [GOOD], [], manifest=b'[{"Config":"/etc/passwd","Layers":[]}]'),
        "not in it",
    ),
    "layers that are numbers": (
        lambda p: docker_archive(p, [GOOD], [], manifest=b'[{"Config":"config.json","Layers":[1]}]'),
        "not a list of strings",
    ),
    "a config without rootfs": (lambda p: docker_archive(p, [GOOD], [], config=b"{}"), "rootfs"),
    "a root file system": (lambda p: (p.write_bytes(GOOD), p)[1], "payload does not match"),
    "an empty file": (lambda p: (p.write_bytes(b""), p)[1], "payload does not match"),
    "an empty directory": (lambda p: (p.mkdir(), p)[1], "payload does not match"),
    "cut off": (
        lambda p: (docker_archive(p, [BIG], []), p.write_bytes(p.read_bytes()[:100_000]), p)[2],
        "middle of a file",
    ),
    "no file at all": (lambda p: p, "No such file"),
}


@pytest.mark.parametrize("name", BAD_LOADS)
def test_load(full: Store, name: str, tmp_path: Path) -> None:
    make, match = BAD_LOADS[name]
    path = make(tmp_path / "bad")
    before = tree(tmp_path / "g")
    with pytest.raises(PypodError, match=match) as caught:
        load.load(full, str(path), normalise=normalise)
    assert "\n" not in caught.value.message
    assert tree(tmp_path / "g") == before


def test_a_compressed_archive_that_is_cut_off(full: Store, tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "a", [BIG], [])
    path.write_bytes(gzip.compress(path.read_bytes())[:-500])
    before = tree(tmp_path / "g")
    with pytest.raises(BadArchive, match="cannot decompress"):
        load.load(full, str(path), normalise=normalise)
    assert tree(tmp_path / "g") == before
