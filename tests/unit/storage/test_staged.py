"""Archives that are read once: the same images, trees and records as from a file that is read in place."""

from __future__ import annotations

import gzip
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest
import zstandard
from archives import config, digest, directory, docker_archive, entry, layer, oci_layout, pack

from pypod.errors import BadArchive
from pypod.oci.reference import normalise
from storage import export, load
from storage.store import Store

ROOT = os.geteuid() == 0
BASE = pack(
    entry("tmp", tarfile.DIRTYPE, 0o1777),
    entry("deep", tarfile.DIRTYPE, 0o700),
    entry("deep/er", tarfile.DIRTYPE, 0o711),
    entry("lib", tarfile.SYMTYPE, linkname="deep/er"),
    (entry("big"), os.urandom(400_000)),
)
UPPER = pack(
    (entry("tmp/foo"), b"x"),
    (entry("deep/er/new/file"), b"y"),
    (entry("later/file"), b"z"),
    directory("later", 0o750),  # listed after what is in it
    (entry("gone/file"), b"1"),
    (entry("gone"), b"a file in a directory's place"),
    *([(entry("tmp/.wh.x"), b"")] if ROOT else []),
)


def trees(store: Store, layer_id: str) -> list[dict[str, tuple]]:
    """What every layer of a chain has on disk; directories without a time of their own get none here."""
    result = []
    for item in store.chain(layer_id):
        root, found = Path(store.diff_directory(item.id)), {}
        for path in [root, *root.rglob("*")]:
            status = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            recent = status.st_mtime > 1_700_000_001
            found[str(path.relative_to(root))] = (
                stat.filemode(status.st_mode),
                status.st_uid,
                status.st_gid,
                None if recent else status.st_mtime_ns,
                content,
            )
        result.append(found)
    return result


def rows(store: Store, layer_id: str) -> list[dict[str, object]]:
    return [{key: value for key, value in item.raw.items() if key != "created"} for item in store.chain(layer_id)]


def same(store: Store, base: Path, plain: Path, packed: Path) -> None:
    """Loading ``packed`` gives what loading ``plain`` gives."""
    other = Store(str(base / "g2"), str(base / "r2"))
    wanted = load.load(other, str(plain), normalise=normalise)
    found = load.load(store, str(packed), normalise=normalise)
    assert [(image.id, image.layer, names) for image, names in found] == [
        (image.id, image.layer, names) for image, names in wanted
    ]
    for image, _ in found:
        assert rows(store, image.layer) == rows(other, image.layer)
        assert trees(store, image.layer) == trees(other, image.layer)
        for item in store.chain(image.layer):
            assert digest(b"".join(export.layer(store, item.id))) == item.diff_digest
    assert not list(Path(store.home).glob("tempdirs*")) and not (Path(store.layers_dir) / "tmp").exists()


@pytest.mark.parametrize("pack_it", [gzip.compress, zstandard.compress])
def test_a_docker_archive(store: Store, tmp_path: Path, pack_it) -> None:
    plain = docker_archive(tmp_path / "a.tar", [BASE, UPPER, layer("etc/x")], ["x:1"])
    packed = tmp_path / "a.packed"
    packed.write_bytes(pack_it(plain.read_bytes()))
    same(store, tmp_path, plain, packed)
    # Once more, with the store full of these layers.
    assert len(load.load(store, str(packed), normalise=normalise)) == 1


@pytest.mark.parametrize("compress", [True, False])
def test_an_oci_archive(store: Store, tmp_path: Path, compress: bool) -> None:
    layout = oci_layout(tmp_path / "l", [BASE, UPPER], "some/name:2", compress=compress)
    with tarfile.open(tmp_path / "l.tgz", "w:gz") as archive:
        archive.add(layout, arcname=".")
    same(store, tmp_path, layout, tmp_path / "l.tgz")
    assert len(load.load(store, str(tmp_path / "l.tgz"), normalise=normalise)) == 1


def test_the_same_layer_in_several_places(store: Store, tmp_path: Path) -> None:
    """Twice in one image, on another layer in a second one, and by way of links."""
    one, two = layer("a"), layer("b")
    images = [("c1.json", ["1.tar", "2.tar", "l.tar"], [one, two, one]), ("c2.json", ["2.tar", "1.tar"], [two, one])]
    parts = [
        (entry("1.tar"), one),
        entry("l.tar", tarfile.SYMTYPE, linkname="1.tar"),
        (entry("2.tar"), gzip.compress(two, mtime=0)),
    ]
    for name, _, contents in images:
        parts.append((entry(name), config(*map(digest, contents))))
    manifest = [{"Config": name, "RepoTags": [], "Layers": layers} for name, layers, _ in images]
    data = pack(*parts, (entry("manifest.json"), json.dumps(manifest).encode()))
    (tmp_path / "a.tar").write_bytes(data)
    (tmp_path / "a.tgz").write_bytes(gzip.compress(data))
    same(store, tmp_path, tmp_path / "a.tar", tmp_path / "a.tgz")


def test_what_no_image_needs_may_be_broken(store: Store, tmp_path: Path) -> None:
    plain = docker_archive(tmp_path / "a.tar", [BASE], ["x:1"]).read_bytes()
    junk = pack((entry("junk.tar"), pack((entry("../../evil"), b"x"))), (entry("junk.gz"), b"\x1f\x8b\x08junk"))
    (tmp_path / "a.tgz").write_bytes(
        gzip.compress(junk.rstrip(b"\0") + bytes(-len(junk.rstrip(b"\0")) % 512) + plain)
    )
    assert len(load.load(store, str(tmp_path / "a.tgz"), normalise=normalise)) == 1


def test_a_broken_layer(store: Store, tmp_path: Path) -> None:
    plain = docker_archive(tmp_path / "a.tar", [BASE, pack((entry("../../evil"), b"x"))], ["x:1"]).read_bytes()
    (tmp_path / "a.tgz").write_bytes(gzip.compress(plain))
    with pytest.raises(BadArchive, match="leads out"):
        load.load(store, str(tmp_path / "a.tgz"), normalise=normalise)
    assert not store.layers() and not list(Path(store.home).glob("tempdirs*"))


def test_a_layer_as_config(store: Store, tmp_path: Path) -> None:
    manifest = json.dumps([{"Config": "0/layer.tar", "RepoTags": [], "Layers": []}]).encode()
    plain = docker_archive(tmp_path / "a.tar", [BASE], [], manifest=manifest).read_bytes()
    (tmp_path / "a.tgz").write_bytes(gzip.compress(plain))
    with pytest.raises(BadArchive, match="is a layer"):
        load.load(store, str(tmp_path / "a.tgz"), normalise=normalise)
