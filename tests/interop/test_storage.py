"""One graphroot, written in turn by pypod, podman, buildah and skopeo."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, Result


class Tools:
    """The Go tools on a Pypod's store."""

    def __init__(self, pypod: Pypod) -> None:
        self.pypod = pypod
        self.podman_path = box.need("podman")

    def podman(self, *args: str | Path, timeout: float = 90) -> Result:
        return self.pypod.as_user(*self._podman(), *args, timeout=timeout)

    def _podman(self) -> list[str]:
        places = ["--root", str(self.pypod.graphroot), "--runroot", str(self.pypod.runroot)]
        more = ["--storage-driver", "overlay", "--runtime", box.runtime(), "--cgroup-manager", "cgroupfs"]
        return [self.podman_path, *places, *more, "--events-backend", "file"]

    def inside(self, *argv: str | Path) -> Result:
        """A command that needs the user namespace."""
        return self.pypod.as_user(*([*self._podman(), "unshare"] if self.pypod.rootless else []), *argv, timeout=90)

    def skopeo(self, *args: str | Path) -> Result:
        return self.inside(box.need("skopeo"), *args)

    def buildah(self, *args: str | Path) -> Result:
        places = ["--root", str(self.pypod.graphroot), "--runroot", str(self.pypod.runroot)]
        return self.inside(box.need("buildah"), *places, "--storage-driver", "overlay", *args)

    def stored(self, name: str) -> str:
        """skopeo's name of an image in the store."""
        return f"containers-storage:[overlay@{self.pypod.graphroot}+{self.pypod.runroot}]{name}"

    def layers_of(self, name: str, place: Path) -> list[str]:
        """The diffIDs of what skopeo copies out, computed from its blobs."""
        self.skopeo("copy", "-q", self.stored(name), f"dir:{place}").ok()
        manifest = json.loads((place / "manifest").read_text()) if (place / "manifest").exists() else None
        manifest = manifest or json.loads((place / "manifest.json").read_text())
        found = []
        for item in manifest["layers"]:
            data = (place / item["digest"].partition(":")[2]).read_bytes()
            if data[:2] == b"\x1f\x8b":
                data = gzip.decompress(data)
            found.append("sha256:" + hashlib.sha256(data).hexdigest())
        return found


@pytest.fixture
def tools(fresh: Pypod) -> Iterator[Tools]:
    tools = Tools(fresh)
    yield tools
    tools.podman("rm", "-f", "-a", "-t", "0")
    if fresh.rootless:
        tools.podman("system", "migrate")  # ends its pause process


