"""--dry-run: what it says is what then happens, it changes nothing, and it fails as the real command does."""

from __future__ import annotations

import functools
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from support import box
from support.runner import Pypod, Result, cmdline

SLEEP = ("sleep", "100")


class Tree:
    """All that is at some places, to the last change of an inode."""

    def __init__(self, *places: str | Path | None) -> None:
        self.found: dict[str, tuple[int, ...]] = {}
        for place in places:
            for directory, _, files in os.walk(str(place)):
                for path in (directory, *(f"{directory}/{name}" for name in files)):
                    status = os.lstat(path)
                    owner = (status.st_mode, status.st_uid, status.st_gid)
                    self.found[path] = (status.st_ino, *owner, status.st_size, status.st_ctime_ns)

    def since(self, earlier: Tree) -> list[str]:
        paths = self.found.keys() | earlier.found.keys()
        return sorted(path for path in paths if self.found.get(path) != earlier.found.get(path))


def dry(pypod: Pypod, verb: str, *words: str | Path, place: Path | None = None) -> Result:
    """A dry run's answer; nothing has changed in the store and in ``place``."""
    places = (pypod.graphroot, pypod.runroot, place)
    before = Tree(*places)
    done = pypod(verb, *words)
    assert Tree(*places).since(before) == []
    return done


@functools.cache
def schema(pypod: Pypod, verb: str) -> Any:
    return pypod("schema", verb).ok().json


def foresee(pypod: Pypod, verb: str, *words: str | Path, place: Path | None = None) -> dict[str, Any]:
    found: dict[str, Any] = dry(pypod, verb, "--dry-run=json", *words, place=place).ok().json
    jsonschema.validate(found, schema(pypod, verb))
    return found


def plain(value: Any, *ids: str) -> Any:
    """A JSON value without what each container has anew: its id, its layer's, processes, times."""
    text = json.dumps(value)
    for number, id in enumerate(ids):
        for length in (64, 32, 12):
            text = text.replace(id[:length], f"<id {number}>") if id else text
    text = re.sub(r"/proc/(\d+|PID-of-[\w.-]+)/ns", "/proc/<pid>/ns", text)
    text = re.sub(r"/volumes/[0-9a-f]{64}/", "/volumes/<anonymous>/", text)
    return json.loads(re.sub(r'("io.kubernetes.cri-o.Created": )"[^"]*"', r'\1"<now>"', text))


class Real:
    """A container that was made with the words that were foreseen."""

    def __init__(self, pypod: Pypod, name: str) -> None:
        self.pypod = pypod
        record = pypod.inspect(name)
        self.id = record["Id"]
        self.monitor = record["State"]["ConmonPid"]
        assert pypod.graphroot and pypod.runroot
        self.userdata = pypod.graphroot / "overlay-containers" / self.id / "userdata"
        self.rundir = pypod.runroot / "overlay-containers" / self.id / "userdata"
        records = [
            row
            for file in ("containers.json", "volatile-containers.json")
            if (path := pypod.graphroot / "overlay-containers" / file).exists()
            for row in json.loads(path.read_text())
        ]
        self.layer = next(row.get("layer", "") for row in records if row["id"] == self.id)
        self.spec = json.loads((self.userdata / "config.json").read_text())
        self.network = json.loads((self.rundir / "state.json").read_text())["network"]

    def mounts(self) -> dict[str, tuple[str, list[str]]]:
        """What the monitor sees: mount point → type and options."""
        found = {}
        for line in Path(f"/proc/{self.monitor}/mountinfo").read_text().splitlines():
            left, _, right = line.partition(" - ")
            options = ",".join([left.split()[5], right.split()[2]])
            found[left.split()[4]] = (right.split()[0], options.split(","))
        return found


