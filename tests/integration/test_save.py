"""``save``, ``export``, and what ``load`` and ``import`` say, as root and rootless."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import json
import os
import re
import signal
import stat
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import leaks, made
from support.runner import Pypod

BASE = "localhost/bb:1"


@pytest.fixture
def store_(pypod: Pypod) -> Iterator[Pypod]:
    """The store; images that a test makes are removed."""
    yield pypod
    pypod("rm", "-f", "-a", "-t", "0").ok()
    made.forget_images(pypod, BASE)


@pytest.fixture
def three(store_: Pypod) -> Pypod:
    """The store with an image of three layers, ``localhost/three:1``."""
    for number, (base, name) in enumerate(((BASE, "two:1"), ("two:1", "three:1"))):
        store_("run", "--name", "a", base, "sh", "-c", f"echo {number} > /f{number}; rm -f /etc/notes").ok()
        store_("commit", "-q", "a", name).ok()
        store_("rm", "a").ok()
    return store_


def text(shown: str) -> list[str]:
    return [line.strip() for line in shown.splitlines()]


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "oci-dir", "docker-dir"])
def test_there_and_back(three: Pypod, shared_dir: Path, kind: str) -> None:
    config, _ = made.documents(three, "three:1")
    layers = made.layers(three, "three:1")
    for number, flags in enumerate(([], ["--compress"] if kind == "docker-dir" else ["--uncompressed"])):
        target = shared_dir / f"saved{number}"
        done = three("save", "--format", kind, "-o", target, *flags, "three:1").ok()
        assert done.out == "" and done.err.splitlines()[0].startswith("Copying blob sha256:")
        three("rmi", "three:1", "two:1").ok()
        loaded = three("load", "-i", target).ok()
        [line] = loaded.lines
        name = "three:1" if kind != "docker-dir" else line.partition(": ")[2]
        assert line == "Loaded image: " + ("localhost/three:1" if kind != "docker-dir" else name)
        assert loaded.err.splitlines()[-1] == "Writing manifest to image destination"
        assert made.layers(three, name) == layers
        assert made.documents(three, name)[0] == config
        assert (
            three("run", "--rm", name, "sh", "-c", "cat /f0 /f1; echo /etc/notes*").ok().out == "0\n1\n/etc/notes*\n"
        )
        three("tag", name, "three:1", "two:1").ok()
    three("rmi", "-f", "three:1").ok()


def manifest_of(data: bytes) -> list[dict[str, Any]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        member = archive.extractfile("manifest.json")
        assert member
        found: list[dict[str, Any]] = json.load(member)
        return found


def saved(pypod: Pypod, *args: str) -> list[dict[str, Any]]:
    process = pypod.popen("save", *args)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and err == b"", err
    return manifest_of(out)


def test_names(three: Pypod) -> None:
    identity = three("images", "-q", "--no-trunc", "three:1").ok().out.strip()[7:]
    [one] = saved(three, "three:1", "more", "quay.io/x/y:2")
    assert sorted(one["RepoTags"]) == ["localhost/more:latest", "localhost/three:1", "quay.io/x/y:2"]
    assert [item["RepoTags"] for item in saved(three, "-m", "three:1", BASE)] == [["localhost/three:1"], [BASE]]
    assert saved(three, identity[:12])[0]["RepoTags"] in ([], None)
    # One image by two of its names.
    three("tag", "three:1", "again").ok()
    [both] = saved(three, "-m", "three:1", "again")
    assert both["RepoTags"] == ["localhost/three:1", "localhost/again:latest"]


def test_what_save_refuses(three: Pypod, shared_dir: Path) -> None:
    full = shared_dir / "full"
    full.write_bytes(b"something")
    for words, said in (
        ([], "need at least 1 argument"),
        (["nosuch"], "nosuch: image not known"),
        (["--compress", BASE], "--compress can only be set when --format is 'docker-dir'"),
        (["--format", "bogus", BASE], "format value must be one of oci-dir oci-archive docker-dir docker-archive"),
        (["--format", "", BASE], "format value must be one of"),
        (["--format", "oci-dir", BASE], "--output"),
        (["-m", "--format", "oci-archive", BASE, "three:1"], "only docker-archive"),
        (["--format", "oci-archive", "-o", shared_dir / "x", BASE, "more"], "room for one image with one name"),
        (["-o", "a:b", BASE], "invalid filename (should not contain ':') \"a:b\""),
        (["-o", full, BASE], "docker-archive doesn't support modifying existing images"),
        (["--format", "oci-dir", "-o", full, BASE], "not a directory"),
        (["-o", "/no/such/file", BASE], "/no/such"),
        (["-m", BASE, "nosuch"], "nosuch: image not known"),
    ):
        three("save", *words).fails(125, said)
    assert full.read_bytes() == b"something" and [path.name for path in shared_dir.iterdir()] == ["full"]
    assert "refusing to save to terminal. Use -o flag or redirect" in three("save", BASE, tty=True).out
    assert "refusing to export to terminal. Use -o flag or redirect" in three("export", "x", tty=True).out


@pytest.mark.parametrize("verb", [["save", "bb:1"], ["export", "gone"]])
def test_a_reader_that_leaves_is_no_error(store_: Pypod, verb: list[str]) -> None:
    store_("create", "--name", "gone", BASE, "true").ok()
    process = store_.popen(*verb)
    assert process.stdout and process.stderr
    assert process.stdout.read(1)
    process.stdout.close()
    said = process.stderr.read()
    assert (process.wait(30), said) == (141, b""), said


def test_where_output_goes(three: Pypod, shared_dir: Path) -> None:
    """A pipe by its name; and a closed stdin or stdout is an error, not /dev/null."""
    saved = three("save", "-q", "three:1").ok().out
    assert three("save", "-q", "-o", "/dev/stdout", "three:1").ok().out == saved
    three("create", "--name", "a", BASE, "sh").ok()
    for words in (
        ("save", "-q", BASE),
        ("export", "a"),
        ("cp", "a:/bin", "-"),
        ("load",),
        ("import", "-"),
    ):
        done = subprocess.run(
            ["sh", "-c", '"$@" <&- >&-', "sh", *three.argv(*words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=three.environment(),
            cwd=three.cwd,
            **three.user.popen_options(),
        )
        assert done.returncode == 125 and "is closed" in done.stderr, done


def test_a_reader_that_goes_away(three: Pypod) -> None:
    process = three.popen("save", "three:1")
    assert process.stdout
    process.stdout.read(1000)
    process.stdout.close()
    assert process.wait(20) != 0
    assert b"Traceback" not in process.communicate()[1]


TREE = """
mkdir /t /t/empty /t/deep; echo data > /t/file; ln /t/file /t/hard; ln -s file /t/soft; mkfifo /t/fifo
chmod 4711 /t/file; chown 1000:10 /t/deep; touch -d @1000000000 /t/deep
head -c 100000 /dev/urandom > "/t/näme with blanks"
echo v > /volume/v; rm -r /etc/notes /home/user
"""


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name.rstrip("/"): member for member in archive.getmembers()}


def exported(pypod: Pypod, *args: str | Path) -> bytes:
    process = pypod.popen("export", *args)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and err == b"", err
    return out


def test_export(store_: Pypod, shared_dir: Path, busybox_tar: Path) -> None:
    command = f"set -e; {TREE}\necho ready; exec sleep 100"
    store_("run", "-d", "--name", "a", "-v", "/volume", BASE, "sh", "-c", command).ok()
    store_.wait_log("a", "ready")
    store_("exec", "a", "sh", "-c", "echo live > /t/live").ok()
    data = exported(store_, "a")
    found = members(data)
    assert found["t/file"].mode & 0o7777 == 0o4711
    links = sorted(name for name in ("t/file", "t/hard") if found[name].islnk())
    assert len(links) == 1
    assert found["t/soft"].linkname == "file" and found["t/fifo"].isfifo()
    assert (found["t/deep"].uid, found["t/deep"].gid, found["t/deep"].mtime) == (1000, 10, 1_000_000_000)
    assert found["t/näme with blanks"].size == 100_000 and found["t/empty"].isdir()
    assert "etc/notes" not in found and "home/user" not in found and "home" in found
    # What is mounted is not the container's.
    assert found["volume"].isdir() and "volume/v" not in found and "proc/1" not in found and "dev/null" not in found
    # All that came with the image is there, as it was.
    for name, member in members(busybox_tar.read_bytes()).items():
        if name not in ("etc/notes", "home/user") and not member.isdir():
            assert (found[name].mode, found[name].size, found[name].linkname) == (
                member.mode,
                member.size,
                member.linkname,
            ), name
    target = shared_dir / "e.tar"
    store_("stop", "-t", "0", "a").ok()
    assert store_("container", "export", "-o", target, "a").ok().out == ""
    assert members(target.read_bytes()).keys() == found.keys()
    assert stat.S_IMODE(target.stat().st_mode) & 0o077 in (0o044, 0)
    identity = store_("import", "-q", target, "back").ok().out.strip()
    assert store_("run", "--rm", identity, "sh", "-c", "cat /t/live /t/soft; stat -c %h /t/file").ok().out == (
        "live\ndata\n2\n"
    )
    store_("export", "nosuch").fails(125, "no such container")
    store_("export", "-o", "a:b", "a").fails(125, "should not contain ':'")
    store_("export", "-o", "/no/such/file", "a").fails(125, "/no/such/file")
    store_("export").fails(125, "accepts 1 arg(s), received 0")
    store_("rm", "-v", "a").ok()


def test_export_of_a_running_container_goes_to_where_the_caller_is(store_: Pypod, shared_dir: Path) -> None:
    """Its file system is in another mount namespace; the output's path is not looked for there."""
    store_("run", "-d", "--network", "none", "--name", "a", BASE, "sleep", "100").ok()
    here = shared_dir / "here"
    here.mkdir()
    here.chmod(0o777)
    store_("export", "-o", "e.tar", "a", cwd=here).ok()
    assert [item.name for item in here.iterdir()] == ["e.tar"]
    # Nor does it need a directory to be in.
    script = 'mkdir x && cd x && rmdir ../x && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *store_.argv("export", "a")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        env=store_.environment(),
        cwd=here,
        **store_.user.popen_options(),
    )
    assert done.returncode == 0 and len(members(done.stdout)) > 200, done.stderr