def entry(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, 1_600_000_000
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def pack(*members: tuple[tarfile.TarInfo, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for member in members:
            info, data = member if isinstance(member, tuple) else (member, b"")
            if info.isreg():
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def difficult_layers(busybox_tar: Path) -> list[bytes]:
    """A base, and layers with all that makes trouble."""
    second = pack(
        entry("tmp/implicit", mode=0o600),
        (entry("etc/long-" + "n" * 150), b"long"),
        (entry("caf\udce9"), b"latin-1"),
        (entry("a<&>b"), b"angles"),
        (entry("bin/setuid", mode=0o6755, uid=5, gid=7), b"#!/bin/sh\n"),
        entry("bin/linked", tarfile.LNKTYPE, linkname="bin/setuid"),
        entry("run/fifo", tarfile.FIFOTYPE),
        (entry("srv/keep"), b"keep"),
        (entry("srv/drop"), b"drop"),
        form=tarfile.GNU_FORMAT,
    )
    third = pack(
        (entry("etc/.wh.notes"), b""),
        (entry(".wh.opt"), b""),
        entry("srv", tarfile.DIRTYPE, 0o755),
        (entry("srv/.wh..wh..opq"), b""),
        (entry("srv/new", mtime=1_600_000_000.25), b"new"),
        (entry("twice"), b"first"),
        (entry("xattr", pax_headers={"SCHILY.xattr.user.pypod": "value"}), b"x"),
        (entry("twice"), b"second"),
        (entry("big"), os.urandom(1 << 20)),
    )
    return [busybox_tar.read_bytes(), second, third]


def docker_archive(path: Path, layers: list[bytes], name: str) -> Path:
    diff_ids = ["sha256:" + hashlib.sha256(item).hexdigest() for item in layers]
    config = {
        "created": "2024-01-02T03:04:05Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": "2024-01-02T03:04:05Z", "created_by": f"step {n}"} for n in range(len(layers))],
    }
    manifest = [{"Config": "c.json", "RepoTags": [name], "Layers": [f"{n}.tar" for n in range(len(layers))]}]
    path.write_bytes(
        pack(
            (entry("c.json"), json.dumps(config).encode()),
            *((entry(f"{number}.tar"), data) for number, data in enumerate(layers)),
            (entry("manifest.json"), json.dumps(manifest).encode()),
        )
    )
    path.chmod(0o644)
    return path


LOOK = (
    "stat -c %a /tmp; ls -d /opt /etc/notes 2>&1 | grep -c such; ls /srv; cat /twice; "
    "stat -c '%a %u %g %h' /bin/setuid; ls / | grep -c caf"
)
SEEN = "1777\n2\nnew\nsecond6755 5 7 2\n1\n"


def test_a_difficult_image(tools: Tools, busybox_tar: Path, shared_dir: Path) -> None:
    """What we load podman runs, with every mode, owner and whiteout, and skopeo copies out to the bit."""
    pypod = tools.pypod
    layers = difficult_layers(busybox_tar)
    pypod("load", "-i", docker_archive(shared_dir / "a.tar", layers, "localhost/hard:1")).ok()
    limits = (
        [] if pypod.rootless or box.may_raise_rlimits() else ["--ulimit", "nofile=64:64", "--ulimit", "nproc=99:99"]
    )
    assert pypod("run", "--rm", "hard:1", "sh", "-c", LOOK).ok().out == SEEN
    assert tools.podman("run", "--rm", "--network", "none", *limits, "hard:1", "sh", "-c", LOOK).ok().out == SEEN
    place = shared_dir / "out"
    wanted = ["sha256:" + hashlib.sha256(item).hexdigest() for item in layers]
    assert tools.layers_of("localhost/hard:1", place) == wanted
    ours = pypod("history", "--format", "json", "hard:1").ok().json
    theirs = tools.podman("history", "--format", "json", "hard:1").ok().json
    assert ours == theirs
    tools.podman("rmi", "hard:1").ok()
    assert os.listdir(f"{pypod.graphroot}/overlay/l") == []
    assert not [name for name in os.listdir(f"{pypod.graphroot}/overlay-layers") if name.endswith("gz")]


def test_check_finds_no_fault_with_what_others_made(tools: Tools, busybox_tar: Path, shared_dir: Path) -> None:
    """Whiteouts, implied parents, links, fifos, copies with other owners; then what a power cut does to podman's."""
    pypod = tools.pypod
    layers = difficult_layers(busybox_tar)[:2]
    layers.append(
        pack(
            entry("srv", tarfile.DIRTYPE, 0o755), entry("srv/.wh..wh..opq"), entry("etc/.wh.notes"), entry(".wh.opt")
        )
    )
    tools.podman("load", "-i", docker_archive(shared_dir / "a.tar", layers, "localhost/hard:1")).ok()
    pypod("load", "-i", docker_archive(shared_dir / "b.tar", difficult_layers(busybox_tar), "localhost/ours:1")).ok()
    tools.buildah("from", "--name", "w", "localhost/hard:1").ok()
    tools.buildah("copy", "w", shared_dir / "b.tar", "/b.tar").ok()
    tools.buildah("commit", "-q", "w", "localhost/built:1").ok()
    if pypod.rootless:
        for name in ("hard:1", "ours:1"):
            tools.podman("create", "--userns", "keep-id", "--network", "none", f"localhost/{name}", "true").ok()
        pypod("create", "--name", "k", "--userns", "keep-id", "--network", "none", "built:1", "true").ok()
    assert pypod("system", "check", "-m", "0s").ok().out == ""
    assert pypod("system", "check", "-q", "-m", "0s").ok().out == ""
    for link in (Path(str(pypod.graphroot)) / "overlay" / "l").iterdir():
        link.unlink()
    for lower in (Path(str(pypod.graphroot)) / "overlay").glob("*/lower"):
        os.truncate(lower, 0)
    assert pypod("system", "check", "-q").code == 125
    mended = pypod("system", "check", "-q", "--repair").ok()
    assert mended.lines and all(line.startswith("repaired layer ") for line in mended.lines)
    for name in ("hard:1", "built:1", "ours:1"):
        assert (
            pypod("run", "--rm", "--network", "none", name, "cat", "/srv/new" if "ours" in name else "/a<&>b")
            .ok()
            .out
        )
    tools.podman("rm", "-f", "-a", "-t", "0").ok()
    tools.buildah("rm", "-a").ok()


def test_inspect_says_what_podman_says(tools: Tools, busybox_tar: Path, shared_dir: Path) -> None:
    pypod = tools.pypod
    pypod("load", "-i", docker_archive(shared_dir / "a.tar", difficult_layers(busybox_tar), "localhost/hard:1")).ok()
    tools.podman("import", "-c", "ENV A=b", "-c", "LABEL x=y", "-m", "a comment", busybox_tar, "flat:1").ok()
    for name in ("localhost/hard:1", "flat:1"):
        [ours] = pypod("image", "inspect", name).ok().json
        [theirs] = tools.podman("image", "inspect", name).ok().json
        assert ours == theirs
    ours, theirs = (tool("images", "--format", "json").ok().json for tool in (pypod, tools.podman))
    assert ours == theirs


def test_the_same_import_as_podmans(tools: Tools, busybox_tar: Path) -> None:
    """Config and manifest of an import differ from podman's in their times only."""
    pypod = tools.pypod
    changes = ["-c", "CMD echo x", "-c", "ENV A=b", "-c", "EXPOSE 80", "-c", 'VOLUME ["/v"]', "-m", "words"]
    pypod("import", *changes, busybox_tar, "ours").ok()
    tools.podman("import", *changes, busybox_tar, "theirs").ok()
    found = []
    for name in ("localhost/ours:latest", "localhost/theirs:latest"):
        config = tools.skopeo("inspect", "--config", "--raw", tools.stored(name)).ok().json
        manifest = tools.skopeo("inspect", "--raw", tools.stored(name)).ok().json
        for item in (config, *config["history"]):
            assert item.pop("created")
        manifest["config"].pop("digest")
        manifest["config"].pop("size")
        found.append((config, list(config), manifest))
    assert found[0] == found[1]


def test_skopeo_brings_an_image_in(tools: Tools, busybox_tar: Path, shared_dir: Path) -> None:
    pypod = tools.pypod
    source = docker_archive(shared_dir / "a.tar", difficult_layers(busybox_tar)[:2], "localhost/in:1")
    tools.skopeo("copy", "-q", f"docker-archive:{source}", tools.stored("localhost/in:1")).ok()
    assert pypod("run", "--rm", "in:1", "cat", "/srv/keep").ok().out == "keep"
    # The same image by our own load is the same image.
    before = pypod("images", "--no-trunc", "--format", "{{.ID}} {{.Digest}}").ok().out
    pypod("load", "-i", source).ok()
    assert pypod("images", "--no-trunc", "--format", "{{.ID}} {{.Digest}}").ok().out == before
    pypod("rmi", "in:1").ok()
    assert tools.podman("images", "-q").ok().out == ""
    assert os.listdir(f"{pypod.graphroot}/overlay/l") == []


def test_buildah_builds_on_our_image(tools: Tools, busybox_tar: Path) -> None:
    pypod = tools.pypod
    pypod("import", busybox_tar, "localhost/base:1").ok()
    working = tools.buildah("from", "--pull-never", "localhost/base:1").ok().lines[-1]
    pypod("rmi", "base:1").fails(2, "in use")
    tools.buildah("config", "--cmd", "cat /made", working).ok()
    tools.buildah("copy", working, busybox_tar, "/made").ok()
    tools.buildah("commit", "-q", working, "localhost/built:1").ok()
    tools.buildah("rm", working).ok()
    assert pypod("run", "--rm", "built:1", "sh", "-c", "ls -l /made | wc -l").ok().out == "1\n"
    ours = pypod("history", "--format", "json", "built:1").ok().json
    assert ours == tools.podman("history", "--format", "json", "built:1").ok().json
    [inspected] = pypod("image", "inspect", "built:1").ok().json
    assert inspected == tools.podman("image", "inspect", "built:1").ok().json[0]
    pypod("rmi", "base:1").ok()
    pypod("rmi", "built:1").ok()
    assert pypod("images", "-qa").ok().out == ""
    assert os.listdir(f"{pypod.graphroot}/overlay/l") == []


def test_writers_that_interleave(tools: Tools, busybox_tar: Path, shared_dir: Path) -> None:
    """pypod tags while skopeo commits: nobody's names are lost."""
    pypod = tools.pypod
    pypod("import", busybox_tar, "localhost/bb:1").ok()
    source = docker_archive(shared_dir / "a.tar", [pack((entry("f"), b"x"))], "x:1")
    failed: list[Result] = []

    def copies() -> None:
        for number in range(6):
            done = tools.skopeo("copy", "-q", f"docker-archive:{source}", tools.stored(f"localhost/theirs:{number}"))
            if done.code:
                failed.append(done)

    thread = threading.Thread(target=copies)
    thread.start()
    count = 0
    while thread.is_alive():
        pypod("tag", "bb:1", f"localhost/ours:{count}").ok()
        count += 1
    thread.join()
    assert not failed, failed
    names = set(pypod("images", "--format", "{{.Repository}}:{{.Tag}}").ok().lines)
    assert names >= {f"localhost/theirs:{number}" for number in range(6)}
    assert names >= {f"localhost/ours:{number}" for number in range(count)}
    assert names == set(tools.podman("images", "--format", "{{.Repository}}:{{.Tag}}").ok().lines)
