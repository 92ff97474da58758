"""Copies of images for an id mapping, made by pypod or by podman and used by both."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box, images
from support.runner import Pypod, Result, until

# As root nothing is copied.
pytestmark = pytest.mark.parametrize("mode", ["rootless"], indirect=True)


class Podman:
    def __init__(self, pypod: Pypod) -> None:
        self.pypod = pypod
        self.path = box.need("podman")

    def __call__(self, *args: str) -> Result:
        places = ["--root", str(self.pypod.graphroot), "--runroot", str(self.pypod.runroot)]
        more = ["--storage-driver", "overlay", "--runtime", box.runtime(), "--cgroup-manager", "cgroupfs"]
        return self.pypod.as_user(self.path, *places, *more, "--events-backend", "file", *args, timeout=90)


@pytest.fixture
def podman(fresh: Pypod, shared_dir: Path) -> Iterator[Podman]:
    podman = Podman(fresh)
    fresh("import", images.busybox(shared_dir / "bb.tar"), "localhost/base:1").ok()
    make = "echo me >/owned; chown 1000:10 /owned; chmod 4755 /owned; rm /etc/notes"
    fresh("run", "--name", "c", "--network", "none", "base:1", "sh", "-c", make).ok()
    fresh("commit", "-q", "c", "localhost/layered:1").ok()
    fresh("rm", "c").ok()
    yield podman
    podman("rm", "-f", "-a", "-t", "0")
    podman("system", "migrate")  # ends its pause process


def copies(pypod: Pypod) -> list[str]:
    rows = json.loads(Path(f"{pypod.graphroot}/overlay-images/images.json").read_text())
    return [id for row in rows for id in row.get("mapped-layers") or ()]


RUN = ("run", "--rm", "--network", "none", "--userns", "keep-id", "-u", "0", "layered:1", "sh", "-c")
LOOK = "stat -c '%u %g %a' /owned /bin/busybox; cat /owned; ls /etc/notes 2>&1 | grep -c such"
SEEN = "1000 10 4755\n0 0 755\nme\n1\n"


@pytest.mark.parametrize("first", ["pypod", "podman"])
def test_who_comes_second_uses_the_copy(podman: Podman, first: str) -> None:
    pypod = podman.pypod
    tools = {"pypod": pypod, "podman": podman}
    second = "podman" if first == "pypod" else "pypod"
    assert tools[first](*RUN, LOOK).ok().out == SEEN
    made = copies(pypod)
    assert len(made) == 1
    assert tools[second](*RUN, LOOK).ok().out == SEEN
    assert copies(pypod) == made
    tools[second]("rmi", "layered:1").ok()
    tools[second]("rmi", "base:1").ok()
    until(lambda: not Path(f"{pypod.graphroot}/overlay/{made[0]}").exists(), 20, "the copy to be gone")
    assert list(Path(f"{pypod.graphroot}/overlay/l").iterdir()) == []
