"""podman and pypod on one graphroot."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, Result


class Podman:
    """The real podman on the same places as a Pypod."""

    def __init__(self, pypod: Pypod) -> None:
        self.pypod = pypod
        self.program = box.need("podman")

    def __call__(self, *args: str | Path, timeout: float = 90) -> Result:
        assert self.pypod.graphroot and self.pypod.runroot
        places = ["--root", str(self.pypod.graphroot), "--runroot", str(self.pypod.runroot)]
        places += ["--storage-driver", "overlay"]  # without a storage.conf, rootless podman 4 would take vfs
        # Without a storage.conf podman 4.3 takes vfs for a rootless user, and looks at other files than ours.
        places += ["--storage-driver", "overlay"]
        more = ["--runtime", box.runtime(), "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
        return self.pypod.as_user(self.program, *places, *more, *args, timeout=timeout)

    def run(self, *args: str | Path, timeout: float = 90) -> Result:
        """``podman run`` with limits that may be set here."""
        limits = [] if self.pypod.rootless or box.may_raise_rlimits() else [
            "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000",
        ]  # fmt: skip
        return self("run", *limits, "--network", "none", *args, timeout=timeout)


@pytest.fixture
def shared(fresh: Pypod, busybox_tar: Path) -> Iterator[tuple[Pypod, Podman]]:
    podman = Podman(fresh)
    yield fresh, podman
    podman("rm", "-f", "-a", "-t", "0")
    if fresh.rootless:
        podman("system", "migrate")  # ends its pause process


FORMAT = "{{.ID}} {{.Repository}}:{{.Tag}} {{.Size}}"


def listed(tool: Pypod | Podman) -> list[str]:
    return sorted(tool("images", "--no-trunc", "--format", FORMAT).ok().lines)


def test_both_list_the_same_images(shared: tuple[Pypod, Podman], busybox_tar: Path) -> None:
    pypod, podman = shared
    pypod("import", busybox_tar, "localhost/ours:1").ok()
    podman("import", busybox_tar, "localhost/theirs:1").ok()
    pypod("tag", "localhost/theirs:1", "localhost/theirs:2").ok()
    podman("tag", "localhost/ours:1", "localhost/ours:2").ok()
    assert listed(pypod) == listed(podman)
    assert len(listed(pypod)) == 4
    podman("rmi", "localhost/ours:2").ok()
    pypod("rmi", "localhost/theirs:1").ok()
    assert listed(pypod) == listed(podman)
    assert [line.split()[1] for line in listed(pypod)] != []
    pypod("rmi", "localhost/theirs:2").ok()
    podman("rmi", "localhost/ours:1").ok()
    assert listed(pypod) == listed(podman) == []


def test_each_runs_what_the_other_imported(shared: tuple[Pypod, Podman], busybox_tar: Path) -> None:
    pypod, podman = shared
    pypod("import", busybox_tar, "localhost/ours:1").ok()
    podman("import", busybox_tar, "localhost/theirs:1").ok()
    for image in ("localhost/ours:1", "localhost/theirs:1"):
        assert pypod("run", "--rm", image, "echo", "a").ok().out == "a\n"
        assert podman.run("--rm", image, "echo", "b").ok().out == "b\n"
    assert listed(pypod) == listed(podman)


def test_podman_saves_and_we_load(shared: tuple[Pypod, Podman], busybox_tar: Path, shared_dir: Path) -> None:
    pypod, podman = shared
    podman("import", "-c", "CMD echo from the config", busybox_tar, "localhost/x:1").ok()
    for kind in ("docker-archive", "oci-archive"):
        file = shared_dir / f"{kind}.tar"
        podman("save", "--format", kind, "-o", file, "localhost/x:1").ok()
        pypod("rmi", "localhost/x:1").ok()
        pypod("load", "-i", file).ok()
        assert pypod("run", "--rm", "localhost/x:1").ok().out == "from the config\n"
        assert podman.run("--rm", "localhost/x:1").ok().out == "from the config\n"
    directory = shared_dir / "layout"
    podman("save", "--format", "oci-dir", "-o", directory, "localhost/x:1").ok()
    pypod("rmi", "-f", "localhost/x:1").ok()
    identity = pypod("load", "-i", directory).ok().out.strip().rpartition(" ")[2]
    assert pypod("run", "--rm", identity).ok().out == "from the config\n"


def test_an_image_in_use_by_one_is_not_removed_by_the_other(shared: tuple[Pypod, Podman], busybox_tar: Path) -> None:
    pypod, podman = shared
    pypod("import", busybox_tar, "localhost/bb:1").ok()
    pypod("create", "--name", "ours", "localhost/bb:1", "true").ok()
    assert podman("rmi", "localhost/bb:1").code != 0
    podman("create", "--name", "theirs", "localhost/bb:1", "true").ok()
    pypod("rm", "ours").ok()
    pypod("rmi", "localhost/bb:1").fails(2, "in use", "theirs of podman", "podman rm -f theirs")
    [row] = pypod("ps", "-a", "--external", "--format", "json").ok().json
    assert (row["Names"], row["Image"], row["Status"]) == (["theirs"], "localhost/bb:1", "Storage")
    # buildah.json is what some versions of podman leave there, too.
    (Path(str(pypod.graphroot)) / f"overlay-containers/{row['Id']}/userdata/buildah.json").write_text("{}")
    pypod("rmi", "localhost/bb:1").fails(2, "podman rm -f theirs")
    assert pypod("start", "-a", "theirs").code == 125  # podman's container is not ours to start
    podman("rm", "theirs").ok()
    pypod("rmi", "localhost/bb:1").ok()


def test_podman_sees_nothing_wrong_with_the_store(shared: tuple[Pypod, Podman], busybox_tar: Path) -> None:
    pypod, podman = shared
    pypod("import", busybox_tar, "localhost/bb:1").ok()
    pypod("run", "--name", "c", "localhost/bb:1", "touch", "/x").ok()
    pypod("run", "-d", "--name", "d", "localhost/bb:1", "sleep", "100").ok()
    warnings = [line for line in podman("images", "-q").ok().err.splitlines() if "shared mount" not in line]
    assert warnings == []
    external = podman("ps", "-a", "--external", "--format", "{{.Names}}").ok().lines
    assert sorted(external) == ["c", "d"]
    pypod("rm", "-f", "-t", "0", "c", "d").ok()
    assert podman("ps", "-a", "--external", "-q").ok().out == ""


def test_both_have_the_same_secrets(shared: tuple[Pypod, Podman], shared_dir: Path) -> None:
    pypod, podman = shared
    (shared_dir / "data").write_text("hush")
    theirs = podman("secret", "create", "--label", "a=b", "theirs", shared_dir / "data").ok().out.strip()
    ours = pypod("secret", "create", "--label", "a=b", "ours", shared_dir / "data").ok().out.strip()
    for name in ("ours", "theirs"):
        assert pypod("secret", "inspect", name).ok().json == podman("secret", "inspect", name).ok().json
    for name in ("ours", "theirs"):
        assert pypod("secret", "inspect", "--showsecret", "--format", "{{.SecretData}}", name).ok().out == "hush\n"
    pypod("secret", "rm", "theirs").ok()
    podman("secret", "rm", "ours").ok()
    assert theirs != ours
    assert pypod("secret", "ls", "-q").ok().out == podman("secret", "ls", "-q").ok().out == ""
