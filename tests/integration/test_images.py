"""Image commands from the command line, as root and rootless."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import json
import lzma
import re
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from support import leaks
from support.runner import Pypod


def small(*names: str) -> bytes:
    """An archive with some files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            archive.addfile(entry, io.BytesIO(name.encode()))
    return out.getvalue()


@pytest.fixture
def empty(pypod: Pypod) -> Iterator[Pypod]:
    """The store with its one image; what a test adds is removed."""
    yield pypod
    for line in pypod("images", "-q", "--no-trunc").ok().lines:
        names = pypod("image", "inspect", "--format", "{{.RepoTags}}", line).out
        if "localhost/bb:1" not in names:
            pypod("rmi", "-f", line)
    pypod("untag", "localhost/bb:1")
    keeper = pypod("images", "-q", "--no-trunc").ok().lines[0]
    pypod("tag", keeper, "localhost/bb:1").ok()


PACK = {
    "tar": lambda data: data,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("kind", PACK)
def test_import_from_stdin(empty: Pypod, kind: str) -> None:
    data = PACK[kind](small("one", "two"))
    out = empty("import", "-", "x", input=data).ok().out
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", out)
    [record] = empty("image", "inspect", "x").ok().json
    assert out.strip() == "sha256:" + record["Id"]
    assert record["RepoTags"] == ["localhost/x:latest"]
    assert record["RootFS"]["Layers"] == ["sha256:" + hashlib.sha256(small("one", "two")).hexdigest()]


def test_import_with_changes(empty: Pypod, shared_dir: Path) -> None:
    file = shared_dir / "a.tar"
    file.write_bytes(small("a"))
    changes = ["-c", 'CMD ["/a"]', "--change", "ENV X=1", "-c", "LABEL k=v", "-c", "USER 5", "-c", "EXPOSE 80"]
    more = ["-m", "my words", "--os", "plan9", "--arch", "arm", "--variant", "v6"]
    empty("import", *changes, *more, file, "example.com/x:7").ok()
    [record] = empty("inspect", "example.com/x:7").ok().json
    config = {"User": "5", "ExposedPorts": {"80/tcp": {}}, "Env": ["X=1"], "Cmd": ["/a"], "Labels": {"k": "v"}}
    assert record["Config"] == config
    assert (record["Os"], record["Architecture"], record["Comment"]) == ("plan9", "arm", "my words")
    assert empty("history", "--format", "{{.Comment}}|{{.Size}}", "x:7").ok().out == "my words|10.2 kB\n"
    assert empty("images", "--filter", "label=k=v", "--format", "{{.Repository}}").ok().out == "example.com/x\n"


def test_import_refuses_before_it_reads(empty: Pypod, shared_dir: Path) -> None:
    file = shared_dir / "a.tar"
    file.write_bytes(small("a"))
    before = leaks.snapshot(empty)
    empty("import", file, "BAD").fails(125, "lowercase")
    empty("import", "-c", "NOSUCH x", file, "x").fails(125, "invalid instruction NOSUCH")
    empty("import", "/no/such/file", "x").fails(125, "/no/such/file")
    empty("import", shared_dir, "x").fails(125, "directory")
    empty("import", "http://127.0.0.1:1/x", "x").fails(125, "http://127.0.0.1:1/x", "refused")
    assert not leaks.since(empty, before)


def test_import_from_a_url(empty: Pypod, shared_dir: Path) -> None:
    (shared_dir / "a.tar.gz").write_bytes(gzip.compress(small("a")))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(shared_dir))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            place = f"http://127.0.0.1:{server.server_port}"
            empty("import", f"{place}/a.tar.gz", "x").ok()
            empty("import", f"{place}/nosuch", "y").fails(125, "404", "nosuch")
        finally:
            server.shutdown()
            thread.join()
    assert empty("image", "exists", "x").code == 0
    assert empty("image", "exists", "y").code == 1


