"""Images out of the store: each format, and back in."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import tarfile
import threading
from pathlib import Path

import pytest
from archives import digest, directory, docker_archive, entry, layer, oci_layout, pack, tree

from pypod.errors import PypodError, StorageError, UsageError
from pypod.oci.reference import normalise
from storage import deflate, export, load, overlay, save, squeeze
from storage.progress import Progress
from storage.records import Image
from storage.store import Store

BASE = pack(directory("d", 0o1777), (entry("d/f"), b"1" * 5000), (entry("d/f"), b"twice"))
TOP = pack((entry("<&>é"), os.urandom(300_000)), (entry("empty"), b""))


@pytest.fixture
def image(store: Store, tmp_path: Path) -> Image:
    source = docker_archive(tmp_path / "source.tar", [BASE, TOP], ["x:1"])
    return load.load(store, str(source), normalise=normalise)[0][0]


def other(tmp_path: Path) -> Store:
    number = len(list(tmp_path.glob("other*")))
    return Store(str(tmp_path / f"other{number}"), str(tmp_path / "r2"))


NAME = "localhost/x:1"


@pytest.mark.parametrize("format", save.FORMATS)
@pytest.mark.parametrize(
    "packing",
    [squeeze.GZIP, squeeze.PLAIN, squeeze.Packing(format="zstd", level=5), squeeze.Packing(format="zstd:chunked")],
)
def test_saved_and_loaded_again_it_is_the_same(
    store: Store, image: Image, tmp_path: Path, format: str, packing: squeeze.Packing
) -> None:
    out = tmp_path / "out"
    save.save(store, [(image, [NAME])], str(out), format, packing=packing)
    into = other(tmp_path)
    [(again, names)] = load.load(into, str(out), normalise=normalise)
    assert names == ([] if format == "docker-dir" else [NAME])  # that has no room for names
    assert again.id == image.id and again.layer == image.layer
    assert into.image_data(again, f"sha256:{image.id}") == store.image_data(image, f"sha256:{image.id}")
    assert b"".join(export.layer(into, again.layer)) == TOP
    assert tree(Path(into.home) / image.layer / "diff") == tree(Path(store.home) / image.layer / "diff")
    before = out.read_bytes() if out.is_file() else b""
    save.save(store, [(image, [NAME])], str(out), format, packing=packing)
    assert (out.read_bytes() if out.is_file() else b"") == before
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    assert os.listdir(store.home).count("tempdirs") == 0


def test_a_manifest_that_fits_goes_out_as_it_came(store: Store, tmp_path: Path) -> None:
    source = oci_layout(tmp_path / "source", [BASE, TOP], "x:1", compress=False)
    [(image, _)] = load.load(store, str(source), normalise=normalise)
    save.save(store, [(image, [NAME])], str(tmp_path / "out"), "oci-dir", packing=squeeze.PLAIN)
    [(again, _)] = load.load(other(tmp_path), str(tmp_path / "out"), normalise=normalise)
    assert again.digest == image.digest


def test_the_docker_archive(store: Store, image: Image, tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    save.save(store, [(image, [NAME, "example.com:5000/a/b:c"])], str(out))
    with tarfile.open(out) as archive:
        members = {item.name: item for item in archive}

        def content(name: str) -> bytes:
            file = archive.extractfile(name)
            assert file is not None
            return file.read()

        layers = [f"{digest(data)[7:]}.tar" for data in (BASE, TOP)]
        assert json.loads(content("manifest.json")) == [
            {"Config": f"{image.id}.json", "RepoTags": [NAME, "example.com:5000/a/b:c"], "Layers": layers}
        ]
        assert [content(name) for name in layers] == [BASE, TOP]
        repositories = json.loads(content("repositories"))
        top = repositories["localhost/x"]["1"]
        assert repositories == {"localhost/x": {"1": top}, "example.com:5000/a/b": {"c": top}}
        assert content(f"{top}/layer.tar") == TOP and content(f"{top}/VERSION") == b"1.0"
        document = json.loads(content(f"{top}/json"))
        assert document["id"] == top and content(f"{document['parent']}/layer.tar") == BASE
        assert {(item.mtime, item.uid, item.gid) for item in members.values()} == {(0, 0, 0)}
    assert out.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_several_images_share_what_they_have_in_common(store: Store, image: Image, tmp_path: Path) -> None:
    third = layer("third")
    source = docker_archive(tmp_path / "two.tar", [BASE, third], ["y:2"])
    [(second, _)] = load.load(store, str(source), normalise=normalise)
    items = [(image, [NAME]), (second, ["localhost/y:2"]), (image, ["localhost/x:other", NAME])]
    out = tmp_path / "out.tar"
    save.save(store, items, str(out))
    with tarfile.open(out) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
    assert sum(name.endswith(".tar") and "/" not in name for name in names) == 3
    found = load.load(other(tmp_path), str(out), normalise=normalise)
    assert [(item.id, names) for item, names in found] == [
        (image.id, [NAME, "localhost/x:other"]),
        (second.id, ["localhost/y:2"]),
    ]
    with pytest.raises(UsageError, match="oci-archive holds one image, not 3"):
        save.save(store, items, str(out), "oci-archive", packing=squeeze.GZIP)


def test_the_docker_directory(store: Store, image: Image, tmp_path: Path) -> None:
    out = tmp_path / "out"
    save.save(store, [(image, [])], str(out), "docker-dir")
    manifest = json.loads((out / "manifest.json").read_bytes())
    assert (out / "version").read_bytes() == b"Directory Transport Version: 1.1\n"
    assert [item["digest"] for item in manifest["layers"]] == [digest(BASE), digest(TOP)]
    assert (out / digest(TOP)[7:]).read_bytes() == TOP
    assert (out / image.id).read_bytes() == store.image_data(image, f"sha256:{image.id}")
    save.save(store, [(image, [])], str(out), "docker-dir", packing=squeeze.GZIP)
    manifest = json.loads((out / "manifest.json").read_bytes())
    blobs = [(out / item["digest"][7:]).read_bytes() for item in manifest["layers"]]
    assert [gzip.decompress(blob) for blob in blobs] == [BASE, TOP]
    assert [digest(blob) for blob in blobs] == [item["digest"] for item in manifest["layers"]]
    assert [len(blob) for blob in blobs] == [item["size"] for item in manifest["layers"]]
    assert len(os.listdir(out)) == 5, "what the first left is gone"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/precious").touch()
    with pytest.raises(PypodError, match="it is not empty, and not of this format"):
        save.save(store, [(image, [])], str(tmp_path / "mine"), "docker-dir")
    with pytest.raises(PypodError, match="it is not a directory"):
        save.save(store, [(image, [])], str(tmp_path / "mine/precious"), "docker-dir")


def test_an_oci_directory_takes_more_images(store: Store, image: Image, tmp_path: Path) -> None:
    [(second, _)] = load.load(store, str(docker_archive(tmp_path / "b.tar", [BASE], ["y:1"])), normalise=normalise)
    out = tmp_path / "out"
    save.save(store, [(image, [NAME])], str(out), "oci-dir", packing=squeeze.GZIP)
    save.save(store, [(second, ["localhost/y:1"])], str(out), "oci-dir", packing=squeeze.GZIP)
    save.save(store, [(second, [NAME])], str(out), "oci-dir", packing=squeeze.GZIP)
    found = load.load(other(tmp_path), str(out), normalise=normalise)
    assert {tuple(names): item.id for item, names in found} == {
        (NAME,): second.id,
        ("localhost/y:1",): second.id,
    }


@pytest.mark.parametrize("format", ["docker-archive", "oci-archive"])
def test_into_a_pipe(store: Store, image: Image, tmp_path: Path, format: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    thread.start()
    save.save(store, [(image, [NAME])], str(tmp_path / "pipe"), format)
    thread.join(10)
    save.save(store, [(image, [NAME])], str(tmp_path / "file"), format)
    assert got == [(tmp_path / "file").read_bytes()]


@pytest.mark.parametrize("format", ["docker-archive", "oci-archive"])
@pytest.mark.parametrize("damage", ["other content", "shorter", "gone", "tar-split cut", "tar-split rubbish"])
def test_a_damaged_layer_leaves_no_file(store: Store, image: Image, tmp_path: Path, format: str, damage: str) -> None:
    file = Path(store.diff_directory(image.layer)) / "<&>é"
    split = Path(store.layers_dir) / f"{image.layer}.tar-split.gz"
    if damage == "other content":
        with file.open("r+b") as open_file:
            open_file.write(b"other")
    elif damage == "shorter":
        os.truncate(file, 1000)
    elif damage == "gone":
        file.unlink()
    elif damage == "tar-split cut":
        split.write_bytes(split.read_bytes()[:-20])
    else:
        split.write_bytes(gzip.compress(b'{"type":2,"payload":"!!!"}\n'))
    out = tmp_path / "out.tar"
    out.write_text("from before")
    with pytest.raises(StorageError) as caught:
        save.save(store, [(image, [NAME])], str(out), format)
    assert "\n" not in str(caught.value)
    assert out.read_text() == "from before"
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_a_layer_without_tar_split_is_packed_anew(store: Store, image: Image, tmp_path: Path) -> None:
    (Path(store.layers_dir) / f"{image.layer}.tar-split.gz").unlink()
    with pytest.raises(StorageError, match="packed anew, as it has no tar-split file, it has the digest sha256:"):
        save.save(store, [(image, [NAME])], str(tmp_path / "out.tar"))
    # One that this program has packed itself comes out the same.
    with export.open_layer(store, image.layer) as stream:
        data = b"".join(stream)
    into = other(tmp_path)
    source = docker_archive(tmp_path / "again.tar", [BASE, data], ["x:2"])
    [(again, _)] = load.load(into, str(source), normalise=normalise)
    (Path(into.layers_dir) / f"{again.layer}.tar-split.gz").unlink()
    assert b"".join(export.layer(into, again.layer)) == data


def test_a_layer_in_an_additional_store(store: Store, image: Image, tmp_path: Path) -> None:
    reader = Store(str(tmp_path / "g2"), str(tmp_path / "r2"), additional_image_stores=[store.graphroot])
    assert [b"".join(export.layer(reader, item.id)) for item in reader.chain(image.layer)] == [TOP, BASE]
    save.save(reader, [(reader.find_image("x:1"), [NAME])], str(tmp_path / "out.tar"))
    assert load.load(other(tmp_path), str(tmp_path / "out.tar"), normalise=normalise)[0][0].id == image.id


def test_a_mapped_copy_has_its_files_elsewhere(store: Store, image: Image) -> None:
    chain = [item.id for item in store.chain(image.layer)]
    overlay.create(store.home, "ab" * 32, image.layer, store.home, ":".join(chain))
    with store.layers_lock() as lock:
        rows = store.layer_table.rows()
        row = {**next(item for item in rows if item["id"] == image.layer), "id": "ab" * 32}
        store.layer_table.save([*rows, row], lock, durable=False)
    shutil.copy(f"{store.layers_dir}/{image.layer}.tar-split.gz", f"{store.layers_dir}/{'ab' * 32}.tar-split.gz")
    assert b"".join(export.layer(store, "ab" * 32)) == TOP


def test_progress(store: Store, image: Image, tmp_path: Path) -> None:
    class Counter(Progress):
        def __init__(self) -> None:
            self.begun: list[tuple[str, int]] = []
            self.done: dict[str, int] = {}

        def begin(self, key: str, what: str, total: int = -1) -> None:
            self.begun.append((what, total))

        def advance(self, key: str, count: int) -> None:
            self.done[key] = self.done.get(key, 0) + count

    counter = Counter()
    save.save(store, [(image, [NAME])], str(tmp_path / "out.tar"), progress=counter)
    assert counter.begun[:2] == [
        (f"Copying blob {digest(BASE)}", len(BASE)),
        (f"Copying blob {digest(TOP)}", len(TOP)),
    ]
    assert counter.done[digest(TOP)] == len(TOP)


def test_what_is_not_a_format(store: Store, image: Image, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='unknown format "zip"'):
        save.save(store, [(image, [])], str(tmp_path / "out"), "zip")
    with pytest.raises(PypodError, match="cannot write .*/no/out: No such file"):
        save.save(store, [(image, [])], str(tmp_path / "no/out"))


@pytest.mark.parametrize("size", [0, 1, deflate.BLOCK - 1, deflate.BLOCK, deflate.BLOCK * 3 + 5])
@pytest.mark.parametrize("kind", ["random", "text", "both"])
def test_gzip_by_several_threads(size: int, kind: str) -> None:
    text = b"".join(b"line %d of the text\n" % number for number in range(size // 16 + 1))
    data = {
        "random": os.urandom(size),
        "text": text[:size],
        "both": b"".join(os.urandom(300_000) + text[: 1 << 20] for _ in range(3))[:size],
    }[kind]
    pieces = [data[at : at + 300_001] for at in range(0, size, 300_001)]
    packed = b"".join(deflate.gzip(pieces))
    assert hashlib.sha256(gzip.decompress(packed)).digest() == hashlib.sha256(data).digest()
    assert packed == b"".join(deflate.gzip([data], threads=1))
    assert len(packed) < size * {"random": 1.001, "text": 0.4, "both": 0.9}[kind] + 1000