def compare(pypod: Pypod, foreseen: dict[str, Any], name: str) -> Real:
    """Hold a container that runs against what was said of it."""
    real = Real(pypod, name)
    ids = (foreseen["Id"], next((m["Upper"].split("/")[-2] for m in foreseen["Mounts"] if m["Upper"]), ""))
    theirs = (real.id, real.layer or (real.id if "rootfs-overlay" in str(foreseen["Mounts"]) else ""))
    if "rootfs-overlay" in str(foreseen["Mounts"]):
        ids, theirs = ids[:1], theirs[:1]
    assert plain(foreseen["Spec"], *ids) == plain(real.spec, *theirs)
    assert plain(foreseen["Monitor"], *ids) == plain(cmdline(real.monitor), *theirs)
    seen = real.mounts()
    for mount in plain(foreseen["Mounts"], *ids):
        if "idmap" in mount["Options"]:
            continue  # gone when the overlay is there
        kind, options = plain(seen, *theirs)[mount["Target"]]
        assert mount["Type"] in (kind, "bind")
        if kind == "overlay" and mount["Upper"]:
            assert {f"upperdir={mount['Upper']}", f"workdir={mount['Work']}"} <= set(options)
            lower = [word.partition("=")[2] for word in options if word.startswith("lowerdir")]
            if not any("/mapped/" in path for path in mount["Lower"]):
                assert ":".join(lower).lstrip(":") == ":".join(mount["Lower"])
        for word in mount["Options"]:
            if word in ("nosuid", "nodev", "noexec", "ro"):
                assert word in options
    return real


@pytest.fixture
def ready(pypod: Pypod, image: str, shared_dir: Path) -> Iterator[Path]:
    """A store with a named volume, secrets and a running container; a directory of the user's."""
    (shared_dir / "secret").write_text("hush")
    for name in ("mounted", "variable"):
        pypod("secret", "create", name, shared_dir / "secret").ok()
    pypod("volume", "create", "old").ok()
    pypod("run", "-d", "--name", "other", "--network", "none", image, *SLEEP).ok()
    yield shared_dir
    pypod("rm", "-f", "-a", "-t", "0").ok()
    pypod("secret", "rm", "-a").ok()
    pypod("volume", "prune", "-f").ok()
    pypod("volume", "rm", "-a", "-f")


CASES: dict[str, tuple[str, ...]] = {
    "plain": (),
    "rm": ("--rm", "--network", "none"),
    "mounts": (
        "--network", "none", "-v", "old:/old", "-v", "new:/home:ro", "-v", "/some/where", "-v", "/tmp:/mnt:ro",
        "--tmpfs", "/t", "--secret", "mounted", "--mount", "type=image,src=localhost/bb:1,dst=/img", "--shm-size=1m",
    ),
    "host": ("--network", "host", "--pid", "host", "--ipc", "host", "--uts", "host"),
    "joined": ("--network", "container:other", "--ipc", "container:other", "--pid", "container:other"),
    "user": (
        "--network", "none", "-u", "1234:5678", "-w", "/tmp", "--read-only", "--hostname", "h", "-e", "A=b",
        "--cap-add", "net_admin", "--cap-drop", "chown", "--ulimit", "nofile=100:100", "--tz=UTC", "--privileged",
    ),
    "added": ("--network=none", "-u", "1234", "--security-opt=no-new-privileges", "--device", "/dev/null:/dev/x"),
    "health": ("--network=none", "--health-cmd", "true", "--restart", "always", "--log-driver", "json-file", "-it"),
}  # fmt: skip


def test_what_is_said_is_what_happens(pypod: Pypod, image: str, ready: Path) -> None:
    for case, flags in CASES.items():
        words = ("--name", "x", *flags, image, *SLEEP)
        foreseen = foresee(pypod, "run", *words, place=ready)
        assert foreseen["Name"] == "x" and foreseen["Unknown"] == foreseen["Error"] == ""
        pypod("run", "-d", *words).ok()
        compare(pypod, foreseen, "x")
        pypod("rm", "-f", "-t", "0", "x").ok()
        made = [one["Name"] for one in foreseen["Actions"] if (one["Do"], one["What"]) == ("create", "volume")]
        assert ("new" in made) == (case == "mounts") and "old" not in made


