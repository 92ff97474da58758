"""Room on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pypod.errors import StorageError
from storage import space


def test_what_is_asked_for_is_compared_with_what_is_free(tmp_path: Path) -> None:
    there = space.free(str(tmp_path))
    assert there > 0
    assert space.free(str(tmp_path / "not" / "yet")) > 0
    space.require(str(tmp_path), 1, "do it")
    with pytest.raises(
        StorageError, match=r"^cannot do it: it needs .*, and .* has .* free: No space left on device$"
    ):
        space.require(str(tmp_path), there * 2, "do it")
    assert space.free("/proc") == -1
    space.require("/proc", 1 << 60, "do it")


def test_a_tree(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(bytes(5000))
    os.link(tmp_path / "d" / "f", tmp_path / "hard")
    os.symlink("d", tmp_path / "soft")
    sizes = space.tree(str(tmp_path))
    assert sizes.disk == 4096 + 8192
    assert sizes.archive == 1024 + 4 * 512 + 5120


def test_a_copy_leaves_nothing_behind(tmp_path: Path) -> None:
    try:
        space.require_copy(str(tmp_path), 1 << 60, "copy it")
    except StorageError as error:
        assert "cannot copy it: it needs 1.15 EB" in error.message
    assert list(tmp_path.iterdir()) == []
