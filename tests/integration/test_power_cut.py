"""A power cut during load and commit, and 0, 3 and 12 seconds after: the image is not there, or it is whole.

The same on podman finds files without content in images that are listed: so the test can fail.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import box, disk, images

CUTS = 20  # of each kind


@pytest.fixture
def place() -> Iterator[Path]:
    if not box.ROOT:
        pytest.skip("loop devices need root")
    box.need("mke2fs", "e2fsprogs")
    path = Path(tempfile.mkdtemp(prefix="pc-", dir=disk.place()))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _archive(path: Path, count: int) -> Path:
    """An image of two layers with ``count`` files of up to 10 kB."""
    chance = random.Random(1)
    layers = []
    for name in ("a", "b"):
        files = [(f"{name}/{n}", chance.randbytes(chance.randrange(1, 10_000)), 0o644) for n in range(count // 2)]
        layers.append(images.tar_of((f"{name}/", b"", 0o755), *files))
    return images.docker_archive(path, layers, "localhost/big:1")


def _cut(place: Path, **job: Any) -> list[dict[str, Any]]:
    """The state after each cut. All mounts are in a namespace of their own, and go with it."""
    (place / "w").mkdir()
    seed = int(os.environ.get("PYPOD_TEST_SEED") or time.time_ns() % 1_000_000)
    path = place / "job.json"
    path.write_text(json.dumps({"place": str(place / "w"), "seed": seed, **job}))
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", sys.executable, "-m", "support.powercut", path],
        env=box.python_environment(),
        cwd="/",
        stdout=subprocess.PIPE,
        timeout=400,
        check=True,
    )
    result: list[dict[str, Any]] = json.loads(done.stdout)
    return result


def test_pypod_loses_nothing(place: Path, program: Path, say: Callable[[str], None]) -> None:
    archive = _archive(place / "a.tar", 600)
    small = images.docker_archive(place / "s.tar", [images.tar_of(("f", b"f", 0o644))], "localhost/small:1")
    steps: list[dict[str, Any]] = [
        {"what": "load", "args": ["load", "-q", "-i", str(archive)]},
        {
            "what": "commit",
            "before": [["load", "-q", "-i", str(small)], ["create", "--name", "c", "localhost/small:1", "/f"]],
            "fill": True,
            "args": ["commit", "-q", "c", "localhost/made:1"],
        },
    ]
    found = _cut(
        place,
        program=str(program),
        devices=CUTS,
        steps=steps,
        images={"load": "localhost/big:1", "commit": "localhost/made:1"},
        during=True,
        after=[0, 3, 12],
        repair=True,
    )
    lost = [item for item in found if item["done"] and not item["present"]]
    corrupt = [item for item in found if item["damage"] or item["left"]]
    kinds = Counter(f"{item['what']} {item['moment']}" for item in found)
    during = [item for item in found if not item["done"]]
    there = sum(item["present"] for item in during)
    say(
        f"power cuts: {dict(kinds)}; {len(during)} before it had returned, {there} of them with the image; "
        f"{len(lost)} lost, {len(corrupt)} corrupt"
    )
    assert not lost and not corrupt, (lost[:3], corrupt[:3])
    assert set(kinds.values()) == {CUTS}


def test_podman_shows_damage(place: Path, say: Callable[[str], None]) -> None:
    podman = box.need("podman")
    found = _cut(
        place,
        program=podman,
        devices=3,
        steps=[{"what": "load", "args": ["load", "-q", "-i", str(_archive(place / "a.tar", 2000))]}],
        images={"load": "localhost/big:1"},
        during=False,
        after=[0, 3, 6],
        repair=False,
    )
    damaged = [item for item in found if item["damage"] and (item["present"] or item["untagged"])]
    kinds = Counter(item["moment"] for item in damaged)
    say(f"power cuts after podman load: {len(found)}, image listed and damaged: {dict(kinds)}")
    assert damaged