def test_export_with_other_ids_and_of_a_directory(store_: Pypod, shared_dir: Path) -> None:
    mapping = ["--userns", "keep-id"] if store_.rootless else ["--uidmap", "0:300000:5000"]
    command = "touch /mine /other; chown 1000 /other; echo ready; exec sleep 100"
    store_("run", "-d", "--name", "a", "-u", "0", *mapping, BASE, "sh", "-c", command).ok()
    store_.wait_log("a", "ready")
    for state in ("running", "stopped"):
        found = members(exported(store_, "a"))
        assert (found["mine"].uid, found["other"].uid, found["bin/busybox"].uid) == (0, 1000, 0), state
        store_("stop", "-t", "0", "a").ok()
    (shared_dir / "here").write_text("x")
    store_("create", "--name", "r", "--rootfs", shared_dir, "sh").ok()
    assert set(members(exported(store_, "r"))) == {"here"}


def test_xattrs_come_out(store_: Pypod, shared_dir: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("file")
        entry.pax_headers = {"SCHILY.xattr.user.pypod": "value"}
        if not store_.rootless:
            capability = b"\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
            entry.pax_headers["SCHILY.xattr.security.capability"] = capability.decode("latin-1")
        archive.addfile(entry)
    store_("import", "-q", "-", "x", input=out.getvalue()).ok()
    store_("create", "--name", "a", "x", "/x").ok()
    headers = members(exported(store_, "a"))["file"].pax_headers
    assert {key: headers[key] for key in entry.pax_headers} == entry.pax_headers


def test_load_and_import_from_a_url(three: Pypod, shared_dir: Path, busybox_tar: Path) -> None:
    three("save", "-q", "-o", shared_dir / "s.tar", "three:1").ok()
    (shared_dir / "b.tar.gz").write_bytes(gzip.compress(busybox_tar.read_bytes(), 1))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(shared_dir))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            place = f"http://127.0.0.1:{server.server_port}"
            three("rmi", "three:1").ok()
            done = three("load", "-i", f"{place}/s.tar").ok()
            assert done.out == "Loaded image: localhost/three:1\n"
            assert done.err.splitlines()[0] == f'Downloading from "{place}/s.tar"'
            three("load", "-q", "-i", f"{place}/nosuch").fails(125, "404", "nosuch")
            done = three("import", "-m", "words", f"{place}/b.tar.gz", "y").ok()
            assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", done.out)
            assert done.err.splitlines() == [
                f'Downloading from "{place}/b.tar.gz"',
                "Copying layer",
                f"Copying config {done.out.strip()}",
                "Writing manifest to image destination",
            ]
            assert three("import", "-q", f"{place}/b.tar.gz").ok().err == ""
        finally:
            server.shutdown()
            thread.join()


