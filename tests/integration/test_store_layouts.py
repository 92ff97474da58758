"""Where a store may be kept: a separate imagestore, read-only stores, a store for one boot, and very deep images."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "storage"))

import archives


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path)) if path.exists() else []


def rows(path: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(path.read_text()) if path.exists() else []
    return found


def place(pypod: Pypod, name: str) -> Path:
    """A directory beside the graphroot that is the user's."""
    assert pypod.graphroot is not None
    path = pypod.graphroot.parent / name
    path.mkdir()
    if pypod.user.switch:
        os.chown(path, pypod.user.uid, pypod.user.gid)
    return path


def test_a_separate_imagestore(fresh: Pypod, busybox_tar: Path, shared_dir: Path) -> None:
    """Images lie there, containers and all layers' records here, as podman 5 has it; nothing is left after rmi."""
    images, graphroot = place(fresh, "i"), Path(str(fresh.graphroot))
    pypod = fresh.with_options("--imagestore", str(images))
    pypod("import", busybox_tar, "bb").ok()
    [row] = rows(graphroot / "overlay-layers" / "layers.json")
    assert names(images / "overlay") == sorted([str(row["id"]), "l"])
    assert names(graphroot / "overlay" / "l") == [] and len(names(images / "overlay" / "l")) == 1
    assert len(rows(images / "overlay-images" / "images.json")) == 1
    assert not (graphroot / "overlay-images" / "images.json").exists()
    assert (graphroot / "overlay-layers" / f"{row['id']}.tar-split.gz").exists()
    assert pypod("run", "--rm", "bb", "cat", "/etc/hostname").ok().code == 0
    pypod("create", "--name", "c", "bb", "true").ok()
    pypod("start", "-a", "c").ok()
    assert len(names(graphroot / "overlay" / "l")) == 1
    pypod("save", "-q", "-o", shared_dir / "a.tar", "bb").ok()
    pypod("rmi", "bb").fails(2, "in use")
    pypod("commit", "-q", "c", "more").ok()
    assert pypod("run", "--rm", "more", "true").ok().code == 0
    pypod("rm", "c").ok()
    pypod("rmi", "more", "bb").ok()
    assert names(images / "overlay") == ["l"] and names(images / "overlay" / "l") == []
    assert rows(graphroot / "overlay-layers" / "layers.json") == []
    assert not list((graphroot / "overlay-layers").glob("*.gz"))
    pypod("load", "-q", "-i", shared_dir / "a.tar").ok()
    assert pypod("run", "--rm", "bb", "echo", "back").ok().out == "back\n"


def test_a_store_for_one_boot(fresh: Pypod, busybox_tar: Path) -> None:
    """With --transient-store what containers have is in the runroot, and the image's records are not."""
    pypod = fresh.with_options("--transient-store")
    graphroot, runroot = Path(str(fresh.graphroot)), Path(str(fresh.runroot))
    pypod("import", busybox_tar, "bb").ok()
    pypod("run", "--name", "c", "bb", "true").ok()
    assert len(rows(runroot / "overlay-containers" / "volatile-containers.json")) == 1
    assert len(rows(runroot / "overlay-layers" / "volatile-layers.json")) == 1
    assert len(rows(graphroot / "overlay-layers" / "layers.json")) == 1
    assert not rows(graphroot / "overlay-containers" / "containers.json")
    assert pypod("ps", "-aq").ok().out
    pypod("rmi", "bb").fails(2, "in use")
    pypod("rm", "c").ok()
    assert rows(runroot / "overlay-layers" / "volatile-layers.json") == []
    assert pypod("run", "--rm", "bb", "echo", "x").ok().out == "x\n"
    assert len(names(graphroot / "overlay" / "l")) == 1
    pypod("rmi", "bb").ok()


