"""The lock of a container while somebody removes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pypod.base import files
from pypod.base.record import to_json
from pypod.engine import container as containers
from pypod.engine import context as contexts
from pypod.engine.config import ContainerConfig
from pypod.errors import NoSuchContainer

ID = "c" * 64


def test_nobody_gets_the_lock_of_what_is_being_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else an exit command or a list works on it half gone, and makes its run directory anew."""
    flags = {"root": str(tmp_path / "g"), "runroot": str(tmp_path / "r"), "storage_driver": "overlay"}
    context = contexts.open_context(flags)
    store = containers.open_store(context)
    config = ContainerConfig(id=ID, name="c", created="2024-01-01T00:00:00Z")
    files.make_directory(store.container_directory(ID))
    files.replace_json(store.container_directory(ID) + "/container.json", to_json(config))
    store.create_container(id=ID, names=["c"], image=None)
    container = containers.find(context, store, "c")
    remove_tree = files.remove_tree
    answers = []

    def ask() -> None:
        lock = container.lock
        try:
            answers.append("taken" if lock.acquire(blocking=False) else "held")
        except NoSuchContainer:
            answers.append("gone")
        lock.release()

    def remove_and_ask(path: str, **options: Any) -> None:
        remove_tree(path, **options)
        if not options:
            ask()

    with container.lock:
        ask()
        monkeypatch.setattr(files, "remove_tree", remove_and_ask)
        assert store.delete_container(ID)
        monkeypatch.undo()
    assert answers[0] == "held" and answers[-1] == "gone"
    assert "taken" not in answers
    assert not os.path.exists(container.rundir) and not os.path.exists(container.userdata)
