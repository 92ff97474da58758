"""``system check``: silence about a sound store, a line for each thing that is wrong."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support import leaks
from support.runner import Pypod


def test_a_sound_store(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sleep", "100").ok()
    assert pypod("system", "check", "-m", "0s").ok().out == ""
    pypod("rm", "-f", "-t", "0", "c").ok()
    assert pypod("system", "check", "-m", "0s").ok().out == ""


def test_what_belongs_to_nobody_is_told_and_removed(fresh: Pypod, busybox_tar: str) -> None:
    fresh("import", busybox_tar, "bb").ok()
    name = "ab" * 32
    place = Path(str(fresh.graphroot)) / "overlay-containers" / name
    os.makedirs(place / "userdata")
    if fresh.rootless:
        for path in (place, place / "userdata"):
            os.chown(path, fresh.user.uid, fresh.user.gid)
    found = fresh("system", "check")
    assert (found.code, found.out) == (125, f"leftover {place}\n")
    assert "--repair" in found.err
    assert fresh("system", "check", "--repair").ok().out == f"removed {place}\n"
    assert not place.exists()
    assert fresh("system", "check").ok().out == ""


def test_the_next_create_removes_what_a_killed_one_was_writing(fresh: Pypod, busybox_tar: str) -> None:
    fresh("import", busybox_tar, "bb").ok()
    create = ("create", "--network", "none", "bb", "true")
    fresh(*create).ok()
    before = leaks.snapshot(fresh)
    graphroot, runroot = Path(str(fresh.graphroot)), Path(str(fresh.runroot))
    # As kill -9 between two calls of one that wrote records and gave up a layer leaves them.
    gone = subprocess.Popen(["true"])
    gone.wait()
    files = [
        runroot / f"pypod/creating/{'ab' * 32}.{'cd' * 32}.{gone.pid}.1",
        graphroot / "overlay-layers/.tmp-layers.json0123456789ab",
        graphroot / "overlay-containers/.tmp-containers.json0123456789ab",
        graphroot / "overlay/tempdirs/lock-0123456789ab",
        graphroot / "overlay/tempdirs/temp-dir-0123456789ab/1/file",
    ]
    for file in files:
        for path in (*reversed(file.parents), file):
            if not path.exists():
                path.touch() if path == file else path.mkdir()
                os.chown(path, fresh.user.uid, fresh.user.gid)
    assert leaks.since(fresh, before, 0)
    fresh("rm", fresh(*create).ok().out.strip()).ok()
    assert not [path for path in files if path.exists()]
    assert not leaks.since(fresh, before)
    assert fresh("system", "check", "-m", "0s").ok().out == ""


def test_records_that_were_being_written_are_told_and_removed_when_they_are_old(
    fresh: Pypod, shared_dir: Path
) -> None:
    (shared_dir / "data").write_text("x")
    for line in (
        ("volume", "create", "v"),
        ("network", "create", "n"),
        ("secret", "create", "s", shared_dir / "data"),
    ):
        fresh(*line).ok()
    graphroot = Path(str(fresh.graphroot))
    left = [graphroot / "pypod/networks/.tmp-n.json1", graphroot / "pypod/volumes/.tmp-v.json1"]
    left += [graphroot / "secrets/.tmp-secrets.json1", graphroot / "secrets/filedriver/.tmp-secretsdata.json1"]
    for path in left:
        path.write_text("{")
        os.chown(path, fresh.user.uid, fresh.user.gid)
    assert fresh("system", "check").ok().out == ""  # somebody may be at it
    for path in left:
        os.utime(path, (0, 0))
    found = fresh("system", "check")
    assert (found.code, sorted(found.lines)) == (125, [f"leftover {path}" for path in left])
    assert sorted(fresh("system", "check", "--repair").ok().lines) == [f"removed {path}" for path in left]
    assert not any(path.exists() for path in left) and fresh("system", "check").ok().out == ""
    assert fresh("secret", "ls", "-q").ok().out and fresh("volume", "exists", "v").code == 0


def test_containers_of_another_store_in_the_same_runroot(pypod: Pypod, image: str, shared_dir: Path) -> None:
    """--root without --runroot: what runs there belongs to somebody."""
    pypod("run", "-d", "--name", "live", "--network", "none", image, "sleep", "100").ok()
    assert pypod("run", "--name", "dead", "--network", "none", image, "sh", "-c", "exit 5").code == 5
    other = Pypod(pypod.program, pypod.user, graphroot=shared_dir / "g", runroot=pypod.runroot, mode=pypod.mode)
    assert other("system", "check").ok().out == ""
    assert other("system", "check", "--repair").ok().out == ""
    assert pypod("exec", "live", "echo", "here").ok().out == "here\n"
    assert pypod.inspect("dead")["State"]["ExitCode"] == 5


def test_damage_is_told(fresh: Pypod, busybox_tar: str) -> None:
    fresh("import", busybox_tar, "bb").ok()
    image = fresh("images", "-q", "--no-trunc").ok().out.strip().removeprefix("sha256:")
    os.unlink(Path(str(fresh.graphroot)) / "overlay-images" / image / "manifest")
    found = fresh("system", "check")
    assert found.code == 125
    assert found.out.startswith(f"damaged image {image}: ")
    fresh("system", "check", "-m", "soon").fails(125, "--max")


def test_a_damaged_image_is_removed_by_repair(fresh: Pypod, busybox_tar: str) -> None:
    fresh("import", busybox_tar, "bb").ok()
    fresh("create", "--name", "c", "bb", "true").ok()
    layers = [path for path in (Path(str(fresh.graphroot)) / "overlay").glob("*/diff/etc/notes") if path.is_file()]
    size = layers[0].stat().st_size
    layers[0].write_bytes(b"X" * size)
    assert fresh("system", "check", "-q").ok().out == ""
    found = fresh("system", "check")
    assert found.code == 125 and found.out == f"damaged layer {layers[0].parts[-4]}: etc/notes has been changed\n"
    os.truncate(layers[0], 0)
    found = fresh("system", "check", "--quick")
    assert found.code == 125 and f"etc/notes has 0 bytes instead of {size}" in found.out
    kept = fresh("system", "check", "--quick", "--repair")
    assert kept.code == 125 and "removed" not in kept.out  # a container uses it
    assert fresh("container", "exists", "c").code == 0
    gone = fresh("system", "check", "--quick", "--repair", "--force").ok()
    assert [line.split()[:2] for line in gone.lines] == [["removed", "container"], ["removed", "image"]]
    assert fresh("container", "exists", "c").code == 1
    assert fresh("images", "-q").ok().out == ""
    fresh("import", busybox_tar, "bb").ok()
    assert fresh("system", "check", "-m", "0s").ok().out == ""


@pytest.mark.parametrize("text", ["{", "[]", '{"mounts": 5}'])
def test_a_container_that_cannot_be_read_is_told(fresh: Pypod, busybox_tar: str, text: str) -> None:
    fresh("import", busybox_tar, "bb").ok()
    for name in ("good", "bad"):
        fresh("create", "--name", name, "bb", "true").ok()
    id = fresh.inspect("bad")["Id"]
    Path(str(fresh.graphroot), "overlay-containers", id, "userdata", "container.json").write_text(text)
    assert fresh.names() == ["good"]
    fresh("rm", "-f", "bad").fails(125, f"cannot read container {id[:12]}")
    for words in ((), ("--repair",)):
        found = fresh("system", "check", *words)
        assert found.code == 125 and found.out.startswith(f"damaged container {id}: cannot read container"), found
    assert fresh("system", "check", "--repair", "--force").ok().lines == [f"removed container {id}"]
    assert fresh("system", "check").ok().out == "" and fresh.names() == ["good"]


def test_a_broken_file_of_records_is_told_and_left_alone(fresh: Pypod, busybox_tar: str) -> None:
    fresh("import", busybox_tar, "bb").ok()
    path = Path(str(fresh.graphroot)) / "overlay-images" / "images.json"
    path.write_bytes(b"")
    found = fresh("system", "check", "--repair", "--force")
    assert found.code == 125 and "Traceback" not in found.err and str(path) in found.out
    fresh("import", busybox_tar, "again").fails(125, "images.json")
    assert path.read_bytes() == b""
    assert list((path.parent).glob("*/manifest"))


def test_the_first_command_after_a_power_cut_looks_by_itself(fresh: Pypod, busybox_tar: str) -> None:
    fresh("import", busybox_tar, "bb").ok()
    graphroot = Path(str(fresh.graphroot))
    mark = graphroot / "pypod" / "synced"
    began = next(int(line[6:]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    (split,) = (graphroot / "overlay-layers").glob("*.tar-split.gz")
    os.utime(split, (began - 5, began - 5))
    damaged = graphroot / "overlay" / split.name[:64] / "diff" / "etc" / "notes"
    os.truncate(damaged, 0)
    run = ("run", "--rm", "--network", "none", "bb", "true")
    assert fresh(*run).ok().err == ""  # the same boot
    mark.write_text(f"another-boot-another-boot-another-bo {(began - 60) * 10**9}\n")
    if fresh.rootless:
        os.chown(mark, fresh.user.uid, fresh.user.gid)
    warned = fresh(*run).ok()
    assert (
        warned.err.startswith("Warning: ") and "system check --repair" in warned.err and split.name[:12] in warned.err
    )
    assert fresh(*run).ok().err == ""  # once
    mark.write_text(f"another-boot-another-boot-another-bo {(began - 2) * 10**9}\n")
    assert fresh(*run).ok().err == ""  # it was on disk before