def test_create_and_then_start(pypod: Pypod, image: str, ready: Path) -> None:
    words = ("--name", "x", "--network", "none", "--secret", "variable,type=env,target=S", image, *SLEEP)
    foreseen = foresee(pypod, "create", *words, place=ready)
    assert foreseen["Command"] == "create"
    assert "S=*******" in foreseen["Spec"]["process"]["env"] and "hush" not in json.dumps(foreseen)
    pypod("create", *words).ok()
    pypod("start", "x").ok()
    real = Real(pypod, "x")
    foreseen["Spec"]["process"]["env"] = [
        "S=hush" if entry.startswith("S=") else entry for entry in foreseen["Spec"]["process"]["env"]
    ]
    assert plain(foreseen["Spec"], foreseen["Id"]) == plain(real.spec, real.id) or (
        plain(foreseen["Spec"], foreseen["Id"], foreseen["Mounts"][-1]["Upper"].split("/")[-2])
        == plain(real.spec, real.id, real.layer)
    )


@pytest.mark.parametrize("userns", ["keep-id", "nomap", "--uidmap=0:100:5000"])
def test_an_id_mapping(pypod: Pypod, busybox_tar: Path, shared_dir: Path, userns: str) -> None:
    if not pypod.rootless and not userns.startswith("--"):
        return  # they are rootless users'
    flag = userns if userns.startswith("--") else f"--userns={userns}"
    # An image of its own: of the others there may be a copy for these ids already.
    image = pypod("import", "-q", "-c", f"ENV FOR={userns}", busybox_tar).ok().out.strip()
    words = ("--name", "x", "--network", "none", flag, "-v", "new:/v")
    first = foresee(pypod, "run", *words, image, *SLEEP, place=shared_dir)
    pypod("run", "-d", *words, image, *SLEEP).ok()
    pypod("rm", "-f", "-t", "0", "x").ok()
    pypod("volume", "rm", "new").ok()
    foreseen = foresee(pypod, "run", *words, image, *SLEEP, place=shared_dir)  # now the copy of the image is there
    pypod("run", "-d", *words, image, *SLEEP).ok()
    compare(pypod, foreseen, "x")
    copies = [one for one in first["Actions"] if one["Do"].startswith("copy")]
    assert bool(copies) == pypod.rootless or userns == "keep-id"
    assert not [one for one in foreseen["Actions"] if one["Do"].startswith("copy")]
    pypod("rm", "-f", "-t", "0", "x").ok()
    pypod("volume", "rm", "new").ok()
    pypod("rmi", image).ok()


@pytest.mark.parametrize("overlay", ["", ":O"])
def test_a_directory_as_root_file_system(pypod: Pypod, image: str, shared_dir: Path, overlay: str) -> None:
    pypod("create", "--name", "source", image, "true").ok()
    pypod("export", "-o", shared_dir / "fs.tar", "source").ok()
    (shared_dir / "fs").mkdir()
    (shared_dir / "fs").chmod(0o777)
    pypod.as_user("tar", "-xf", shared_dir / "fs.tar", "-C", shared_dir / "fs").ok()
    words = ("--name", "x", "--network", "none", "--rootfs", "-u", "77", f"{shared_dir}/fs{overlay}", *SLEEP)
    foreseen = foresee(pypod, "run", *words, place=shared_dir)
    pypod("run", "-d", *words).ok()
    compare(pypod, foreseen, "x")


def test_rootless_networks(pypod: Pypod, image: str, shared_dir: Path) -> None:
    port = str(20000 + os.getpid() % 900)
    for mode in ("pasta", "slirp4netns"):
        if not pypod.rootless:
            continue
        box.need(mode)
        words = ("--name", "x", "--network", mode, "-p", f"{port}:80", "-p", f"{port}:53/udp")
        foreseen = foresee(pypod, "run", *words, image, *SLEEP, place=shared_dir)
        assert foreseen["Network"]["Mode"] == mode
        pypod("run", "-d", *words, image, *SLEEP).ok()
        real = compare(pypod, foreseen, "x")
        steps = foreseen["Network"]["Steps"]
        said, runs = plain(steps[0]["Argv"], foreseen["Id"]), plain(cmdline(real.network["pid"]), real.id)
        end = said.index("--runas") if mode == "pasta" else None  # pasta writes on its own command line
        assert said[1:end] == runs[1:end]
        if mode == "slirp4netns":
            assert steps[1]["Input"]["arguments"]["host_port"] == int(port)
        pypod("rm", "-f", "-t", "0", "x").ok()


