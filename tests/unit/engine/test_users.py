"""USER resolution by passwd(5) and group(5) of a root file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.engine import rootfs, users
from pypod.errors import UsageError

PASSWD = users.parse_passwd(
    b"root:x:0:0:root:/root:/bin/sh\napp:x:1234:1235:App:/home/app:/bin/sh\nbroken\n1:x:7:7:::\n"
)
GROUPS = users.parse_group(b"root:x:0:\nextra:x:2000:app,other\nmore:x:2001:other\n:x:x:\n")


def find(spec: str, *added: str) -> tuple[int, int, list[int], str]:
    user = users.find(spec, PASSWD, GROUPS, added)
    return user.uid, user.gid, user.groups, user.home


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("", (0, 0, [], "/root")),
        ("root", (0, 0, [0], "/root")),
        ("app", (1234, 1235, [1235, 2000], "/home/app")),
        ("1234", (1234, 1235, [1235, 2000], "/home/app")),
        ("app:more", (1234, 2001, [2001], "/home/app")),
        ("app:77", (1234, 77, [77], "/home/app")),
        ("4321", (4321, 0, [0], "/")),
        ("4321:5555", (4321, 5555, [5555], "/")),
        ("1", (7, 7, [7], "/")),
    ],
)
def test_find(spec: str, expected: tuple[int, int, list[int], str]) -> None:
    assert find(spec) == expected


def test_group_add() -> None:
    assert find("app", "more", "3000")[2] == [1235, 2000, 2001, 3000]
    assert find("", "more")[2] == [2001]


@pytest.mark.parametrize("spec", ["nobody", "app:nogroup", "99999999999", "app:4294967296"])
def test_unknown(spec: str) -> None:
    with pytest.raises(UsageError):
        find(spec)


@given(st.binary(max_size=200))
def test_parsers_never_break(text: bytes) -> None:
    users.parse_passwd(text)
    users.parse_group(text)


def test_links_are_resolved_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (tmp_path / "outside").write_text("root:x:0:0::/evil:\n")
    (root / "etc/passwd").symlink_to("../../outside")
    fd = rootfs.open_root(str(root))
    try:
        assert users.resolve(fd, "").home == "/"
        (root / "outside").write_text("root:x:0:0::/good:\n")
        assert users.resolve(fd, "").home == "/good"
    finally:
        os.close(fd)


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    fd = rootfs.open_root(str(tmp_path))
    try:
        assert users.resolve(fd, "").uid == 0
    finally:
        os.close(fd)


def test_keep_groups_stands_alone(tmp_path: Path) -> None:
    fd = rootfs.open_root(str(tmp_path))
    try:
        assert users.resolve(fd, "", ["keep-groups"]).groups == []
        with pytest.raises(UsageError, match="keep-groups"):
            users.resolve(fd, "", ["keep-groups", "x"])
    finally:
        os.close(fd)
