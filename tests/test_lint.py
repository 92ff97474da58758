"""The linters, as tests: what they would say, with the commands that ``make lint`` runs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import box

SOURCE = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("target", ["lint-style", "lint-format", "lint-types", "lint-c"])
def test_lint(target: str) -> None:
    if shutil.which("make") is None:
        box.missing("make is not installed")
    programs = Path(sys.executable).parent
    if target != "lint-c" and not (programs / "ruff").exists():
        box.missing("ruff and mypy are not installed")
    done = subprocess.run(
        ["make", "-s", "-C", str(SOURCE), target, f"bin={programs}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
