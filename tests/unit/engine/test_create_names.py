"""A made-up name that somebody else has taken meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from pypod.base.record import replace
from pypod.engine import create, names
from pypod.engine.config import ContainerConfig
from pypod.errors import InUse
from storage.store import Store

CONTEXT: Any = None  # only secrets ask for it


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(str(tmp_path / "g"), str(tmp_path / "r"))


def config(name: str) -> ContainerConfig:
    return ContainerConfig(id=names.random_id(), name=name, created="2026-01-01T00:00:00Z")


def test_a_made_up_name_gives_way(store: Store) -> None:
    create._record(CONTEXT, store, config("taken"), None, "", name_chosen=True)
    record = create._record(CONTEXT, store, config("taken"), None, "", name_chosen=False)
    assert record.names[0] != "taken"


def test_a_chosen_name_does_not(store: Store) -> None:
    create._record(CONTEXT, store, config("taken"), None, "", name_chosen=True)
    other = replace(config("taken"))
    with pytest.raises(InUse, match="already in use"):
        create._record(CONTEXT, store, other, None, "", name_chosen=True)
