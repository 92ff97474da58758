"""The vfs driver through every verb: whole trees instead of overlays."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from support.runner import Pypod

MAKE = (
    "echo me >/mine; chown 5:6 /mine; chmod 4755 /mine; rm /etc/notes; mkdir -m 700 /d; ln -s mine /l; ln /mine /d/h"
)


@pytest.fixture
def vfs(fresh: Pypod, busybox_tar: Path) -> Pypod:
    pypod = fresh.with_options("--storage-driver", "vfs")
    pypod("import", "-q", busybox_tar, "localhost/bb:1").ok()
    return pypod


def run(*words: str) -> list[str]:
    return ["run", "--network", "none", *words]


def dirs(pypod: Pypod) -> set[str]:
    return set(os.listdir(f"{pypod.graphroot}/vfs/dir"))


def test_images(vfs: Pypod, shared_dir: Path) -> None:
    """commit, history, diff, tree, save and load with the same digests, mount, prune and rmi."""
    vfs(*run("--name", "c", "bb:1", "sh", "-c", MAKE)).ok()
    assert set(vfs("diff", "c").ok().lines) >= {"A /mine", "A /d", "A /d/h", "A /l", "D /etc/notes", "C /etc"}
    vfs("commit", "-q", "c", "localhost/two:1").ok()
    changed = set(vfs("image", "diff", "two:1").ok().lines)
    assert changed >= {"A /mine", "A /d", "D /etc/notes"} and not any("busybox" in line for line in changed)
    assert vfs("image", "diff", "two:1", "bb:1").ok().out
    assert "localhost/two:1" in vfs("image", "tree", "two:1").ok().out
    assert len(vfs("history", "-q", "two:1").ok().lines) == 2
    layers = vfs("image", "inspect", "two:1").ok().json[0]["RootFS"]["Layers"]
    for kind in ("docker-archive", "oci-archive"):
        out = shared_dir / f"{kind}.tar"
        vfs("save", "-q", "--format", kind, "-o", out, "two:1").ok()
        other = Pypod(
            vfs.program,
            vfs.user,
            graphroot=Path(f"{vfs.graphroot}-{kind}"),
            runroot=Path(f"{vfs.runroot}-{kind}"),
            options=("--storage-driver", "vfs" if kind == "docker-archive" else "overlay"),
            mode=vfs.mode,
        )
        other("load", "-q", "-i", out).ok()
        assert other("image", "inspect", "two:1").ok().json[0]["RootFS"]["Layers"] == layers
        look = "stat -c '%u %g %a %h' /mine; ls /etc/notes 2>&1 | grep -c such; readlink /l"
        assert other(*run("--rm", "two:1", "sh", "-c", look)).ok().out == "5 6 4755 2\n1\nmine\n"
        other("rmi", "-a").ok()
    look = 'cat "$M/mine"; stat -c %a "$M/mine"'
    if vfs.rootless:
        place = f"{vfs.program} --root {vfs.graphroot} --runroot {vfs.runroot} --storage-driver vfs"
        done = vfs("unshare", "sh", "-c", f"M=$({place} image mount two:1); {look}; {place} image unmount two:1")
    else:
        mounted = vfs("image", "mount", "two:1").ok().out.strip()
        done = vfs.as_user("env", f"M={mounted}", "sh", "-c", look)
        vfs("image", "unmount", "two:1").ok()
    assert done.ok().lines[:2] == ["me", "4755"]
    assert vfs("system", "df", "-v").ok().out
    vfs("create", "--name", "k", "two:1", "true").ok()
    vfs("rmi", "two:1").fails(2, "in use")
    vfs("system", "check").ok()
    vfs("rm", "-a").ok()
    vfs("untag", "two:1").ok()
    assert len(vfs("image", "prune", "-f").ok().lines) == 1
    vfs("rmi", "bb:1").ok()
    assert dirs(vfs) == set() and vfs("images", "-q").ok().out == ""


def test_containers(vfs: Pypod, shared_dir: Path) -> None:
    """run, start, exec, cp, export, mount; nothing stays of a container that is removed."""
    before = dirs(vfs)
    assert vfs(*run("--rm", "bb:1", "cat", "/etc/hostname")).ok().out
    assert vfs(*run("--rm", "--read-only", "bb:1", "sh", "-c", "echo x >/y")).code == 1
    assert dirs(vfs) == before
    vfs(*run("-d", "--name", "c", "bb:1", "sleep", "100")).ok()
    (shared_dir / "in").write_text("content\n")
    vfs("cp", shared_dir / "in", "c:/etc/copied").ok()
    assert vfs("exec", "c", "cat", "/etc/copied").ok().out == "content\n"
    vfs("rm", "-f", "-t", "0", "c").ok()
    vfs(*run("--name", "c", "bb:1", "sh", "-c", MAKE)).ok()
    vfs("cp", "c:/mine", shared_dir / "out").ok()
    assert (shared_dir / "out").read_text() == "me\n"
    vfs("cp", shared_dir / "in", "c:/stopped").ok()
    vfs("create", "--name", "other", "bb:1", "cat", "/mine").ok()
    vfs("cp", "c:/mine", "other:/mine").ok()
    assert vfs("start", "-a", "other").ok().out == "me\n"
    vfs("export", "-o", shared_dir / "e.tar", "c").ok()
    with tarfile.open(shared_dir / "e.tar") as archive:
        found = {item.name: (item.uid, item.gid, item.mode) for item in archive}
    assert found["mine"] == (5, 6, 0o4755) and "stopped" in found and "etc/notes" not in found
    vfs("import", "-q", shared_dir / "e.tar", "localhost/again:1").ok()
    assert vfs(*run("--rm", "again:1", "stat", "-c", "%u %g %a", "/mine")).ok().out == "5 6 4755\n"
    rows = json.loads(vfs("ps", "-a", "--size", "--format", "json").ok().out)
    assert all(row["Size"]["rootFsSize"] > 0 for row in rows)
    if not vfs.rootless:
        mounted = Path(vfs("mount", "c").ok().out.strip())
        assert (mounted / "mine").read_text() == "me\n"
        vfs("umount", "c").ok()
    vfs("rm", "-a").ok()
    vfs("rmi", "again:1").ok()
    assert dirs(vfs) == before
    vfs("system", "check").ok()


def test_ids_of_ones_own(vfs: Pypod, auto: dict[str, str]) -> None:
    """A container with a mapping gets a copy with other owners; as root and rootless."""
    vfs(*run("--name", "c", "bb:1", "sh", "-c", MAKE)).ok()
    vfs("commit", "-q", "c", "localhost/two:1").ok()
    modes = ["auto:size=2000"] + (["keep-id", "nomap"] if vfs.rootless else [])
    for mode in modes:
        words = ["--rm", "--userns", mode, "-u", "0", "two:1", "stat", "-c", "%u %g %a", "/mine", "/bin/busybox"]
        for _ in range(2):
            assert vfs(*run(*words), env=auto).ok().out == "5 6 4755\n0 0 755\n", mode
        vfs(
            *run("--name", "m", "--userns", mode, "-u", "0", "two:1", "sh", "-c", "echo >/n; chown 7:8 /n"), env=auto
        ).ok()
        vfs("commit", "-q", "m", "localhost/mapped:1").ok()
        assert vfs(*run("--rm", "mapped:1", "stat", "-c", "%u %g", "/n", "/mine")).ok().out == "7 8\n5 6\n"
        vfs("rm", "m").ok()
        vfs("rmi", "mapped:1").ok()
    vfs("rm", "-a").ok()
    vfs("system", "check").ok()
    vfs("rmi", "-a").ok()
    assert dirs(vfs) == set()
