"""Volumes on disk, and how a new one is filled."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pypod.engine import mounts, rootfs, volume_fill, volumes
from pypod.engine.config import ContainerConfig
from pypod.engine.users import User
from pypod.errors import InUse, NoSuchVolume, StorageError


@pytest.fixture
def context(tmp_path: Path) -> Any:
    places = {"state_dir": str(tmp_path / "state"), "volume_path": str(tmp_path / "volumes")}
    return SimpleNamespace(**places, tmpdir=str(tmp_path / "tmp"), flags={}, engine={})


def fill(context: Any, root: Path, text: str, **changes: Any) -> Path:
    mount = mounts.parse_volume(text, context.volume_path)
    config = ContainerConfig(id="x" * 64, name="n", created="now", mounts=[mount], **changes)
    fd = rootfs.open_root(str(root))
    try:
        volume_fill.fill(context, config, fd, User(uid=os.getuid(), gid=os.getgid()))
    finally:
        os.close(fd)
    return Path(mount.source)


def test_life(context: Any) -> None:
    made = volumes.create(context, "a", labels={"x": "y"})
    assert volumes.load(context, "a") == made
    assert os.path.isdir(volumes.mountpoint(context, "a"))
    with pytest.raises(InUse):
        volumes.create(context, "a")
    assert volumes.ensure(context, "a") == made
    volumes.create(context, "abc")
    assert [volume.name for volume in volumes.every(context)] == ["a", "abc"]
    assert volumes.find(context, "ab").name == "abc"
    for missing in ("", "b", "../a", "a/.."):
        with pytest.raises(NoSuchVolume):
            volumes.find(context, missing)
    volumes.delete(context, "a")
    volumes.delete(context, "a")
    assert os.listdir(context.volume_path) == ["abc"]


def test_a_broken_record_is_an_error_and_hides_nothing(context: Any) -> None:
    volumes.create(context, "a")
    volumes.create(context, "b")
    Path(context.state_dir, "volumes", "a.json").write_text("{")
    with pytest.raises(StorageError):
        volumes.load(context, "a")
    assert [volume.name for volume in volumes.every(context)] == ["b"]


def test_what_is_in_the_directory_already_is_kept(context: Any, tmp_path: Path) -> None:
    """podman's volumes lie in the same place."""
    data = Path(volumes.mountpoint(context, "theirs"))
    data.mkdir(parents=True)
    (data / "file").write_text("x")
    (tmp_path / "root/d").mkdir(parents=True)
    (tmp_path / "root/d/other").touch()
    fill(context, tmp_path / "root", "theirs:/d")
    assert os.listdir(data) == ["file"]


def test_fill(context: Any, tmp_path: Path) -> None:
    source = tmp_path / "root/srv/d"
    (source / "sub").mkdir(parents=True, mode=0o750)
    (source / "file").write_text("hello")
    os.link(source / "file", source / "sub/same")
    os.symlink("/etc/passwd", source / "link")
    os.mkfifo(source / "fifo")
    os.chmod(source / "file", 0o640)
    os.utime(source / "file", ns=(1, 10**18))
    os.chmod(source, 0o711)
    made = fill(context, tmp_path / "root", "v:/srv/d")
    assert sorted(os.listdir(made)) == ["fifo", "file", "link", "sub"]
    assert (made / "file").read_text() == "hello"
    found = os.stat(made / "file")
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert found.st_mtime_ns == 10**18
    assert found.st_ino == os.stat(made / "sub/same").st_ino
    assert os.readlink(made / "link") == "/etc/passwd"
    assert stat.S_IMODE(os.stat(made).st_mode) == 0o711
    (source / "late").touch()
    fill(context, tmp_path / "root", "v:/srv/d")
    assert not (made / "late").exists(), "only a new volume is filled"


def test_a_link_does_not_lead_out(context: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    (tmp_path / "root").mkdir()
    os.symlink(outside, tmp_path / "root/absolute")
    os.symlink("../outside", tmp_path / "root/relative")
    for number, name in enumerate(("absolute", "relative")):
        assert os.listdir(fill(context, tmp_path / "root", f"v{number}:/{name}")) == []


def test_nocopy_leaves_it_to_the_next(context: Any, tmp_path: Path) -> None:
    (tmp_path / "root/d").mkdir(parents=True)
    (tmp_path / "root/d/file").touch()
    made = fill(context, tmp_path / "root", "v:/d:nocopy")
    assert os.listdir(made) == []
    fill(context, tmp_path / "root", "v:/d")
    assert os.listdir(made) == ["file"]


def test_give_follows_nothing(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    os.symlink("/etc/passwd", tmp_path / "a/link")
    volume_fill.give(str(tmp_path / "a"), os.getuid(), os.getgid())