def test_the_table_of_images(empty: Pypod) -> None:
    empty("import", "-", "x", input=small("x")).ok()
    empty("tag", "x", "quay.io/y/z:3").ok()
    lines = empty("images").ok().lines
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["quay.io/y/z", "3"],
        ["localhost/x", "latest"],
        ["localhost/bb", "1"],
    ]
    assert len(empty("images", "-q").ok().lines) == 2
    assert empty("images", "-q", "--no-trunc").ok().lines[0].startswith("sha256:")
    # What is between is how long ago it was.
    shown = [(line.split()[:3], line.split()[-2:]) for line in lines[1:]]
    assert [(line.split()[:3], line.split()[-2:]) for line in empty("image", "ls", "-n").ok().lines] == shown
    record, same = [
        item for item in empty("images", "--format", "json").ok().json if "localhost/x:latest" in item["Names"]
    ]
    assert record == same  # one for each name, as podman has it
    assert sorted(record) == sorted(
        "Id ParentId RepoTags RepoDigests Size SharedSize VirtualSize Labels Containers Names Digest History Created"
        " CreatedAt".split()
    )
    assert empty("images", "quay.io/y/z").ok().lines[1].split()[0] == "quay.io/y/z"
    assert len(empty("images", "nosuch").ok().lines) == 1
    empty("images", "--filter", "nosuch=1").fails(125, "nosuch")
    empty("images", "--sort", "nosuch").fails(125, "nosuch")
    empty("untag", "x", "x", "quay.io/y/z:3").ok()
    [dangling] = empty("images", "--filter", "dangling=true").ok().lines[1:]
    assert dangling.split()[:2] == ["<none>", "<none>"]
    assert empty("image", "prune", "-f").ok().out.strip() == record["Id"]


def test_names_come_and_go(empty: Pypod) -> None:
    empty("import", "-", "x", input=small("x")).ok()
    [identity] = empty("images", "-q", "--no-trunc", "x").ok().lines
    empty("tag", "x", "y", "z:2").ok()
    empty("tag", "x", "NOT").fails(125, "lowercase")
    empty("tag", "nosuch", "y").fails(125, "nosuch: image not known")
    empty("untag", "x", "nosuch").fails(125, "localhost/nosuch:latest: tag not known")
    empty("rmi", identity[7:]).fails(125, "by ID with more than one tag")
    assert empty("rmi", "y").ok().out == "Untagged: localhost/y:latest\n"
    assert empty("rmi", "x").ok().out == "Untagged: localhost/x:latest\n"
    out = empty("rmi", "z:2").ok().out
    assert out == f"Untagged: localhost/z:2\nDeleted: {identity[7:]}\n"
    empty("rmi", "z:2").fails(1, "z:2: image not known")
    assert empty("rmi", "-i", "z:2").ok().out == ""
    both = empty("rmi", "nosuch", "localhost/nosuch:7")
    assert both.code == 1 and both.err.count("image not known") == 2


def test_an_image_in_use(empty: Pypod) -> None:
    empty("import", "-", "x", input=small("x")).ok()
    identity = empty("create", "--name", "user", "x", "/x").ok().out.strip()
    empty("rmi", "x").fails(2, f"image used by {identity}", "in use")
    empty("tag", "x", "other").ok()
    assert empty("rmi", "x").ok().out == "Untagged: localhost/x:latest\n"
    out = empty("rmi", "-f", "other").ok().out
    assert out.startswith("Untagged: localhost/other:latest\nDeleted: ")
    assert empty("ps", "-aq").ok().out == ""


def test_load_from_stdin(empty: Pypod, shared_dir: Path) -> None:
    layer = small("a")
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}, "os": "linux"}).encode()
    manifest = json.dumps([{"Config": "c", "RepoTags": ["one:1", "two"], "Layers": ["l"]}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("l", layer), ("c", config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    shown = "Loaded image: localhost/one:1\nLoaded image: localhost/two:latest\n"
    for data in (out.getvalue(), gzip.compress(out.getvalue())):
        assert empty("load", input=data).ok().out == shown
    file = shared_dir / "a.tar"
    file.write_bytes(out.getvalue())
    assert empty("load", "-q", "-i", file).ok().out == shown
    empty("load", "-i", "/no/such/file").fails(125, "/no/such/file")
    empty("load", input=layer).fails(125, "payload does not match")
    empty("load", input=b"").fails(125, "payload does not match")


def test_an_import_that_is_killed_leaves_only_what_the_next_one_removes(empty: Pypod) -> None:
    before = leaks.snapshot(empty)
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        process = empty.popen("import", "-", "x", stdin=subprocess.PIPE)
        assert process.stdin
        process.stdin.write(small(*(f"file{number}" for number in range(3000))))
        process.stdin.flush()
        time.sleep(0.5)
        process.send_signal(number)
        process.wait(60)
        process.stdin.close()
        assert empty("image", "exists", "x").code == 1
    empty("import", "-", "y", input=small("y")).ok()
    empty("rmi", "y").ok()
    assert not leaks.since(empty, before)


def test_many_imports_at_once(empty: Pypod) -> None:
    processes = []
    for number in range(4):
        process = empty.popen("import", "-", f"x{number % 2}", stdin=subprocess.PIPE)
        assert process.stdin
        process.stdin.write(small(*(f"f{index}" for index in range(200))))
        process.stdin.close()
        process.stdin = None
        processes.append(process)
    for process in processes:
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
    assert {line.split()[0] for line in empty("images", "-n").ok().lines} >= {"localhost/x0", "localhost/x1"}