def test_bars_on_a_terminal(three: Pypod, shared_dir: Path, busybox_tar: Path) -> None:
    layers = made.layers(three, "three:1")
    shown = three("save", "-o", shared_dir / "s.tar", "three:1", tty=True).ok().out
    assert re.search(rf"Copying blob {layers[0][7:19]} done \| [\d.]+ MB\r\n", shown)
    shown = three("load", "-i", shared_dir / "s.tar", tty=True).ok().out
    assert f"Copying blob {layers[0][7:19]} skipped: already exists\r\n" in shown
    assert shown.endswith("Loaded image: localhost/three:1\r\n")
    shown = three("import", busybox_tar, "y", tty=True).ok().out
    assert re.search(r"Copying layer done \| [\d.]+ MB\r\n", shown)
    assert three("import", "-q", busybox_tar, "y", tty=True).ok().out.count("\r\n") == 1


def test_control_c_leaves_terminal_and_store_in_order(store_: Pypod, shared_dir: Path) -> None:
    before = leaks.snapshot(store_)
    fifo = shared_dir / "fifo"
    os.mkfifo(fifo, 0o666)
    fifo.chmod(0o666)
    with store_.terminal("import", fifo, "x", columns=30) as terminal:
        attributes = terminal.attributes()
        with open(fifo, "wb", buffering=0) as pipe:
            pipe.write(b"".join(small(f"f{number}") for number in range(40)))
            terminal.expect(r"Copying layer")
            terminal.resize(10, 20)
            pipe.write(b"".join(small(f"g{number}") for number in range(40)))
            time.sleep(0.3)
            terminal.send("\x03")
            code = terminal.wait()
        assert code == -signal.SIGINT
        assert terminal.attributes() == attributes
        assert b"Traceback" not in terminal.output
        assert terminal.output.endswith((b"\r\n", b"\x1b[J"))
    assert not leaks.since(store_, before, patience=2)


