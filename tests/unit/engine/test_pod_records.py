"""Pods on disk: what is no pod's record is an error where it is asked for, and left out of lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from pypod.base import files
from pypod.engine import container as containers
from pypod.engine import context as contexts
from pypod.engine import pod_check, pods
from pypod.engine.context import Context
from pypod.errors import StorageError

ID = "a" * 64


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return contexts.open_context({"root": str(tmp_path / "g"), "runroot": str(tmp_path / "r")})


@pytest.mark.parametrize(
    "text",
    ["[]", "{", '{"id": 5}', f'{{"id": "{ID}", "name": "p", "created": 7}}', f'{{"id": "{ID}", "name": "p"}}'],
)
def test_what_is_no_pod(context: Context, text: str) -> None:
    files.make_directory(pods.directory(context))
    Path(pods.directory(context), f"{ID}.json").write_text(text)
    good = pods.Pod(id="b" * 64, name="good", created="2024-01-01T00:00:00Z")
    pods.save(context, good)
    assert pods.every(context) == [good]
    with pytest.raises(StorageError, match="cannot read pod aaaaaaaaaaaa"):
        pods.load(context, ID)


def test_what_is_being_written_is_no_leftover(context: Context) -> None:
    """Each ``pod create`` removes what killed ones have left, and others may be at work."""
    store = containers.open_store(context)
    path = Path(pods.directory(context), ".tmp-x")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pods.names_lock(context):
        assert pod_check.leftovers(context, store, repair=True) == [] and path.exists()
    assert pod_check.leftovers(context, store, repair=False) == [f"file {path}"] and path.exists()
    assert pod_check.leftovers(context, store, repair=True) == [f"file {path}"] and not path.exists()
    assert pod_check.leftovers(context, store, repair=True) == []
