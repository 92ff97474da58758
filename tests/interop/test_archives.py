"""Saved images and committed containers, between pypod, podman and skopeo."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.test_storage import Tools, difficult_layers, docker_archive, entry, pack
from support import box
from support.runner import Pypod

NAME = "localhost/hard:1"


@pytest.fixture
def tools(fresh: Pypod) -> Iterator[Tools]:
    tools = Tools(fresh)
    yield tools
    tools.podman("rm", "-f", "-a", "-t", "0")
    if fresh.rootless:
        tools.podman("system", "migrate")  # ends its pause process


@pytest.fixture
def hard(tools: Tools, busybox_tar: Path, shared_dir: Path) -> list[str]:
    """A difficult image in pypod's store, though not one that podman cannot load; its diffIDs."""
    layers = difficult_layers(busybox_tar)
    layers[2] = pack(
        (entry("etc/.wh.notes"), b""),
        (entry(".wh.opt"), b""),
        entry("srv", tarfile.DIRTYPE, 0o755),
        (entry("srv/.wh..wh..opq"), b""),
        (entry("srv/new", mtime=1_600_000_000.25), b"new"),
        (entry("xattr", pax_headers={"SCHILY.xattr.user.pypod": "value"}), b"x"),
        (entry("twice"), b"second"),
    )
    tools.pypod("load", "-q", "-i", docker_archive(shared_dir / "hard.tar", layers, NAME)).ok()
    return ["sha256:" + hashlib.sha256(item).hexdigest() for item in layers]


def image_id(pypod: Pypod, name: str = NAME) -> str:
    [found] = pypod("image", "inspect", name).ok().json
    return str(found["Id"])


def limits(pypod: Pypod) -> list[str]:
    return (
        [] if pypod.rootless or box.may_raise_rlimits() else ["--ulimit", "nofile=64:64", "--ulimit", "nproc=99:99"]
    )


TRANSPORTS = {
    "docker-archive": "docker-archive",
    "oci-archive": "oci-archive",
    "oci-dir": "oci",
    "docker-dir": "dir",
}


def test_podman_and_skopeo_read_what_we_save(tools: Tools, hard: list[str]) -> None:
    pypod = tools.pypod
    id = image_id(pypod)
    for format, transport in TRANSPORTS.items():
        pypod("save", "-q", "--format", format, "-o", f"{pypod.graphroot}/{format}", NAME).ok()
        said = tools.skopeo("inspect", "--config", f"{transport}:{pypod.graphroot}/{format}").ok().json
        assert said["rootfs"]["diff_ids"] == hard
    run = ("run", "--rm", "--network", "none", *limits(pypod))
    # podman makes a name of an OCI directory's path, which need not be a valid one.
    for format in ("docker-archive", "oci-archive", "docker-dir"):
        tools.podman("rmi", id).ok()
        loaded = tools.podman("load", "-q", "-i", f"{pypod.graphroot}/{format}").ok().out
        assert loaded == f"Loaded image: {f'sha256:{id}' if format == 'docker-dir' else NAME}\n"
        [theirs] = tools.podman("image", "inspect", id).ok().json
        assert theirs["Id"] == id and theirs["RootFS"]["Layers"] == hard
    assert (
        tools.podman(*run, id, "sh", "-c", "cat /twice; ls /srv /opt 2>&1; true")
        .ok()
        .out.startswith("secondls: /opt")
    )


def test_we_read_what_podman_saves(tools: Tools, hard: list[str]) -> None:
    pypod = tools.pypod
    id = image_id(pypod)
    formats = [*TRANSPORTS][:3]
    for format in formats:
        tools.podman("save", "-q", "--format", format, "-o", f"{pypod.graphroot}/{format}", NAME).ok()
    for format in formats:
        pypod("rmi", NAME).ok()
        pypod("load", "-q", "-i", f"{pypod.graphroot}/{format}").ok()
        [found] = pypod("image", "inspect", NAME).ok().json
        assert found["RootFS"]["Layers"] == hard
        assert found["Id"] == id or format != "docker-archive"


def test_a_docker_archive_is_podmans_to_the_byte(tools: Tools, hard: list[str], busybox_tar: Path) -> None:
    pypod = tools.pypod
    pypod("import", "-q", busybox_tar, "localhost/flat:1").ok()
    pypod("tag", NAME, "localhost/hard:2").ok()
    ours, theirs = pypod.graphroot / "ours", pypod.graphroot / "theirs"  # type: ignore[operator]
    for images in ([NAME], [NAME, "localhost/hard:2"], ["-m", NAME, "localhost/flat:1", "localhost/hard:2"]):
        pypod("save", "-q", "-o", ours, *images).ok()
        tools.podman("save", "-q", "-o", theirs, *images).ok()
        assert ours.read_bytes() == theirs.read_bytes()
        ours.unlink()
        theirs.unlink()


CHANGES = (
    "rm -r /srv /etc/notes; mkdir /srv; echo new > /srv/made; rm /twice; ln /bin/setuid /bin/third; "
    "chmod 1770 /tmp; mkfifo /pipe; ln -s nowhere /link; mkdir -p /d/e; touch -d '2001-02-03 04:05:06' /d/e/f"
)
AFTER = (
    "ls /srv; ls /twice 2>&1 | grep -c such; stat -c '%a %u %g' /tmp /bin/third; stat -c '%F %N' /pipe /link; "
    "date -u -r /d/e/f +%s"
)


def test_a_committed_container_is_the_same_for_podman(tools: Tools, hard: list[str]) -> None:
    pypod = tools.pypod
    pypod("run", "--name", "c", "--network", "none", NAME, "sh", "-c", CHANGES).ok()
    pypod("commit", "-q", "c", "localhost/ours:1").ok()
    tools.podman("commit", "-q", "c", "localhost/theirs:1")
    inside = ("sh", "-c", AFTER)
    wanted = pypod("run", "--rm", "--network", "none", "localhost/ours:1", *inside).ok().out
    assert wanted.startswith("made\n1\n1770 0 0\n6755 5 7\nfifo")
    options = ("--network", "none", *limits(pypod))
    assert tools.podman("run", "--rm", *options, "localhost/ours:1", *inside).ok().out == wanted
    ours = tools.podman("image", "diff", "--format", "json", "localhost/ours:1").ok().json
    assert "/srv/made" in ours["added"] and "/twice" in ours["deleted"]
    # skopeo rebuilds the layer from the tar-split file that was written on the way.
    [found] = pypod("image", "inspect", "localhost/ours:1").ok().json
    place = pypod.graphroot / "out"  # type: ignore[operator]
    assert tools.layers_of("localhost/ours:1", place) == found["RootFS"]["Layers"]
    assert json.loads((place / "manifest.json").read_text())["config"]["digest"] == f"sha256:{found['Id']}"
