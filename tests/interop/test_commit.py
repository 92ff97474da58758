"""What ``commit`` and ``save`` write, beside what podman's write of the same container, and read by the Go tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import box
from support.runner import Pypod, Result

FLAGS = ("-e", "A=1", "-l", "k=v", "-w", "/tmp", "-v", "/anon", "--entrypoint", '["/bin/sh","-e"]')
COMMAND = ("-c", "echo new > /tmp/new; rm /etc/notes; rm -r /home; mkdir /home")
CHANGES = ("-c", "ENV B=2", "-c", "LABEL l=m", "-c", "EXPOSE 90/udp", "-c", "VOLUME /v", "-c", "USER 5", "-a", "me")


class Podman:
    """podman on a Pypod's store."""

    def __init__(self, pypod: Pypod) -> None:
        self.pypod = pypod
        places = ["--root", str(pypod.graphroot), "--runroot", str(pypod.runroot), "--storage-driver", "overlay"]
        self.argv = [box.need("podman"), *places, "--runtime", box.runtime(), "--cgroup-manager", "cgroupfs"]
        self.limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")

    def __call__(self, *args: str | Path) -> Result:
        return self.pypod.as_user(*self.argv, "--events-backend", "file", *args, timeout=90)

    def run(self, *args: str) -> Result:
        limits = () if self.pypod.rootless or box.may_raise_rlimits() else self.limits
        return self("run", "--network", "none", *limits, *args)

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self("image", "inspect", name).ok().json[0]
        return found


@pytest.fixture
def podman(fresh: Pypod, busybox_tar: Path) -> Iterator[Podman]:
    podman = Podman(fresh)
    fresh("import", "-q", "-c", "STOPSIGNAL 12", "-c", "LABEL base=1", busybox_tar, "localhost/bb:1").ok()
    yield podman
    podman("rm", "-f", "-a", "-t", "0")
    if fresh.rootless:
        podman("system", "migrate")  # ends its pause process


def what_matters(image: dict[str, Any]) -> dict[str, Any]:
    config = dict(image["Config"])
    config["Env"] = sorted(config["Env"])
    history = [{key: step.get(key) for key in ("created_by", "comment", "author")} for step in image["History"]]
    kept = ("Author", "Comment", "Architecture", "Os", "Parent", "ManifestType", "User", "Labels", "Annotations")
    return {"Config": config, "History": history, **{key: image[key] for key in kept}}


def test_as_podman_commits(podman: Podman) -> None:
    pypod = podman.pypod
    podman.run("--name", "theirs", *FLAGS, "localhost/bb:1", *COMMAND).ok()
    pypod("run", "--network", "none", "--name", "ours", *FLAGS, "localhost/bb:1", *COMMAND).ok()
    for number, flags in enumerate(
        (
            (),
            CHANGES,
            ("-f", "docker", "-m", "words", *CHANGES),
            ("--include-volumes", "-s"),
        )
    ):
        podman("commit", "-q", *flags, "theirs", f"theirs:{number}").ok()
        pypod("commit", "-q", *flags, "ours", f"ours:{number}").ok()
        theirs, ours = podman.inspect(f"theirs:{number}"), podman.inspect(f"ours:{number}")
        assert what_matters(ours) == what_matters(theirs), flags
        assert len(ours["RootFS"]["Layers"]) == len(theirs["RootFS"]["Layers"])
        assert ours["RootFS"]["Layers"][:-1] == theirs["RootFS"]["Layers"][:-1]
        # Ours runs in theirs and theirs in ours, and each other's containers are committed.
        look = ("-c", "cat /tmp/new; ls /home; echo /etc/notes*")
        assert podman.run("--rm", "-u", "0", f"localhost/ours:{number}", *look).ok().out == "new\n/etc/notes*\n"
        done = pypod("run", "--rm", "--network", "none", "-u", "0", f"localhost/theirs:{number}", *look)
        assert done.ok().out == "new\n/etc/notes*\n"
    pypod("commit", "theirs").fails(125, "not pypod's")


def test_the_go_tools_read_what_is_saved(podman: Podman, tmp_path: Path, base: Path) -> None:
    pypod = podman.pypod
    pypod("run", "--network", "none", "--name", "a", "localhost/bb:1", "sh", *COMMAND).ok()
    pypod("commit", "-q", "a", "new:1").ok()
    wanted = podman.inspect("new:1")
    place = base / f"saved-{pypod.mode}"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    skopeo = box.need("skopeo")
    for kind, transport in (
        ("docker-archive", "docker-archive"),
        ("oci-archive", "oci-archive"),
        ("oci-dir", "oci"),
        ("docker-dir", "dir"),
    ):
        target = place / kind
        pypod("save", "-q", "--format", kind, "-o", target, "new:1").ok()
        config = pypod.as_user(skopeo, "inspect", "--config", f"{transport}:{target}").ok().json
        assert config["rootfs"]["diff_ids"] == wanted["RootFS"]["Layers"]
        pypod("rmi", "-f", "new:1")
        loaded = podman("load", "-q", "-i", target).ok().out.split(": ")[1].strip()
        assert podman.inspect(loaded)["Id"] == wanted["Id"]
        assert podman.inspect(loaded)["RootFS"] == wanted["RootFS"]
        podman("tag", wanted["Id"], "new:1").ok()
    both = place / "both"
    pypod("save", "-q", "-m", "-o", both, "new:1", "localhost/bb:1").ok()
    loaded = podman("load", "-q", "-i", both).ok().out
    assert sorted(loaded.split()[2::3]) == ["localhost/bb:1", "localhost/new:1"]
    # An export of ours, imported by theirs.
    pypod("export", "-o", place / "export", "a").ok()
    podman("import", "-q", place / "export", "localhost/exported:1").ok()
    assert podman.run("--rm", "localhost/exported:1", "cat", "/tmp/new").ok().out == "new\n"