def test_bridges(pypod: Pypod, image: str, shared_dir: Path) -> None:
    for name in ("netavark", "aardvark-dns"):
        if not os.path.exists(f"/usr/lib/podman/{name}"):
            box.missing(f"{name} is not installed")
    nets = [f"dry{os.getpid()}{letter}" for letter in "ab"]
    for net in nets:
        pypod("network", "create", net).ok()
    try:
        port = str(21000 + os.getpid() % 900)
        words = ("--name", "x", "--network", f"{nets[0]}:alias=shop", "--network", nets[1], "-p", f"{port}:80")
        foreseen = foresee(pypod, "run", *words, image, *SLEEP, place=shared_dir)
        assert not any(Path(f"/run/pypod/networks/{net}.json").exists() for net in nets)
        pypod("run", "-d", *words, image, *SLEEP).ok()
        real = compare(pypod, foreseen, "x")
        (step,) = [one for one in foreseen["Network"]["Steps"] if one["Argv"][-2:-1] == ["setup"]]
        assert step["Argv"][:-2] == real.network["command"]
        assert plain(step["Input"], foreseen["Id"]) == plain(real.network["netavark"], real.id)
        taken = pypod("run", "--dry-run", "-p", f"{port}:80", "--network", nets[0], image, "true").fails(
            125, "cannot publish", port
        )
        assert taken.out == ""
    finally:
        pypod("rm", "-f", "-t", "0", "x").ok()
        for net in nets:
            pypod("network", "rm", net).ok()


def test_a_pod(pypod: Pypod, image: str, shared_dir: Path) -> None:
    pypod("pod", "create", "--name", "p", "--network", "none").ok()
    try:
        words = ("--name", "x", "--pod", "p")
        idle = foresee(pypod, "run", *words, image, *SLEEP, place=shared_dir)
        assert [one["What"] for one in idle["Actions"] if one["Do"] == "start"] == ["container"]
        pypod("pod", "start", "p").ok()
        foreseen = foresee(pypod, "run", *words, image, *SLEEP, place=shared_dir)
        assert plain(foreseen["Spec"], foreseen["Id"]) != {} and not [
            one for one in foreseen["Actions"] if one["Do"] == "start"
        ]
        assert plain(idle["Spec"], idle["Id"], layer(idle)) == plain(
            foreseen["Spec"], foreseen["Id"], layer(foreseen)
        )
        pypod("run", "-d", *words, image, *SLEEP).ok()
        compare(pypod, foreseen, "x")
        new = foresee(pypod, "run", "--pod", "new:q", image, *SLEEP, place=shared_dir)
        assert new["Unknown"] and new["Spec"] is None
        assert new["Actions"][0] == {"Do": "make", "What": "pod", "Name": "q"}
        for bad in (("--pod", "new:"), ("--pod", "new:p"), ("--pod", "new:q", "--cap-add", "everything")):
            done, real = (pypod("run", *flags, *bad, image, *SLEEP) for flags in (("--dry-run",), ()))
            assert (done.code, done.err, done.out) == (real.code, real.err, "") and done.code
    finally:
        pypod("pod", "rm", "-f", "-t", "0", "p").ok()


def layer(foreseen: dict[str, Any]) -> str:
    upper: str = next(mount["Upper"] for mount in foreseen["Mounts"] if mount["Upper"])
    return upper.split("/")[-2]


