"""Which place's answer counts, and which errors are told. Pulls from real registries are in tests/integration."""

from __future__ import annotations

from pathlib import Path

import pytest

from pypod.engine.pull_registry import Request, Work
from pypod.errors import BadArchive, ConnectionCut, NotThere, PolicyError, PypodError
from pypod.oci.reference import Reference
from pypod.registry import endpoints
from pypod.registry.client import Answer
from pypod.registry.settings import Settings
from storage.progress import SILENT
from storage.store import Store

REFERENCE = Reference(domain="registry.example", path="a", tag="1")


class Server:
    """A registry that always says the same."""

    def __init__(self, says: bytes | PypodError) -> None:
        self.says = says
        self.closed = False

    def manifest(self, repository: str, reference: str, *, limit: int = 0) -> Answer:
        assert (repository, reference) == ("a", "1")
        if isinstance(self.says, PypodError):
            raise self.says
        return Answer(data=self.says, media_type="", digest="")

    def close(self) -> None:
        self.closed = True


def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *says: bytes | PypodError) -> bytes:
    """The manifest that is found; the last one is the registry itself."""
    servers = [Server(item) for item in says]
    found = [
        endpoints.Endpoint(
            client=server,  # type: ignore[arg-type]
            repository="a",
            location=f"m{number}/a",
            mirror=server is not servers[-1],
        )
        for number, server in enumerate(servers)
    ]
    monkeypatch.setattr(endpoints, "for_pull", lambda *_, **__: found)
    store = Store(str(tmp_path / "g"), str(tmp_path / "r"))
    work = Work(store, Request(settings=Settings()), None, SILENT)
    try:
        return work.manifest(REFERENCE)
    finally:
        work.close()
        assert all(server.closed for server in servers)


def test_the_first_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(tmp_path, monkeypatch, b"one", b"two") == b"one"
    assert ask(tmp_path, monkeypatch, NotThere("no"), b"two", b"three") == b"two"
    assert ask(tmp_path, monkeypatch, ConnectionCut("cut"), BadArchive("lies"), b"three") == b"three"


def test_all_errors_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotThere) as caught:
        ask(tmp_path, monkeypatch, ConnectionCut("cut"), BadArchive("lies"), NotThere("manifest unknown"))
    assert caught.value.message == (
        "initializing source docker://registry.example/a:1: "
        "(Mirrors also failed: [m0/a: cut] [m1/a: lies]): manifest unknown"
    )
    with pytest.raises(BadArchive) as broken:
        ask(tmp_path, monkeypatch, BadArchive("broken archive: odd"))
    assert broken.value.message == "initializing source docker://registry.example/a:1: broken image: odd"


def test_what_the_policy_refuses_is_refused_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PolicyError, match="rejected"):
        ask(tmp_path, monkeypatch, PolicyError("Source image rejected: x"), b"two")
