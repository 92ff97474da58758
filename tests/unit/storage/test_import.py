"""Archives into the store and out again, to the bit."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from archives import digest, directory, docker_archive, entry, layer, oci_layout, pack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_tar import gnu_sparse

from pypod.oci.platform import Platform
from pypod.oci.reference import normalise
from storage import archive, load, overlay, tarsplit
from storage.records import Image
from storage.store import Store

ROOT = os.geteuid() == 0
OPAQUE = "user.overlay.opaque" if overlay.in_user_namespace() else "trusted.overlay.opaque"
needs_root = pytest.mark.skipif(not ROOT, reason="whiteouts are device nodes")


def import_bytes(store: Store, data: bytes, *names: str) -> Image:
    return archive.import_stream(store, io.BytesIO(data).read, names=names)


def exported(store: Store, layer_id: str) -> bytes:
    """The layer's archive, rebuilt."""
    split = f"{store.layers_dir}/{layer_id}.tar-split.gz"
    return b"".join(tarsplit.rebuild(split, [store.diff_directory(layer_id), *store.lower_directories(layer_id)]))


def test_an_image_and_its_records(store: Store) -> None:
    data = pack(
        entry("d", tarfile.DIRTYPE, 0o2750),
        (entry("d/f", mode=0o4755), b"hello"),
        entry("l", tarfile.SYMTYPE, linkname="d/f"),
    )
    image = import_bytes(store, gzip.compress(data), "localhost/x:1")
    again = Store(store.graphroot, store.runroot)
    assert again.images() == [image]
    assert again.find_image("x:1").id == image.id
    config = again.image_config(image)
    assert config["rootfs"]["diff_ids"] == [digest(data)]
    manifest = again.image_data(image, "manifest")
    assert image.digest == digest(manifest)
    assert again.image_manifest(image)["layers"][0]["digest"] == digest(data)
    found = again.layer(image.layer)
    assert found.id == digest(data)[7:]
    assert (found.diff_size, found.raw["compression"]) == (len(data), 2)
    assert found.raw["uidset"] == [os.getuid()]
    assert again.image_size(image) == len(data) + sum(image.big_data_sizes.values())
    root = Path(store.diff_directory(image.layer))
    assert stat.S_IMODE(root.stat().st_mode) == 0o555
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o2750
    assert (root / "d/f").read_bytes() == b"hello"
    assert stat.S_IMODE((root / "d/f").stat().st_mode) == 0o4755
    assert os.readlink(root / "l") == "d/f"
    assert (root / "d").stat().st_mtime == (root / "d/f").stat().st_mtime == 1_700_000_000
    assert exported(store, image.layer) == data
    assert not list(Path(store.home).glob("tempdirs*")) and not (Path(store.layers_dir) / "tmp").exists()


ODD_ARCHIVES = {
    "empty": pack(),
    "nothing at all": b"",
    "no end": pack((entry("a"), b"x" * 512), form=tarfile.USTAR_FORMAT)[:1024],
    "junk after the end": pack((entry("a"), b"x")) + b"junk" * 1000,
    "the same file twice": pack((entry("a"), b"one"), (entry("b"), b"two"), (entry("./a"), b"three")),
    "the same file, then a directory": pack((entry("a"), b"one"), directory("a"), (entry("a/b"), b"x")),
    "a directory, then a file": pack(directory("a"), (entry("a/b"), b"gone"), (entry("a"), b"file")),
    "a directory twice": pack(directory("a", 0o700), (entry("a/b"), b"x"), directory("a/")),
    "three times": pack((entry("a"), b"1"), (entry("a"), b"22"), (entry("a"), b"333")),
    "hard links": pack((entry("a"), b"content"), entry("d/b", tarfile.LNKTYPE, linkname="a")),
    "a hard link to itself": pack((entry("a"), b"content"), entry("a", tarfile.LNKTYPE, linkname="./a")),
    "a linked file replaced": pack((entry("a"), b"1"), entry("b", tarfile.LNKTYPE, linkname="a"), (entry("a"), b"2")),
    "a file replaced by way of a link": pack(
        (entry("usr/lib/x"), b"1"), entry("lib", tarfile.SYMTYPE, linkname="usr/lib"), (entry("lib/x"), b"22")
    ),
    "a file by way of a link, replaced": pack(
        (entry("u/y"), b"y"), entry("l", tarfile.SYMTYPE, linkname="/u"), (entry("l/x"), b"1"), (entry("u/x"), b"22")
    ),
    "absolute names": pack((entry("/abs/file"), b"x")),
    "dots": pack(directory("./"), (entry("./x/./y"), b"y"), (entry("x/../z"), b"z")),
    "gnu sparse": gnu_sparse(100_000, [(0, b"abc"), (70_000, b"def")]),
    "a name that is not UTF-8": pack((entry("caf\udce9"), b"x"), form=tarfile.GNU_FORMAT),
    "long names": pack((entry("d/" * 60 + "n" * 200), b"x"), form=tarfile.GNU_FORMAT),
    "a quote and an angle": pack((entry('a"<&>\\\n'), b"x")),
    "a fifo": pack(entry("p", tarfile.FIFOTYPE)),
    "a global header": tarfile.TarInfo.create_pax_global_header({"comment": "x"}) + pack((entry("a"), b"x")),
    "big": pack((entry("big"), os.urandom(3 << 20)), (entry("small"), b"s")),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_ARCHIVES)
