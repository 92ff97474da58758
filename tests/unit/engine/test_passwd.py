"""What --passwd adds to the container's passwd(5) and group(5)."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pypod.engine import passwd, rootfs, users
from pypod.engine.config import ContainerConfig, Namespace
from pypod.engine.deeds import DEEDS

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:50:50::/app:/bin/sh"  # no line end: others write such files


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/passwd").write_text(PASSWD)
    (tmp_path / "root/etc/group").write_text("root:x:0:\n")
    fd = rootfs.open_root(str(tmp_path / "root"))
    yield fd
    os.close(fd)


def prepare(root: int, place: Path, **fields: Any) -> passwd.Prepared:
    config = ContainerConfig(id="x" * 64, name="n", created="now", **fields)
    context: Any = SimpleNamespace(uid=os.getuid(), gid=os.getgid())
    return passwd.prepare(context, config, root, str(place), users.resolve(root, config.user), DEEDS)


def lines(place: Path, name: str) -> list[str]:
    return (place / "root/etc" / name).read_text().splitlines()


def test_a_known_user_changes_nothing(root: int, tmp_path: Path) -> None:
    found = prepare(root, tmp_path, user="app")
    assert found.files == {}
    assert (tmp_path / "root/etc/passwd").read_text() == PASSWD


def test_a_number_gets_a_line(root: int, tmp_path: Path) -> None:
    found = prepare(root, tmp_path, user="77:88", workdir="/work")
    assert lines(tmp_path, "passwd")[2:] == ["77:*:77:88:container user:/work:/bin/sh"]
    assert lines(tmp_path, "group")[1:] == ["88:x:88:77"]
    assert (found.user.name, found.user.home) == ("77", "/work")
    prepare(root, tmp_path, user="77:88", workdir="/work")
    assert len(lines(tmp_path, "passwd")) == 3, "the second start adds nothing"


def test_templates(root: int, tmp_path: Path) -> None:
    prepare(root, tmp_path, user="77:88", passwd_entry="me:x:$UID:$GID:$NAME:$HOME:/x", group_entry="us:x:$GID:")
    assert lines(tmp_path, "passwd")[2] == "me:x:77:88:container user:/:/x"
    assert lines(tmp_path, "group")[1] == "us:x:88:"


def test_keep_id_adds_the_caller(root: int, tmp_path: Path) -> None:
    found = prepare(
        root,
        tmp_path,
        user="1000:1000",
        userns=Namespace(mode="keep-id"),
        uid_map=[[0, 1, 1000], [1000, 0, 1]],
        gid_map=[[0, 1, 1000], [1000, 0, 1]],
    )
    name = pwd.getpwuid(os.getuid()).pw_name
    assert lines(tmp_path, "passwd")[2].startswith(f"{name}:*:1000:1000:")
    assert lines(tmp_path, "group")[1] == f"{lines(tmp_path, 'group')[1].split(':')[0]}:x:1000:{name}"
    assert found.user.name == name


def test_read_only_gets_files_of_ours(root: int, tmp_path: Path) -> None:
    found = prepare(root, tmp_path, user="77", read_only=True)
    assert found.files == {"/etc/passwd": f"{tmp_path}/passwd"}
    assert (tmp_path / "passwd").read_text().splitlines()[2].startswith("77:")
    assert (tmp_path / "root/etc/passwd").read_text() == PASSWD


def test_a_link_out_of_the_root_is_not_followed(root: int, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("x")
    os.unlink(tmp_path / "root/etc/passwd")
    os.symlink("../../outside", tmp_path / "root/etc/passwd")
    prepare(root, tmp_path, user="77")
    assert outside.read_text() == "x"
