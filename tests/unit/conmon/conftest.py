"""Fixtures: a runtime compiled from tests/csrc, and a directory for one monitor."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.box import missing
from support.monitor_box import Box


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        missing("there is no C compiler")
    program = tmp_path_factory.mktemp("runtime") / "runtime"
    source = Path(__file__).resolve().parents[2] / "csrc" / "runtime.c"
    subprocess.run([compiler, "-O1", "-Wall", "-Wextra", source, "-o", program], check=True)
    return program


@pytest.fixture
def box(tmp_path: Path, runtime: Path) -> Iterator[Box]:
    result = Box(tmp_path, runtime)
    yield result
    result.close()