def test_odd_archives_come_out_as_they_went_in(store: Store, name: str) -> None:
    data = ODD_ARCHIVES[name]
    image = import_bytes(store, data)
    assert exported(store, image.layer) == data
    names = [
        os.path.normpath(tarsplit.name_of(item))
        for item in tarsplit.records(f"{store.layers_dir}/{image.layer}.tar-split.gz")
        if item["type"] == 1
    ]
    assert len(names) == len(set(names)), "podman's reader refuses one name twice"
    root = Path(store.diff_directory(image.layer))
    if name == "gnu sparse":
        content = (root / "sparse").read_bytes()
        assert (content[:3], content[70_000:70_003], len(content)) == (b"abc", b"def", 100_000)
    if name == "the same file twice":
        assert (root / "a").read_bytes() == b"three"
    if name == "a linked file replaced":
        assert ((root / "a").read_bytes(), (root / "b").read_bytes()) == (b"2", b"1")
    if name == "hard links":
        assert (root / "a").stat().st_ino == (root / "d/b").stat().st_ino


paths = st.lists(st.sampled_from(["a", "b", "c", "longer-name", "."]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(paths, st.sampled_from("fdls"), st.binary(max_size=700), paths), max_size=10))
def test_any_order_of_entries_comes_out_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, str, bytes, str]]
) -> None:
    made: list[tuple[tarfile.TarInfo, bytes]] = []
    for name, kind, content, target in members:
        kinds = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.LNKTYPE, "s": tarfile.SYMTYPE}
        made.append((entry(name, kinds[kind], 0o755, linkname=target), content if kind == "f" else b""))
    data = pack(*made)
    base = tmp_path_factory.mktemp("s")
    store = Store(str(base / "g"), str(base / "r"))
    from pypod.errors import BadArchive

    try:
        image = import_bytes(store, data)
    except BadArchive:  # a link to what is not there, a name below a file
        assert not store.images() and not store.layers()
        return
    # A link that is replaced later may have led to where the content no longer is: then export says so.
    replaced_links = [name for name, kind, _, _ in members if kind == "s"]
    if not replaced_links:
        assert exported(store, image.layer) == data


def test_layers_share_and_inherit(store: Store, tmp_path: Path) -> None:
    base = pack(
        entry("tmp", tarfile.DIRTYPE, 0o1777),
        entry("deep", tarfile.DIRTYPE, 0o700),
        entry("deep/er", tarfile.DIRTYPE, 0o711),
    )
    upper = pack((entry("tmp/foo"), b"x"), (entry("deep/er/new/file"), b"y"))
    [(image, names)] = load.load(
        store, str(docker_archive(tmp_path / "a.tar", [base, upper], ["x:1"])), normalise=normalise
    )
    assert names == ["localhost/x:1"]
    chain = store.chain(image.layer)
    assert [item.parent for item in chain] == [chain[1].id, ""]
    assert chain[0].id == hashlib.sha256(f"{chain[1].id}+{digest(upper)[7:]}".encode()).hexdigest()
    top = Path(store.diff_directory(image.layer))
    # A layer that has tmp/foo and no tmp must not make another directory of the image's /tmp.
    assert stat.S_IMODE((top / "tmp").stat().st_mode) == 0o1777
    assert (top / "tmp").stat().st_mtime == 1_700_000_000
    assert stat.S_IMODE((top / "deep/er").stat().st_mode) == 0o711
    assert stat.S_IMODE((top / "deep/er/new").stat().st_mode) == 0o755
    assert store.lower_directories(image.layer) == [f"{store.home}/{chain[1].id}/diff"] or os.path.samefile(
        store.lower_directories(image.layer)[0], f"{store.home}/{chain[1].id}/diff"
    )
    other = import_bytes(store, base, "localhost/base:1")
    assert len(store.layers()) == 2
    assert store.delete_image(image.id) == [chain[0].id]
    assert list(store.layers()) == [other.layer]
    store.delete_image(other.id)
    assert not store.layers() and os.listdir(store.home + "/l") == []
    assert sorted(os.listdir(store.layers_dir)) == ["layers.json", "layers.lock"]
    assert sorted(os.listdir(store.images_dir)) == ["images.json", "images.lock"]


