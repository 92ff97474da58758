"""``system check``: silence about a sound store, a line for each thing that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

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


def test_damage_is_told(fresh: Pypod, busybox_tar: str) -> None:
    fresh("import", busybox_tar, "bb").ok()
    image = fresh("images", "-q", "--no-trunc").ok().out.strip().removeprefix("sha256:")
    os.unlink(Path(str(fresh.graphroot)) / "overlay-images" / image / "manifest")
    found = fresh("system", "check")
    assert found.code == 125
    assert found.out.startswith(f"damaged image {image}: ")
    fresh("system", "check", "-m", "soon").fails(125, "--max")
