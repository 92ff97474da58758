"""Programs and libraries of PyPI that drive podman's command line, unmodified, each in a place of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import box
from support.runner import Pypod, Result


def install(base: Path, package: str) -> Path:
    """The directory to import ``package`` from, which every user may read."""
    # Not from this interpreter's packages: a plain user need not be able to read those.
    target = base / package
    argv = [sys.executable, "-m", "pip", "-q", "install", "--target", str(target), package]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        box.missing(f"{package} is not installed, nor can pip install it")
    subprocess.run(["chmod", "-R", "a+rX", str(target)], check=True)
    return target


def python(pypod: Pypod, packages: Path, *words: str | Path, cwd: Path, path: str = "") -> Result:
    """Run Debian's interpreter as the user of ``pypod``, with ``packages``; ``path`` comes first on its PATH."""
    search = pypod.environment()["PATH"]
    return pypod.as_user(
        *("env", "-C", cwd, f"PATH={path + ':' if path else ''}{search}", f"PYTHONPATH={packages}"),
        *("PYTHONDONTWRITEBYTECODE=1", "/usr/bin/python3", *words),
    )