def small(name: str) -> bytes:
    """One member of an archive that goes on."""
    entry = tarfile.TarInfo(name)
    entry.size = 1024
    return entry.tobuf() + bytes(1024)


# A disk that is nearly full.


@pytest.fixture
def tiny(fresh: Pypod) -> Iterator[Pypod]:
    """pypod with a store of 16 MiB that holds the busybox image."""
    if os.geteuid() != 0:
        pytest.skip("mounts a file system")
    assert fresh.graphroot
    options = f"size=16m,mode=0700,uid={fresh.user.uid},gid={fresh.user.gid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", fresh.graphroot], check=True)
    try:
        yield fresh
    finally:
        fresh("rm", "-f", "-a", "-t", "0")
        subprocess.run(["umount", "-l", fresh.graphroot], check=True)


def large(size: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("large")
        entry.size = size
        archive.addfile(entry, io.BytesIO(os.urandom(size)))
    return out.getvalue()


def test_a_full_disk(tiny: Pypod, shared_dir: Path, busybox_tar: Path) -> None:
    tiny("import", "-q", busybox_tar, BASE).ok()
    file = shared_dir / "large.tar"
    file.write_bytes(large(20 << 20))
    before = leaks.snapshot(tiny)
    free = os.statvfs(str(tiny.graphroot)).f_bfree
    # Known before: refused in one line with both sizes. Not known: the end of it leaves nothing either.
    said = tiny("import", "-q", file, "x").fails(125, "No space left on device", "it needs 21 MB", "free").err
    assert re.search(r"has 1\d(\.\d)? MB free", said), said
    tiny("import", "-q", "-", "x", input=file.read_bytes()).fails(125, "No space left on device")
    tiny("import", "-q", "-", "x", input=gzip.compress(file.read_bytes(), 1)).fails(125, "No space left on device")
    archive = shared_dir / "image.tar"
    archive.write_bytes(docker_archive(file.read_bytes()))
    tiny("load", "-q", "-i", archive).fails(125, "No space left on device", "cannot load the archive: it needs 21 MB")
    tiny("load", "-q", input=archive.read_bytes()).fails(125, "No space left on device")
    assert not leaks.since(tiny, before, patience=0)
    assert os.statvfs(str(tiny.graphroot)).f_bfree >= free - 16
    # A container's own layer, of which a second copy does not fit.
    tiny("run", "--name", "a", BASE, "sh", "-c", "head -c 8000000 /dev/urandom > /large").ok()
    before = leaks.snapshot(tiny)
    tiny("commit", "-q", "a", "x").fails(125, "cannot commit container a: it needs 8.", "No space left on device")
    tiny("commit", "-q", "-s", "a", "x").fails(125, "cannot commit container a", "No space left on device")
    tiny("save", "-q", "-o", Path(str(tiny.graphroot)) / "out.tar", BASE).ok()
    (Path(str(tiny.graphroot)) / "out.tar").unlink()
    assert not leaks.since(tiny, before, patience=0)
    tiny("rm", "a").ok()
    assert tiny("run", "--rm", BASE, "echo", "still").ok().out == "still\n"


def test_save_to_a_full_disk(store_: Pypod, shared_dir: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounts a file system")
    place = shared_dir / "small"
    place.mkdir()
    options = f"size=1m,mode=0700,uid={store_.user.uid},gid={store_.user.gid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        for kind in ("docker-archive", "oci-archive", "oci-dir", "docker-dir"):
            done = store_("save", "-q", "--format", kind, "-o", place / "out", BASE)
            done.fails(125, "No space left on device")
            assert list(place.iterdir()) == []
        store_("create", "--name", "a", BASE, "sh").ok()
        store_("export", "-o", place / "out", "a").fails(125, "No space left on device")
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def docker_archive(layer: bytes) -> bytes:
    import hashlib

    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]}}).encode()
    manifest = json.dumps([{"Config": "c", "RepoTags": ["x:1"], "Layers": ["l"]}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("l", layer), ("c", config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def test_the_first_container_with_ids_of_its_own(fresh: Pypod, busybox_tar: Path) -> None:
    if not fresh.rootless:
        return  # root mounts with other ids, and copies nothing
    for number, flags in enumerate(([], ["-q"])):
        fresh("import", "-q", "-m", str(number), busybox_tar, f"localhost/x:{number}").ok()
        first = fresh("run", "--rm", "--userns", "keep-id", *flags, f"localhost/x:{number}", "echo", "here").ok()
        said = "" if flags else f"Mapping the ids of image localhost/x:{number}\n"
        assert (first.out, first.err) == ("here\n", said)
        again = fresh("create", "--rm", "--userns", "keep-id", f"localhost/x:{number}", "true").ok()
        assert again.err == ""
    fresh("import", "-q", "-m", "2", busybox_tar, "localhost/x:2").ok()
    shown = fresh("run", "--rm", "--userns", "keep-id", "localhost/x:2", "echo", "here", tty=True).ok().out
    assert re.search(r"Mapping the ids of image localhost/x:2 done( \| [\d.]+ MB)?\r\nhere\r\n$", shown), shown


def test_ids_of_its_own_on_a_full_disk(tiny: Pypod, shared_dir: Path) -> None:
    if not tiny.rootless:
        return
    file = shared_dir / "large.tar"
    file.write_bytes(large(9 << 20))
    tiny("import", "-q", file, BASE).ok()
    before = leaks.snapshot(tiny)
    done = tiny("run", "--rm", "--userns", "keep-id", BASE, "true")
    done.fails(125, f"cannot map the ids of image {BASE}: it needs 9.4", "No space left on device")
    assert not leaks.since(tiny, before, patience=1)
