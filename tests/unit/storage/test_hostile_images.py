"""Manifests, indexes, configs and archives of images that lie: one clear line, and the store as it was."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import config, digest, docker_archive, entry, layer, oci_layout, pack, tree

from pypod.errors import PypodError
from pypod.oci.reference import normalise
from storage import archive, load
from storage.store import Store

GOOD = layer("good")
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def full(store: Store) -> Store:
    archive.import_stream(store, io.BytesIO(layer("first")).read, names=["localhost/first:1"])
    return store


def docker(**parts: object) -> Callable[[Path], Path]:
    """A docker-archive with other parts than an honest one."""
    return lambda path: docker_archive(path, [GOOD], parts.pop("names", ["x:1"]), **parts)  # type: ignore[arg-type]


def with_config(**changes: object) -> Callable[[Path], Path]:
    return docker(config=config(digest(GOOD), **changes))


def text_config(old: str, new: str) -> Callable[[Path], Path]:
    text = config(digest(GOOD)).decode()
    assert old in text
    return docker(config=text.replace(old, new).encode())


def manifest(**item: object) -> Callable[[Path], Path]:
    whole = {"Config": "config.json", "RepoTags": ["x:1"], "Layers": ["0/layer.tar"], **item}
    return docker(manifest=json.dumps([whole]).encode())


def oci(change: Callable[[dict], None], **wrong: object) -> Callable[[Path], Path]:
    """An OCI layout whose manifest has been changed and put in place again, with a right digest."""

    def make(path: Path) -> Path:
        layout = oci_layout(path, [GOOD], "x:1", **wrong)
        index = json.loads((layout / "index.json").read_text())
        descriptor = index["manifests"][0]
        document = json.loads((layout / "blobs/sha256" / descriptor["digest"][7:]).read_text())
        change(document)
        put(layout, descriptor, json.dumps(document).encode())
        (layout / "index.json").write_text(json.dumps(index))
        return layout

    return make


def put(layout: Path, descriptor: dict, data: bytes) -> None:
    (layout / "blobs/sha256" / digest(data)[7:]).write_bytes(data)
    descriptor.update(digest=digest(data), size=len(data))


def index_of(change: Callable[[Path, dict], None]) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        layout = oci_layout(path, [GOOD], "x:1")
        index = json.loads((layout / "index.json").read_text())
        change(layout, index)
        (layout / "index.json").write_text(json.dumps(index))
        return layout

    return make


def indexes_within_indexes(layout: Path, index: dict) -> None:
    for _ in range(9):
        data = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": index["manifests"]}).encode()
        descriptor = {"mediaType": OCI_INDEX}
        put(layout, descriptor, data)
        index["manifests"] = [descriptor]


def lists_itself(layout: Path, index: dict) -> None:
    """As near as a digest lets one come: a blob under the name that it lists."""
    name = "0" * 64
    own = {"mediaType": OCI_INDEX, "digest": f"sha256:{name}", "size": 1}
    (layout / "blobs/sha256" / name).write_text(json.dumps({"schemaVersion": 2, "manifests": [own]}))
    index["manifests"] = [own]


def blob_is(what: Callable[[Path], object], which: str = "manifest") -> Callable[[Path], Path]:
    """An OCI layout in which a blob is something else than a file."""

    def make(path: Path) -> Path:
        layout = oci_layout(path, [GOOD], "x:1")
        blob = layout / "index.json"
        if which != "index":
            descriptor = json.loads(blob.read_text())["manifests"][0]
            blob = layout / "blobs/sha256" / descriptor["digest"][7:]
            if which == "layer":
                descriptor = json.loads(blob.read_text())["layers"][0]
                blob = layout / "blobs/sha256" / descriptor["digest"][7:]
        outside = path.parent / "outside"
        blob.rename(outside)
        what(blob)
        return layout

    return make


def archive_of(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> Callable[[Path], Path]:
    document = [{"Config": "config.json", "RepoTags": ["x:1"], "Layers": ["layer.tar"]}]
    parts = [(entry("manifest.json"), json.dumps(document).encode()), (entry("config.json"), config(digest(GOOD)))]
    return lambda path: (path.write_bytes(pack(*parts, *members)), path)[1]


def ambiguous(document: dict) -> None:
    document["manifests"] = [{"digest": digest(b""), "size": 1}]


def layers_in_capitals(document: dict) -> None:
    document["Layers"] = document["layers"]


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    # Configs: what Go's readers would refuse later, when it is in the store that they share.
    "created is no time": (with_config(created="x" * 30), "created is not a time"),
    "created is empty": (with_config(created=""), "created is not a time"),
    "created is the 30th of February": (with_config(created="2024-02-30T00:00:00Z"), "created is not a time"),
    "created is a number": (with_config(created=5), "created is not a time"),
    "created with a line break": (with_config(created="2024-01-02T03:04:05Z\n"), "created is not a time"),
    "config is a list": (with_config(config=[1]), "config is not an object"),
    "Env is a number": (with_config(config={"Env": 5}), "config.Env is not a list"),
    "Env of numbers": (with_config(config={"Env": ["A=1", 5]}), "an item of config.Env is not a string"),
    "Cmd is a string": (with_config(config={"Cmd": "sh"}), "config.Cmd is not a list"),
    "Labels of numbers": (with_config(config={"Labels": {"a": 1}}), "a value in config.Labels is not a string"),
    "Volumes is a list": (with_config(config={"Volumes": ["/x"]}), "config.Volumes is not an object"),
    "User is a number": (with_config(config={"User": 0}), "config.User is not a string"),
    "Healthcheck of strings": (with_config(config={"Healthcheck": {"Interval": "1s"}}), "not a whole number"),
    "history of numbers": (with_config(history=[5]), "an item of history is not an object"),
    "architecture is a list": (with_config(architecture=[]), "architecture is not a string"),
    "rootfs is a list": (with_config(rootfs=[]), "rootfs is not an object"),
    "diff_ids is a string": (with_config(rootfs={"diff_ids": "x"}), "diff_ids is not a list"),
    "diff_ids that are paths": (with_config(rootfs={"diff_ids": ["sha256:../../x"]}), "not a sha256 digest"),
    "diff_ids in capitals": (with_config(rootfs={"diff_ids": [digest(GOOD).upper()]}), "not a sha256 digest"),
    "two rootfs": (text_config('"rootfs"', '"rootfs": {"diff_ids": []}, "rootfs"'), "stands twice"),
    "Rootfs in another case": (with_config(Rootfs={"diff_ids": []}), "where readers expect 'rootfs'"),
    "not a number": (text_config('"created": "2024-01-02T03:04:05Z"', '"x": NaN'), "NaN"),
    "a number of a million digits": (text_config('"os"', '"x": ' + "9" * 1_000_000 + ', "os"'), "broken archive"),
    "nested 100,000 deep": (docker(config=b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "nested too deeply"),
    "lists 100,000 deep": (docker(manifest=b"[" * 100_000), "nested too deeply"),
    "config is not UTF-8": (docker(config=b'{"a":"\xff"}'), "broken archive"),
    "config in UTF-16": (docker(config="{}".encode("utf-16")), "broken archive"),
    "config is empty": (docker(config=b" "), "broken archive"),
    "config of 5 MB": (docker(config=b" " * (5 << 20)), "limit of 4194304 bytes"),
    "manifest.json of 100 MB": (
        lambda path: (path.write_bytes(sparse_manifest(100 << 20)), path)[1],
        "limit of 4194304 bytes",
    ),
    # manifest.json
    "a Config with a line break": (manifest(Config="a\nb\x1b[31m"), r"a\\nb\\x1b\[31m is not in it"),
    "a Config with half a character": (manifest(Config="\ud800"), "is not in it"),
    "a Config with a zero byte": (manifest(Config="config.json\0"), "is not in it"),
    "a layer out of the archive": (manifest(Layers=["../../../etc/passwd"]), "is not in it"),
    "a layer with a zero byte": (manifest(Layers=["0/layer.tar\0x"]), "is not in it"),
    "no layers": (manifest(Layers=[]), "1 diff_ids"),
    "RepoTags with a line break": (manifest(RepoTags=["x:1\nlocalhost/other:1"]), "its image name"),
    "RepoTags with escapes": (manifest(RepoTags=["x:\x1b[2J"]), "its image name"),
    "RepoTags that climb": (manifest(RepoTags=["../../x:1"]), "its image name"),
    "RepoTags of 10,000 characters": (manifest(RepoTags=["x" * 10_000]), "its image name"),
    "RepoTags with half a character": (manifest(RepoTags=["x:\ud800"]), "its image name"),
    "RepoTags of objects": (manifest(RepoTags=[{}]), "not a list of strings"),
    "RepoTags is an object": (manifest(RepoTags={"a": 1}), "not a list of strings"),
    "Layers twice": (
        docker(manifest=b'[{"Config":"config.json","Layers":[],"Layers":["0/layer.tar"]}]'),
        "stands twice",
    ),
    # The files of an archive.
    "a layer that is a link out": (
        archive_of(entry("layer.tar", tarfile.SYMTYPE, linkname="/etc/passwd")),
        "layer.tar is not in it",
    ),
    "a layer that is a link up": (
        archive_of(entry("layer.tar", tarfile.SYMTYPE, linkname="../../../../etc/passwd")),
        "layer.tar is not in it",
    ),
    "a layer that is a hard link out": (
        archive_of(entry("layer.tar", tarfile.LNKTYPE, linkname="/etc/passwd")),
        "layer.tar is not in it",
    ),
    "a layer that is a link to itself": (
        archive_of(entry("layer.tar", tarfile.SYMTYPE, linkname="layer.tar")),
        "layer.tar is not in it",
    ),
    "layers that are links in a circle": (
        archive_of(
            entry("layer.tar", tarfile.SYMTYPE, linkname="x"), entry("x", tarfile.LNKTYPE, linkname="layer.tar")
        ),
        "layer.tar is not in it",
    ),
    "a layer that is a directory": (archive_of(entry("layer.tar", tarfile.DIRTYPE)), "layer.tar is not in it"),
    "a layer that is a device": (
        archive_of(entry("layer.tar", tarfile.CHRTYPE, devmajor=1, devminor=5)),
        "layer.tar is not in it",
    ),
    "a layer that is replaced": (
        archive_of((entry("layer.tar"), GOOD), (entry("layer.tar"), layer("other"))),
        "uncompressed digest",
    ),
    "a layer of other content": (archive_of((entry("layer.tar"), layer("other"))), "uncompressed digest"),
    "an archive and garbage": (
        lambda path: (docker()(path), path.write_bytes(gzip.compress(path.read_bytes()) + os.urandom(2000)), path)[2],
        "cannot decompress",
    ),
    # OCI layouts.
    "indexes within indexes": (index_of(lambda path, i: indexes_within_indexes(path, i)), "indexes within indexes"),
    "an index that lists itself": (index_of(lists_itself), "has the digest"),
    "an index with a list of strings": (index_of(lambda _, i: i.update(manifests=["x"])), "not an object"),
    "an index whose manifests are an object": (index_of(lambda _, i: i.update(manifests={})), "not a list"),
    "an index that is also an image": (index_of(lambda _, i: i.update(layers=[])), "manifests and layers"),
    "a platform of numbers": (index_of(lambda _, i: i["manifests"][0].update(platform={"os": 1})), "not a string"),
    "annotations of numbers": (
        index_of(lambda _, i: i["manifests"][0].update(annotations={"a": 1})),
        "annotations is not a string",
    ),
    "a manifest of a negative size": (index_of(lambda _, i: i["manifests"][0].update(size=-1)), "the size of"),
    "a manifest of another size": (index_of(lambda _, i: i["manifests"][0].update(size=7)), "descriptor says 7"),
    "a manifest of a size in words": (index_of(lambda _, i: i["manifests"][0].update(size="7")), "size is not a"),
    "a digest of another kind": (
        index_of(lambda _, i: i["manifests"][0].update(digest="sha512:" + "0" * 128)),
        "not a sha256 digest",
    ),
    "a digest that is a list": (
        index_of(lambda _, i: i["manifests"][0].update(digest=[[]])),
        "digest is not a string",
    ),
    "a manifest that is also an index": (oci(ambiguous), "manifests and layers"),
    "Layers in another case": (oci(layers_in_capitals), "where readers expect 'layers'"),
    "layers are an object": (oci(lambda m: m.update(layers={})), "layers is not a list"),
    "no config": (oci(lambda m: m.pop("config")), "descriptor of config"),
    "a config that is a layer": (oci(lambda m: m.update(config=m["layers"][0])), "no image but an artifact"),
    "a layer that is a config": (oci(lambda m: m.update(layers=[m["config"]])), "not an archive|middle of a header"),
    "a layer of a huge size": (oci(lambda m: m["layers"][0].update(size=1 << 60)), "manifest says"),
    "a layer of a negative size": (oci(lambda m: m["layers"][0].update(size=-5)), "the size of"),
    "600 layers": (
        oci(lambda m: m.update(layers=m["layers"] * 600), diff_ids=[digest(GOOD)] * 600),
        "limit of 500 layers",
    ),
    "a manifest that is a link out": (
        blob_is(lambda blob: blob.symlink_to(blob.parents[3] / "outside")),
        "is not in it|cannot read",
    ),
    "a layer that is a link out of the layout": (
        blob_is(lambda blob: blob.symlink_to("../../../outside"), "layer"),
        "is not in it|cannot read",
    ),
    "a manifest that is a directory": (blob_is(lambda blob: blob.mkdir()), "not a file"),
    "a manifest that is a fifo": (blob_is(os.mkfifo), "not a file"),
    "an index that is a fifo": (blob_is(os.mkfifo, "index"), "not a file"),
    "a layer that is a fifo": (blob_is(os.mkfifo, "layer"), "not a file"),
    "a layer that is a zero device": (blob_is(lambda blob: blob.symlink_to("/dev/zero"), "layer"), "is not in it"),
}


def sparse_manifest(size: int) -> bytes:
    """The beginning of an archive whose manifest.json claims ``size`` bytes, and has them."""
    info = tarfile.TarInfo("manifest.json")
    info.size = size
    return info.tobuf() + bytes(size) + bytes(1024)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(full: Store, name: str, tmp_path: Path) -> None:
    make, match = REFUSED[name]
    place = tmp_path / "in"
    place.mkdir()
    path = make(place / "bad")
    before = tree(tmp_path / "g")
    with pytest.raises(PypodError, match=match) as caught:
        load.load(full, str(path), normalise=normalise)
    assert caught.value.message.isprintable() and len(caught.value.message) < 1200
    assert tree(tmp_path / "g") == before
    if path.is_dir():
        return
    # The same out of a pipe's copy: compressed, so that it goes through the spool.
    if path.stat().st_size < 1 << 20:
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
        with pytest.raises(PypodError):
            load.load(full, str(path), normalise=normalise)
        assert tree(tmp_path / "g") == before


@pytest.mark.parametrize(
    "change",
    [
        {"created": None, "history": None, "config": None},
        {"created": "2024-01-02T03:04:05.123456789012+23:59", "os.features": None},
        {"config": {"Env": None, "Labels": {"a": "b", "A": "B"}, "Volumes": {"/x": {}, "/X": {}}, "Cmd": []}},
        {"container_config": {"Cmd": "anything"}, "moby.buildkit.buildinfo.v1": "x", "config": {"Healthcheck": {}}},
    ],
)
def test_odd_but_honest_configs(full: Store, change: dict, tmp_path: Path) -> None:
    [(image, names)] = load.load(full, str(with_config(**change)(tmp_path / "a")), normalise=normalise)
    assert names == ["localhost/x:1"]
    assert Store(full.graphroot, full.runroot).image_config(image)["rootfs"]["diff_ids"] == [digest(GOOD)]


def test_links_inside_an_archive_are_followed(full: Store, tmp_path: Path) -> None:
    make = archive_of(
        (entry("a/real"), GOOD),
        entry("b/layer", tarfile.SYMTYPE, linkname="../a/real"),
        entry("layer.tar", tarfile.LNKTYPE, linkname="b/layer"),
    )
    assert load.load(full, str(make(tmp_path / "a")), normalise=normalise)


def test_thousands_of_images_with_one_big_config(full: Store, tmp_path: Path) -> None:
    """Each is read for itself, and none is kept: memory does not grow with their number."""
    import tracemalloc

    big = config(digest(GOOD), author="x" * 200_000)
    items = [{"Config": "config.json", "RepoTags": [f"x:{n}"], "Layers": ["0/layer.tar"]} for n in range(60)]
    items.append({"Config": "config.json", "Layers": ["missing"]})
    path = docker_archive(tmp_path / "a", [GOOD], [], config=big, manifest=json.dumps(items).encode())
    tracemalloc.start()
    try:
        with pytest.raises(PypodError, match="missing is not in it"):
            load.load(full, str(path), normalise=normalise)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert hashlib.sha256(big).hexdigest() not in {image.id for image in full.images()}
