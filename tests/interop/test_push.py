"""What pypod pushes podman pulls, and the other way round, on one store and over a real registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.test_storage import Tools, difficult_layers, docker_archive, entry, pack
from support.registry import Registry
from support.runner import Pypod

NAME = "localhost/hard:1"
PLAIN = "--tls-verify=false"


@pytest.fixture
def tools(fresh: Pypod) -> Iterator[Tools]:
    tools = Tools(fresh)
    yield tools
    tools.podman("rmi", "-f", "-a")
    if fresh.rootless:
        tools.podman("system", "migrate")  # ends its pause process


def test_to_and_fro(tools: Tools, busybox_tar: Path, shared_dir: Path) -> None:
    pypod = tools.pypod
    layers = difficult_layers(busybox_tar)
    # podman takes no archive with a path twice.
    layers[2] = pack((entry("etc/.wh.notes"), b""), (entry("srv/.wh..wh..opq"), b""), (entry("srv/new"), b"new"))
    pypod("load", "-q", "-i", docker_archive(shared_dir / "a.tar", layers, NAME)).ok()
    shown = "{{.Id}} {{.Digest}} {{json .RootFS.Layers}}"
    with Registry() as registry:
        digest = shared_dir / "digest"
        name = f"{registry.host}/hard:1"
        for more in ([], ["--compression-format", "zstd"], ["--compression-format", "zstd:chunked"]):
            pypod("push", "-q", PLAIN, *more, "--digestfile", digest, NAME, name).ok()
            [known] = pypod("image", "inspect", "-f", "{{.Id}} {{json .RootFS.Layers}}", NAME).ok().lines
            pypod("rmi", "-f", NAME).ok()
            # As podman: the same image, under the digest that we have told.
            tools.podman("pull", "-q", PLAIN, name).ok()
            [seen] = tools.podman("image", "inspect", "-f", shown, name).ok().lines
            identity, told, rest = seen.split(" ", 2)
            assert (f"{identity} {rest}", told) == (known, digest.read_text())
            # What podman has pulled goes back to the byte, by podman or by us.
            registry.forget()
            pypod("push", "-q", PLAIN, "--digestfile", digest, name, f"{registry.host}/hard:back").ok()
            assert digest.read_text() == told and not registry.count("POST")
            tools.podman("push", "-q", PLAIN, name, f"{registry.host}/podmans:1").ok()
            tools.podman("tag", name, NAME).ok()
            tools.podman("untag", name, name).ok()
        tools.podman("rmi", "-f", NAME).ok()
        pypod("pull", "-q", PLAIN, f"{registry.host}/podmans:1").ok()
        [again] = pypod("image", "inspect", "-f", "{{.Id}} {{json .RootFS.Layers}}", "podmans:1").ok().lines
        assert again == known
        assert pypod("system", "check").ok().out == ""