@needs_root
def test_whiteouts(store: Store, tmp_path: Path) -> None:
    base = pack((entry("etc/group"), b"g"), (entry("home/x"), b"x"), (entry("var/a"), b"a"))
    upper = pack(
        (entry("etc/.wh.group"), b""),
        (entry(".wh.home"), b""),
        entry("var", tarfile.DIRTYPE, 0o755),
        (entry("var/.wh..wh..opq"), b""),
        (entry("var/b"), b"b"),
        (entry("gone"), b"content"),
        (entry(".wh.gone"), b""),
        (entry("odd/.wh.x"), b"a whiteout with content"),
    )
    [(image, _)] = load.load(store, str(docker_archive(tmp_path / "a.tar", [base, upper], [])), normalise=normalise)
    top = Path(store.diff_directory(image.layer))
    for name in ("etc/group", "home", "gone", "odd/x"):
        status = (top / name).lstat()
        assert stat.S_ISCHR(status.st_mode) and status.st_rdev == 0, name
    assert os.getxattr(top / "var", OPAQUE) == b"y"
    assert exported(store, image.layer) == upper


@pytest.mark.parametrize("compress", [True, False])
def test_an_oci_layout(store: Store, tmp_path: Path, compress: bool) -> None:
    layers = [layer("a"), layer("b"), layer("c")]
    path = oci_layout(tmp_path / "l", layers, "some/name:2", compress=compress)
    [(image, names)] = load.load(store, str(path), normalise=normalise)
    assert names == ["localhost/some/name:2"] == image.names
    assert [item.diff_digest for item in store.chain(image.layer)] == [digest(item) for item in reversed(layers)]
    assert [exported(store, item.id) for item in store.chain(image.layer)] == list(reversed(layers))
    # Once more changes nothing; from an archive of the same layout neither.
    packed = tmp_path / "l.tar"
    with tarfile.open(packed, "w:gz") as file:
        file.add(path, arcname=".")
    for source in (path, packed):
        assert load.load(store, str(source), normalise=normalise)[0][0].raw == image.raw
    assert len(store.images()) == 1 and len(store.layers()) == 3


def test_the_fitting_platform_of_an_index(store: Store, tmp_path: Path) -> None:
    import json

    def descriptor(arch: str) -> tuple[dict[str, object], Path]:
        path = oci_layout(tmp_path / arch, [layer(arch)])
        [own] = json.loads((path / "index.json").read_text())["manifests"]
        return {**own, "platform": {"os": "linux", "architecture": arch}}, path

    (one, place), (two, other) = descriptor("amd64"), descriptor("arm64")
    for blob in (other / "blobs/sha256").iterdir():
        (place / "blobs/sha256" / blob.name).write_bytes(blob.read_bytes())
    nested = json.dumps({"schemaVersion": 2, "manifests": [two, one]}).encode()
    (place / "blobs/sha256" / digest(nested)[7:]).write_bytes(nested)
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "digest": digest(nested),
                "size": len(nested),
                "annotations": {"org.opencontainers.image.ref.name": "multi:1"},
            }
        ],
    }
    (place / "index.json").write_text(json.dumps(index))
    for arch in ("arm64", "amd64"):
        [(image, _)] = load.load(
            store, str(place), normalise=normalise, platform=Platform(os="linux", architecture=arch)
        )
        assert os.listdir(store.diff_directory(image.layer)) == [arch]
        assert f"manifest-{digest(nested)}" in image.big_data_names
    assert store.find_image("multi:1").id == image.id


def test_a_docker_archive_with_layers_that_are_links(store: Store, tmp_path: Path) -> None:
    import json

    from archives import config

    data = layer("a")
    manifest = [{"Config": "c.json", "RepoTags": ["x:1", "y"], "Layers": ["one/layer.tar", "two/layer.tar"]}]
    path = tmp_path / "a.tar"
    path.write_bytes(
        pack(
            entry("one/layer.tar", tarfile.SYMTYPE, linkname="../real.tar"),
            entry("two/layer.tar", tarfile.LNKTYPE, linkname="real.tar"),
            (entry("real.tar"), data),
            (entry("c.json"), config(digest(data), digest(data))),
            (entry("manifest.json"), json.dumps(manifest).encode()),
        )
    )
    [(image, names)] = load.load(store, str(path), normalise=normalise)
    assert names == ["localhost/x:1", "localhost/y:latest"]
    assert len(store.chain(image.layer)) == 2


def test_the_same_archive_gives_the_same_image(store: Store, tmp_path: Path) -> None:
    first = archive.import_stream(store, io.BytesIO(layer("a")).read, created=5 * 10**9)
    other = Store(str(tmp_path / "g2"), str(tmp_path / "r2"))
    assert archive.import_stream(other, io.BytesIO(layer("a")).read, created=5 * 10**9).id == first.id
