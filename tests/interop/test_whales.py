"""python-on-whales of PyPI, unmodified, with pypod as its client: its pydantic models take all of our JSON."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import box, pypi
from support.runner import Pypod

SCRIPT = Path(__file__).resolve().parents[1] / "support" / "whales.py"


@pytest.fixture(scope="session")
def whales(base: Path) -> Path:
    """The directory to import it from."""
    return pypi.install(base, "python-on-whales")


@pytest.mark.parametrize("part", ["containers", "images", "volumes", "networks", "pods", "system"])
def test_a_program_works(pypod: Pypod, image: str, whales: Path, shared_dir: Path, part: str) -> None:
    if part == "networks":
        for name in ("netavark", "aardvark-dns"):
            if not os.path.exists(f"/usr/lib/podman/{name}"):
                box.missing(f"{name} is not installed")
    script = shared_dir / SCRIPT.name
    script.write_bytes(SCRIPT.read_bytes())
    place = shared_dir / "files"
    pypod.as_user("mkdir", place).ok()
    pypi.python(pypod, whales, script, part, image, place, *pypod.argv(), cwd=place).ok()