def test_the_runtime_is_called_so(pypod: Pypod, image: str, shared_dir: Path) -> None:
    """By a runtime that writes its words down."""
    (shared_dir / "log").touch()
    (shared_dir / "log").chmod(0o666)
    real = next(path for path in ("/usr/sbin/runc", "/usr/bin/runc", "/usr/bin/crun") if os.path.exists(path))
    wrapper = shared_dir / os.path.basename(real)
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "$0 $*" >> {shared_dir}/log\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    words = ("--runtime", wrapper, "run", "--name", "x", "--network", "none")
    foreseen = pypod(*words, "--dry-run=json", "--preserve-fds", "0", image, *SLEEP).ok().json
    assert (shared_dir / "log").read_text() == ""
    pypod(*words, "-d", image, *SLEEP).ok()
    called = [line.split() for line in (shared_dir / "log").read_text().splitlines()]
    id = Real(pypod, "x").id
    pypod("rm", "-f", "-t", "0", "x").ok()  # while its runtime is there
    assert plain(foreseen["Runtime"], foreseen["Id"]) == plain(called[:2], id)


REFUSED: dict[str, tuple[str, ...]] = {
    "a name": ("--name", "-x", "IMAGE"),
    "a name in use": ("--name", "other", "IMAGE", "true"),
    "no image": ("--pull", "never", "nothing:1"),
    "pull policy": ("--pull", "perhaps", "IMAGE"),
    "a host path": ("-v", "/does/not/exist:/x", "IMAGE", "true"),
    "a network": ("--network", "nowhere", "IMAGE", "true"),
    "a container": ("--network", "container:nobody", "IMAGE", "true"),
    "a capability": ("--cap-add", "everything", "IMAGE", "true"),
    "a size": ("--memory", "much", "IMAGE", "true"),
    "a secret": ("--secret", "none", "IMAGE", "true"),
    "a pod": ("--pod", "none", "IMAGE", "true"),
    "a user": ("-u", "nobody-here", "--network", "none", "IMAGE", "true"),
    "a working directory": ("-w", "/not/there", "--network", "none", "IMAGE", "true"),
    "a port in use": ("--network", "PRIVATE", "-p", "127.0.0.1:PORT:80", "IMAGE", "true"),
    "an id file": ("--cidfile", "FILE", "IMAGE", "true"),
    "streams": ("-d", "-a", "stdout", "IMAGE", "true"),
    "replace": ("--replace", "IMAGE", "true"),
}


def test_bad_input_fails_alike(pypod: Pypod, image: str, ready: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        private = "slirp4netns" if pypod.rootless else "bridge"
        known = {"IMAGE": image, "FILE": str(ready / "secret"), "PRIVATE": private}
        for what, words in REFUSED.items():
            line = [known.get(word, word).replace("PORT", port) for word in words]
            foreseen = dry(pypod, "run", "--dry-run", "--rm", *line, place=ready)
            real = pypod("run", "--rm", *line)
            assert foreseen.code == real.code != 0, (what, foreseen, real)
            one, two = (re.sub(r"[0-9a-f]{64}", "<id>", done.err) for done in (foreseen, real))
            assert one == two, what
            assert foreseen.out == ""
    # What `create` does not look at is told, and no error.
    told = foresee(pypod, "create", "-w", "/not/there", "--network", "none", image, "true", place=ready)
    assert "/not/there" in told["Error"] and told["Spec"] is None
    assert pypod("create", "-w", "/not/there", "--network", "none", image, "true").code == 0


def test_an_image_that_is_not_here(fresh: Pypod) -> None:
    """And a store that has nothing yet."""
    told = foresee(fresh, "run", "docker.io/library/nothing:1", "true")
    assert told["Unknown"] and told["Spec"] is None
    assert told["Actions"] == [{"Do": "pull", "What": "image", "Name": "docker.io/library/nothing:1"}]
    out = dry(fresh, "run", "--dry-run", "hello").ok().out
    assert "make from the package image hello" in out


def test_for_people(pypod: Pypod, image: str, ready: Path) -> None:
    words = ("--name", "x", "--network", "none", "-v", "new:/v", image, "echo", "hello world")
    out = dry(pypod, "run", "--dry-run", *words, place=ready).ok().out
    for text in (
        "create volume new",
        "Mounts by pypod, in order:",
        " on /v ",
        "Network none\n",
        '"args": [',
        "lower /",
    ):
        assert text in out, text
    assert (
        pypod("run", "--dry-run", "--rm", "--name", "other", "--replace", image, "true")
        .ok()
        .out.count("remove container other")
        == 1
    )
    assert pypod.state("other") == "running"
