"""Short names without a terminal: podman and pypod try the same places, and say so in the same words."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box, disk
from support.registry import Registry
from support.remote_images import Image, Remote
from support.runner import Pypod

HERE = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(os.uname().machine, "linux/amd64")
SEARCH = "unqualified-search-registries = ['{a}', '{b}']\n"

# Only {b} has anything: sn/one:1, which is {digest}, and sn/one:latest.
CASES = {
    "several": (SEARCH, "sn/one:1"),
    "latest": (SEARCH, "sn/one"),
    "a digest": (SEARCH, "sn/one@{digest}"),
    "none has it": (SEARCH, "sn/none"),
    "an alias": (SEARCH + "[aliases]\n'al' = '{b}/sn/one'\n", "al:1"),
    "an alias of a digest": (SEARCH + "[aliases]\n'al' = '{b}/sn/one'\n", "al@{digest}"),
    "an alias with a slash": (SEARCH + "[aliases]\n'x/al' = '{b}/sn/one'\n", "x/al:1"),
    "an alias that is taken back": (SEARCH + "[aliases]\n'sn/one' = ''\n", "sn/one:1"),
    "disabled": ("short-name-mode = 'disabled'\n" + SEARCH, "sn/one:1"),
    "disabled, with an alias": (
        "short-name-mode = 'disabled'\n" + SEARCH + "[aliases]\n'al' = '{b}/sn/one'\n",
        "al:1",
    ),
    "enforcing": ("short-name-mode = 'enforcing'\n" + SEARCH, "sn/one:1"),
    "enforcing, with one registry": (
        "short-name-mode = 'enforcing'\nunqualified-search-registries = ['{b}']\n",
        "sn/one:1",
    ),
    "no registries": ("unqualified-search-registries = []\n", "sn/one:1"),
    "version 1": ("[registries.search]\nregistries = ['{b}']\n", "sn/one:1"),
    "a transport": (SEARCH, "docker://{b}/sn/one:1"),
}


class Peer:
    """podman's own store, and two registries."""

    def __init__(self, directory: Path, a: Registry, b: Registry, image: Image) -> None:
        self._argv = [box.need("podman"), "--root", f"{directory}/g", "--runroot", f"{directory}/r"]
        self._argv += ["--storage-driver", "vfs"]
        self._hosts = {"a": a.host, "b": b.host, "digest": image.digest}

    def fill(self, text: str) -> str:
        return text.format(**self._hosts)

    def __call__(self, *args: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._argv, *args],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **env},
            cwd="/",
            check=False,
        )


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with tempfile.TemporaryDirectory(prefix="peer-", dir=disk.place()) as directory, Registry() as a, Registry() as b:
        remote = Remote(b.port)
        image = remote.image("sn/one", "1", [{"f": b"1"}], platform=HERE)
        remote.image("sn/one", "latest", [{"f": b"1"}], platform=HERE)
        yield Peer(Path(directory), a, b, image)


def told(err: str) -> list[str]:
    """The lines that say which places are tried, and why."""
    return [line for line in err.splitlines() if line.startswith(("Resol", "Trying"))]


@pytest.mark.parametrize("mode", ["root"], indirect=True)
@pytest.mark.parametrize("case", CASES)
def test_the_same_places_are_tried(fresh: Pypod, peer: Peer, shared_dir: Path, case: str) -> None:
    text, name = (peer.fill(item) for item in CASES[case])
    conf = shared_dir / "registries.conf"
    conf.write_text(text)
    env = {"CONTAINERS_REGISTRIES_CONF": str(conf)}
    theirs = peer("pull", "--tls-verify=false", name, env=env)
    peer("rmi", "-a", "-f", env=env)
    ours = fresh("pull", "--tls-verify=false", name, env=env)
    assert (ours.code, ours.out) == (theirs.returncode, theirs.stdout), theirs.stderr + ours.err
    assert told(ours.err) == told(theirs.stderr)