@pytest.fixture
def read_only(fresh: Pypod, busybox_tar: Path) -> Iterator[Path]:
    """A store with an image of one layer and more, which nobody can write in."""
    assert fresh.graphroot is not None
    if not box.ROOT:
        pytest.skip("a read-only mount needs root")
    other = fresh.graphroot.parent / "other"
    there = Pypod(fresh.program, fresh.user, graphroot=place(fresh, "other"), runroot=fresh.runroot)
    there("import", busybox_tar, "shared:1").ok()
    there("run", "--name", "c", "shared:1", "sh", "-c", "echo deep > /etc/deep").ok()
    there("commit", "-q", "c", "shared:2").ok()
    there("rm", "c").ok()
    for name in ("overlay-layers/layers.lock", "overlay-images/images.lock"):
        (other / name).unlink()
    subprocess.run(["mount", "--bind", other, other], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", other], check=True)
    yield other
    subprocess.run(["umount", "-l", other], check=True)


def test_a_read_only_store(fresh: Pypod, read_only: Path) -> None:
    pypod = fresh.with_options("--storage-opt", f"overlay.imagestore={read_only}")
    assert sorted(pypod("images", "--format", "{{.Repository}}:{{.Tag}} {{.ReadOnly}}").ok().lines) == [
        "localhost/shared:1 true",
        "localhost/shared:2 true",
    ]
    assert pypod("run", "--rm", "shared:2", "cat", "/etc/deep").ok().out == "deep\n"
    pypod("rmi", "shared:2").fails(125, "read-only")
    pypod("create", "--name", "c", "shared:2", "cat", "/etc/deep").ok()
    assert pypod("start", "-a", "c").ok().out == "deep\n"
    # A name of one's own brings the record here, with its data; the layers stay there.
    pypod("tag", "shared:2", "mine:1").ok()
    assert (
        "localhost/mine:1 false" in pypod("images", "--format", "{{.Repository}}:{{.Tag}} {{.ReadOnly}}").ok().lines
    )
    assert pypod("image", "inspect", "mine:1").ok().json[0]["RepoTags"]
    pypod("commit", "-q", "c", "more").ok()
    assert pypod("run", "--rm", "more", "cat", "/etc/deep").ok().out == "deep\n"
    pypod("rm", "c").ok()
    pypod("rmi", "more").ok()
    pypod("rmi", "-f", "mine:1").ok()
    assert names(Path(str(fresh.graphroot)) / "overlay" / "l") == []
    assert len(pypod("images", "-q").ok().lines) == 2


def _mapped(pypod: Pypod, name: str, file: str, auto: dict[str, str]) -> None:
    """Every mapping shows the image's owners, twice: the second time the copy is there."""
    for mode in ["auto:size=2000", *(["keep-id", "nomap"] if pypod.rootless else [])]:
        words = ["--userns", mode, "--network", "none", "-u", "0", name, "stat", "-c", "%u %g", file, "/bin/busybox"]
        for _ in range(2):
            assert pypod("run", "--rm", *words, env=auto).ok().out == "0 0\n0 0\n", mode


def _seen_in_mount(pypod: Pypod, name: str, file: str) -> str:
    """What ``image mount`` shows of a file; and nothing stays mounted."""
    if not pypod.rootless:
        shown = (Path(pypod("image", "mount", name).ok().out.strip()) / file).read_text()
        pypod("image", "unmount", name).ok()
        return shown
    call = " ".join(pypod.argv())
    script = f"M=$({call} image mount {name}) && cat $M/{file} && {call} image unmount {name} >/dev/null"
    return pypod("unshare", "sh", "-c", script).ok().out


def test_mappings_with_a_separate_imagestore(
    fresh: Pypod, busybox_tar: Path, shared_dir: Path, auto: dict[str, str]
) -> None:
    images, graphroot = place(fresh, "i"), Path(str(fresh.graphroot))
    pypod = fresh.with_options("--imagestore", str(images))
    pypod("import", "-q", busybox_tar, "bb").ok()
    pypod("run", "--name", "c", "--network", "none", "bb", "sh", "-c", "echo deep >/etc/deep").ok()
    pypod("commit", "-q", "c", "two").ok()
    pypod("rm", "c").ok()
    _mapped(pypod, "two", "/etc/deep", auto)
    assert _seen_in_mount(pypod, "two", "etc/deep") == "deep\n"
    usage = {row["Type"]: row for row in pypod("system", "df", "--format", "json").ok().json}
    assert usage["Images"]["Total"] == 2 and usage["Images"]["RawSize"] > 0
    pypod("system", "df", "-v").ok()
    pypod("system", "check").ok()
    keep = ["--userns", "keep-id"] if pypod.rootless else []
    pypod("run", "--name", "c", *keep, "--network", "none", "two", "true").ok()
    pypod("commit", "-q", "c", "three").ok()
    pypod("save", "-q", "-o", shared_dir / "a.tar", "three").ok()
    pypod("rm", "c").ok()
    pypod("rmi", "three", "two", "bb").ok()
    for home in (images, graphroot):
        assert names(home / "overlay" / "l") == []
    assert rows(graphroot / "overlay-layers" / "layers.json") == []
    assert not list((graphroot / "overlay-layers").glob("*.gz"))


def test_mappings_of_an_image_in_a_read_only_store(fresh: Pypod, read_only: Path, auto: dict[str, str]) -> None:
    """Its copy, and the record that knows it, are made here; the layers below stay there."""
    pypod = fresh.with_options("--storage-opt", f"overlay.imagestore={read_only}")
    graphroot = Path(str(fresh.graphroot))
    assert _seen_in_mount(pypod, "shared:2", "etc/deep") == "deep\n"
    pypod("system", "df", "-v").ok()
    pypod("system", "check").ok()
    _mapped(pypod, "shared:2", "/etc/deep", auto)
    assert _seen_in_mount(pypod, "shared:2", "etc/deep") == "deep\n"
    usage = {row["Type"]: row for row in pypod("system", "df", "--format", "json").ok().json}
    assert usage["Images"]["Total"] == 2
    pypod("system", "df", "-v").ok()
    pypod("system", "check").ok()
    if pypod.rootless:
        pypod("rmi", "-f", "shared:2").ok()
        assert rows(graphroot / "overlay-layers" / "layers.json") == []
    assert names(graphroot / "overlay" / "l") == []
    assert len(pypod("images", "-q").ok().lines) == 2


def test_as_many_layers_as_the_kernel_mounts(fresh: Pypod, busybox_tar: Path, shared_dir: Path) -> None:
    """500 run, with all of their 54,000 bytes of mount options; more are refused before anything is made."""
    layers = [busybox_tar.read_bytes()]
    layers += [archives.pack((archives.entry(f"f{n % 50}", uid=0, gid=0), b"%d" % n)) for n in range(1, 500)]
    archive = archives.docker_archive(shared_dir / "deep.tar", layers, ["localhost/deep:500"])
    archive.chmod(0o644)
    fresh("load", "-q", "-i", archive).ok()
    assert fresh("run", "--name", "c", "deep:500", "sh", "-c", "cat /f1 /f49; echo >/x").ok().out == "451499"
    assert fresh("run", "--rm", "--read-only", "deep:500", "cat", "/f0").ok().out == "450"
    fresh("commit", "-q", "c", "deep:501").fails(125, "500 layers")
    fresh.with_options("--storage-opt", "pypod.max_layers=0")("commit", "-q", "c", "deep:501").ok()
    fresh("rm", "c").ok()
    fresh("create", "deep:501", "true").fails(125, "501 layers", "500 at most")
    assert fresh("ps", "-aq").ok().out == ""


def test_owners_that_have_no_id_here(fresh: Pypod, busybox_tar: Path, shared_dir: Path) -> None:
    """A user's namespace ends at 65536: an error, or with ignore_chown_errors the user's own file."""
    foreign = archives.pack(
        (archives.entry("file", uid=200000, gid=200000), b"x"),
        archives.entry("link", tarfile.SYMTYPE, uid=200000, gid=200000, linkname="file"),
        archives.entry("dir", tarfile.DIRTYPE, 0o755, uid=200000, gid=200000),
    )
    path = archives.docker_archive(shared_dir / "a.tar", [busybox_tar.read_bytes(), foreign], ["localhost/foreign:1"])
    path.chmod(0o644)
    if fresh.rootless:
        fresh("load", "-q", "-i", path).fails(125, "file", "owner 200000:200000 is not mapped")
        assert fresh("images", "-aq").ok().out == ""
    lenient = fresh.with_options("--storage-opt", "overlay.ignore_chown_errors=true")
    lenient("load", "-q", "-i", path).ok()
    seen = lenient("run", "--rm", "foreign:1", "stat", "-c", "%u:%g", "/file", "/link", "/dir").ok()
    assert seen.lines == ["0:0" if fresh.rootless else "200000:200000"] * 3
