from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store; nothing is on disk yet."""
    return Store(str(tmp_path / "g"), str(tmp_path / "r"))
