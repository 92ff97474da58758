"""What a layer changes, from directories as overlayfs leaves them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pypod.errors import StorageError
from storage import overlay, trees
from storage.changes import changes

OPAQUE = "user.overlay.opaque" if overlay.in_user_namespace() else "trusted.overlay.opaque"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="whiteouts are device nodes")


def make(base: Path, *names: str) -> Path:
    for name in names:
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(name)
    base.mkdir(exist_ok=True)
    same_time(base)
    return base


def same_time(base: Path) -> None:
    for directory, names, found in os.walk(base):
        for name in (*names, *found):
            os.utime(os.path.join(directory, name), (1, 1))


def whiteout(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def test_added_and_changed(tmp_path: Path) -> None:
    lower = make(tmp_path / "l", "etc/passwd", "etc/group", "usr/bin/x", "tmp/")
    upper = make(tmp_path / "u", "etc/passwd", "new/file", "usr/bin/y", "tmp/")
    assert list(changes(str(upper), [str(lower)])) == [
        ("C", "/etc"),
        ("C", "/etc/passwd"),
        ("A", "/new"),
        ("A", "/new/file"),
        ("C", "/usr"),
        ("C", "/usr/bin"),
        ("A", "/usr/bin/y"),
    ]
    os.chmod(upper / "tmp", 0o711)
    assert ("C", "/tmp") in list(changes(str(upper), [str(lower)]))
    assert list(changes(str(upper), []))[0] == ("A", "/etc")


@needs_root
def test_deleted(tmp_path: Path) -> None:
    base = make(tmp_path / "b", "a/one", "a/two", "b/x", "c/y", "d/z", "e/deep/er")
    middle = make(tmp_path / "m", "d/new")
    whiteout(middle / "b")
    os.setxattr(middle / "d", OPAQUE, b"y")
    upper = make(tmp_path / "u", "b/again", "d/z", "e/deep/fresh")
    whiteout(upper / "a/one")
    whiteout(upper / "c")
    os.setxattr(upper / "e/deep", OPAQUE, b"y")
    same_time(upper)
    found = list(changes(str(upper), [str(middle), str(base)]))
    assert found == [
        ("C", "/a"),
        ("D", "/a/one"),
        ("A", "/b"),
        ("A", "/b/again"),
        ("D", "/c"),
        ("C", "/d"),
        ("A", "/d/z"),
        ("C", "/e"),
        ("C", "/e/deep"),
        ("D", "/e/deep/er"),
        ("A", "/e/deep/fresh"),
    ]


def test_links_are_not_followed(tmp_path: Path) -> None:
    lower = make(tmp_path / "l", "x/")
    (lower / "etc").symlink_to("/etc")
    upper = make(tmp_path / "u", "etc/passwd")
    assert list(changes(str(upper), [str(lower)])) == [("C", "/etc"), ("A", "/etc/passwd")]


def test_marks_of_fuse_overlayfs(tmp_path: Path) -> None:
    base = make(tmp_path / "b", "etc/group", "var/a", "var/b", "home/x")
    middle = make(tmp_path / "m", ".wh.home", "var/.wh.b")
    upper = make(tmp_path / "u", "etc/.wh.group", "var/.wh..wh..opq", "var/z", "home/y")
    assert list(changes(str(upper), [str(middle), str(base)])) == [
        ("C", "/etc"),
        ("D", "/etc/group"),
        ("A", "/home"),
        ("A", "/home/y"),
        ("C", "/var"),
        ("D", "/var/a"),
        ("A", "/var/z"),
    ]


def test_a_tree_too_deep_is_refused_in_words(tmp_path: Path) -> None:
    base = tmp_path / "u"
    base.mkdir()
    home = os.getcwd()
    try:
        os.chdir(base)
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(home)
    try:
        with pytest.raises(StorageError, match="nested too deep|Too many open files"):
            list(changes(str(base), []))
    finally:
        trees.remove(str(base))
