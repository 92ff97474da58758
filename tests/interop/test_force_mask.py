"""force_mask: files that all have one mode, their own told by an attribute; for fuse-overlayfs, and with podman."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, Result

KEPT = "user.containers.override_stat"
Call = Callable[..., Result]
SEEN = "0 0 4755 regular file\n3 4 640 regular file\n0 0 1777 directory\n0 0 755 directory\n7 8 700 directory\n"
LOOK = "stat -c '%u %g %a %F' /bin/sup /own /sticky /implied /implied/dir"


@pytest.fixture
def inside(fresh: Pypod) -> Iterator[list[str]]:
    """What stands before a command so that it runs as the user, who may use /dev/fuse there."""
    box.need("fuse-overlayfs")
    if not fresh.rootless:
        yield []
        return
    if not box.ROOT:
        pytest.skip("/dev/fuse is lent by root")
    lend = "mknod /run/fuse.$$ c 10 229; chmod 666 /run/fuse.$$; mount --bind /run/fuse.$$ /dev/fuse; rm /run/fuse.$$"
    holder = subprocess.Popen(
        ["unshare", "-m", "sh", "-ec", f"{lend}; echo done; exec sleep 600"], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "done\n"
    user = fresh.user
    ids = ["--reuid", str(user.uid), "--regid", str(user.gid), "--init-groups"]
    names = [f"{key}={value}" for key, value in fresh.environment().items()]
    yield ["nsenter", "-t", str(holder.pid), "-m", "setpriv", *ids, "env", "-i", "-C", "/", *names]
    holder.kill()
    holder.wait()


@pytest.fixture
def call(fresh: Pypod, inside: list[str]) -> Iterator[Call]:
    """call("pypod" | "podman", MASK, words ...) on one store."""

    def do(tool: str, mask: str, *words: str | Path) -> Result:
        places = ["--root", str(fresh.graphroot), "--runroot", str(fresh.runroot), "--storage-driver", "overlay"]
        options = ["--storage-opt", "overlay.mount_program=/usr/bin/fuse-overlayfs"]
        if mask:
            options += ["--storage-opt", f"overlay.force_mask={mask}"]
        if tool == "podman":
            options += ["--runtime", box.runtime(), "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
        program = fresh.program if tool == "pypod" else box.need("podman")
        argv = [*inside, program, *places, *options, *map(str, words)]
        if inside:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=90)
            return Result(argv, done.returncode, done.stdout, done.stderr)
        return fresh.as_user(*argv, timeout=90)

    yield do
    do("pypod", "", "rm", "-f", "-a", "-t", "0")
    do("podman", "", "rm", "-f", "-a", "-t", "0")
    do("podman", "", "rmi", "-a", "-f")
    if fresh.rootless:
        do("podman", "", "system", "migrate")  # ends its pause process


@pytest.fixture
def archive(busybox_tar: Path, shared_dir: Path) -> Path:
    """busybox with owners, modes and kinds that a mask would lose; podman 4 can unpack no devices with a mask."""
    path = shared_dir / "in.tar"
    path.write_bytes(busybox_tar.read_bytes())
    _add(path, "bin/sup", 0o4755, 0, 0)
    _add(path, "own", 0o640, 3, 4)
    _add(path, "sticky", 0o1777, 0, 0, tarfile.DIRTYPE)
    if "podman]" in os.environ["PYTEST_CURRENT_TEST"]:  # podman 4 leaves implied directories without the attribute
        _add(path, "implied", 0o755, 0, 0, tarfile.DIRTYPE)
    _add(path, "implied/dir", 0o700, 7, 8, tarfile.DIRTYPE)
    return path


def _add(path: Path, name: str, mode: int, uid: int, gid: int, kind: bytes = tarfile.REGTYPE) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid, info.mtime = kind, mode, uid, gid, 1_600_000_000
    if kind == tarfile.CHRTYPE:
        info.devmajor, info.devminor = 1, 3
    data = b"content" if kind == tarfile.REGTYPE else b""
    info.size = len(data)
    with tarfile.open(path, "a") as out:
        out.addfile(info, io.BytesIO(data))


def _run(tool: str, *words: str) -> list[str]:
    limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"] if tool == "podman" else []
    return ["run", "--network", "none", *limits, *words]


def _layer(path: Path) -> tuple[str, bytes]:
    with tarfile.open(path) as saved:
        [name] = [name for name in saved.getnames() if name.endswith(".tar") or name.endswith("layer.tar")][-1:]
        file = saved.extractfile(name)
        assert file is not None
        data = file.read()
        return hashlib.sha256(data).hexdigest(), data


@pytest.mark.parametrize("first", ["pypod", "podman"])
def test_one_store_for_both(call: Call, fresh: Pypod, archive: Path, shared_dir: Path, first: str) -> None:
    """Who comes second runs, commits and saves what the first has unpacked; digests and metadata are the original."""
    second = "podman" if first == "pypod" else "pypod"
    call(first, "private", "import", "-q", archive, "localhost/m:1").ok()
    [diff] = (Path(str(fresh.graphroot)) / "overlay").glob("*/diff")
    assert {path.stat().st_mode & 0o7777 for path in diff.rglob("*") if not path.is_symlink()} == {0o700}
    assert os.getxattr(diff / "own", KEPT) == b"3:4:0640"
    for tool in (second, first):
        seen = call(tool, "private", *_run(tool, "--rm", "m:1", "sh", "-c", LOOK)).ok().out
        assert seen == (SEEN if first == "pypod" else SEEN.replace("4755", "755").replace("1777", "777"))
    call(second, "private", "save", "-q", "-o", shared_dir / "out.tar", "m:1").ok()
    assert _layer(shared_dir / "out.tar")[0] == hashlib.sha256(archive.read_bytes()).hexdigest()
    # fuse-overlayfs 1.10 makes root the owner of a file whose mode is changed: so the owner comes last.
    change = "echo me >/mine; chmod 750 /mine; chown 5:6 /mine; rm /bin/sup; mkdir /sticky/new"
    call(second, "private", *_run(second, "--name", "c", "m:1", "sh", "-c", change)).ok()
    call(second, "private", "commit", "-q", "c", "localhost/m:2").ok()
    look = "stat -c '%u %g %a %n' /mine /own /sticky/new; ls /bin/sup 2>&1 | grep -c such"
    for tool in (first, second):
        seen = call(tool, "private", *_run(tool, "--rm", "m:2", "sh", "-c", look)).ok().out
        assert seen == "5 6 750 /mine\n3 4 640 /own\n0 0 755 /sticky/new\n1\n"
    call("pypod", "private", "system", "check").ok()


def test_what_a_container_makes_is_packed_as_it_sees_it(call: Call, archive: Path, shared_dir: Path) -> None:
    """export, cp and save of commits; devices are regular files that remember what they stand for."""
    _add(archive, "dev/zero2", 0o666, 0, 0, tarfile.CHRTYPE)
    call("pypod", "shared", "import", "-q", archive, "localhost/m:1").ok()
    change = "echo me >/mine; chmod 711 /mine; chown 5:6 /mine; ln /mine /mine2; chmod 711 /implied"
    change += "; echo >/s; chmod 4755 /s"
    call("pypod", "shared", *_run("pypod", "--name", "c", "m:1", "sh", "-c", change)).ok()
    call("pypod", "shared", "export", "-o", shared_dir / "e.tar", "c").ok()
    with tarfile.open(shared_dir / "e.tar") as out:
        found = {item.name: (item.uid, item.gid, item.mode) for item in out}
    assert (
        found["mine"] == (5, 6, 0o711)
        and found["own"] == (3, 4, 0o640)
        and found["implied"] == (0, 0, 0o711)
        and found["s"][2] == 0o4755
    )
    call("pypod", "shared", "commit", "-q", "c", "localhost/m:2").ok()
    call("pypod", "shared", "save", "-q", "-o", shared_dir / "s.tar", "m:2").ok()
    with tarfile.open(fileobj=io.BytesIO(_layer(shared_dir / "s.tar")[1])) as out:
        packed = {item.name: (item.uid, item.gid, item.mode) for item in out}
    assert {"mine", "mine2", "implied"} <= set(packed)
    assert packed["mine"] == (5, 6, 0o711) and packed["implied"] == (0, 0, 0o711) and packed["s"][2] == 0o4755
    diff = call("pypod", "shared", "diff", "c").ok().lines
    assert "A /mine" in diff and "C /implied" in diff
    if os.geteuid() == 0:
        call("pypod", "shared", *_run("pypod", "--rm", "--uidmap", "0:1:5000", "m:1", "true")).fails(
            125, "force_mask"
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["overlay.force_mask=shared"], ["mount_program"]),
        (["overlay.mount_program=/usr/bin/fuse-overlayfs", "overlay.force_mask=often"], ["often", "octal"]),
        (["overlay.mount_program=/usr/bin/fuse-overlayfs", "overlay.force_mask=99"], ["99", "octal"]),
    ],
)
def test_what_is_no_mask(fresh: Pypod, options: list[str], words: list[str]) -> None:
    flags = [word for option in options for word in ("--storage-opt", option)]
    fresh.with_options(*flags)("images").fails(125, *words)
