"""podman 5, buildah 1.39 and skopeo 1.18 on a store of ours: Debian 13 in a directory, with the store mounted in.

The directory is made once by mmdebstrap (20 s, 420 MB) and goes with the session, unless PYPOD_TEST_CACHE keeps it.
To look by hand: mmdebstrap --variant=minbase --include=PACKAGES trixie DIR MIRROR, then ENTER below.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

import conmon
from interop.test_storage import difficult_layers, docker_archive
from support import box
from support.registry import Registry
from support.runner import Pypod

pytestmark = pytest.mark.parametrize("mode", ["root"], indirect=True)
PACKAGES = "podman,skopeo,buildah,crun,netavark,ca-certificates"
# A root file system of its own: podman unpacks in a chroot that must be a mount point. crun wants cgroups v2 alone.
ENTER = """
set -e
mount --bind "$1" "$1"
cd "$1"
mkdir -p old store
mount --bind "$2" store
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
pivot_root . old
umount -l old
exec sh -c "$3"
"""
VARIABLES = """
export PODMAN_IGNORE_CGROUPSV1_WARNING=1
places='--root /store/g --runroot /store/r --storage-driver overlay'
podman() { /usr/bin/podman $places --cgroup-manager cgroupfs --events-backend file --runtime /usr/bin/crun "$@"; }
buildah() { /usr/bin/buildah $places "$@"; }
set -e
"""


PARTIAL = """
[storage]
driver = "overlay"
graphroot = "/store/g"
runroot = "/store/r"
[storage.options]
pull_options = { enable_partial_images = "true" }
"""


@pytest.fixture(scope="module")
def trixie(base: Path) -> Iterator[Path]:
    if not box.ROOT:
        pytest.skip("a root file system of one's own needs root")
    cache = os.environ.get("PYPOD_TEST_CACHE")
    path = Path(cache or base) / "trixie"
    if cache and path.exists():
        yield path
        return
    argv = [box.need("mmdebstrap"), "-q", "--variant=minbase", f"--include={PACKAGES}", "trixie", str(path)]
    done = subprocess.run([*argv, "http://deb.debian.org/debian"], check=False, timeout=300)
    assert done.returncode == 0, "mmdebstrap failed"
    yield path
    if not cache:
        subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)


@pytest.fixture
def five(trixie: Path, fresh: Pypod) -> Iterator[Five]:
    yield Five(trixie, fresh)


class Five:
    def __init__(self, root: Path, pypod: Pypod) -> None:
        self.root = root
        self.pypod = pypod

    def __call__(self, script: str, *, says: str = "") -> list[str]:
        """Run ``script`` in there; its lines. Nothing but ``says`` may be on stderr."""
        assert self.pypod.graphroot is not None
        argv = ["unshare", "-m", "sh", "-c", ENTER, "sh", str(self.root), str(self.pypod.graphroot.parent)]
        env = {name: value for name, value in os.environ.items() if name != "TMPDIR"}  # a place that is not in there
        done = subprocess.run(
            [*argv, VARIABLES + script], check=False, capture_output=True, text=True, timeout=120, env=env
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        left = [line for line in done.stderr.splitlines() if not says or says not in line]
        assert not left, f"{script}\n{done.stderr}"
        return done.stdout.splitlines()


def test_podman_5_on_our_image(five: Five, busybox_tar: Path, shared_dir: Path) -> None:
    """It lists, runs, commits, copies out and checks what we stored; its volatile containers keep our image."""
    pypod = five.pypod
    layers = difficult_layers(busybox_tar)
    pypod("load", "-q", "-i", docker_archive(shared_dir / "a.tar", layers, "localhost/ours:1")).ok()
    [known] = pypod("images", "--no-trunc", "--format", "{{.ID}} {{.Digest}}").ok().lines
    assert five("podman images --no-trunc --format '{{.ID}} {{.Digest}}'") == [known]
    assert five("podman run --rm --cgroups disabled --network none ours:1 cat /srv/new /twice") == ["newsecond"]
    assert five("podman system check --quick && podman system check") == []
    copy = "skopeo copy -q containers-storage:[overlay@/store/g+/store/r]localhost/ours:1 oci:/tmp/out:x"
    config = "skopeo inspect --config --format '{{len .RootFS.DiffIDs}}' oci:/tmp/out:x"
    assert five(f"{copy}; {config}; skopeo copy -q oci:/tmp/out:x dir:/tmp/again") == ["3"]
    five("podman create -q --rm --name v --network none ours:1 true; podman create -q --name k ours:1 true")
    assert (Path(str(pypod.graphroot)) / "overlay-containers" / "volatile-containers.json").exists()
    shown = {line.split()[-1] for line in pypod("ps", "-a", "--external").ok().lines[1:]}
    assert shown == {"k", "v"}
    pypod("rmi", "ours:1").fails(2, "in use")
    pypod("create", "--name", "v", "ours:1", "true").fails(125, "already in use")
    five("podman rm k >/dev/null", says="Refreshing container")
    pypod("rmi", "ours:1").fails(2, "in use")
    five("podman commit -q v theirs:1 >/dev/null; podman rm v >/dev/null", says="Refreshing container")
    assert pypod("run", "--rm", "theirs:1", "cat", "/srv/new").ok().out == "new"
    pypod("rmi", "theirs:1").ok()
    pypod("rmi", "ours:1").ok()
    assert five("podman images -qa; podman system check") == []


def test_we_on_podman_5s_image(five: Five, busybox_tar: Path, shared_dir: Path) -> None:
    """And the other way round, with buildah; podman refuses to remove what a container of ours uses."""
    pypod = five.pypod
    assert pypod.graphroot is not None
    (pypod.graphroot.parent / "bb.tar").write_bytes(busybox_tar.read_bytes())
    five("podman import -q /store/bb.tar five:1 >/dev/null")
    assert pypod("run", "--rm", "five:1", "echo", "x").ok().out == "x\n"
    pypod("create", "--name", "mine", "five:1", "true").ok()
    assert five("podman rmi five:1 2>&1 || echo refused")[-1] == "refused"
    pypod("commit", "-q", "mine", "more:1").ok()
    assert five("podman run --rm --cgroups disabled --network none more:1 echo y") == ["y"]
    built = "c=$(buildah from --pull-never more:1); buildah commit -q $c built:1 >/dev/null; buildah rm $c >/dev/null"
    five(built)
    assert pypod("run", "--rm", "built:1", "echo", "z").ok().out == "z\n"
    five("podman tag five:1 other:1; podman untag five:1 five:1; podman system check")
    assert "localhost/other:1" in pypod("images", "--format", "{{.Repository}}:{{.Tag}}").ok().lines
    pypod("rm", "mine").ok()
    five("podman rmi -a -f >/dev/null")
    assert pypod("images", "-qa").ok().out == "" and pypod("system", "check", "-m", "0s").ok().out == ""
    graphroot = Path(str(pypod.graphroot))
    assert list((graphroot / "overlay" / "l").iterdir()) == []


def test_podman_5_takes_parts_of_a_chunked_image(five: Five, busybox_tar: Path, shared_dir: Path) -> None:
    """zstd:chunked as we push it: podman fetches by the table of contents, and the image is the same."""
    pypod = five.pypod
    layers = difficult_layers(busybox_tar)
    pypod("load", "-q", "-i", docker_archive(shared_dir / "a.tar", layers[:1], "localhost/ours:1")).ok()
    [known] = pypod("images", "--no-trunc", "--format", "{{.ID}}").ok().lines
    with Registry() as registry:
        name = f"127.0.0.1:{registry.port}/chunked:1"
        pypod("push", "-q", "--tls-verify=false", "--compression-format", "zstd:chunked", "ours:1", name).ok()
        pypod("rmi", "ours:1").ok()
        registry.forget()
        assert pypod.graphroot
        (pypod.graphroot.parent / "storage.conf").write_text(PARTIAL)
        podman = "CONTAINERS_STORAGE_CONF=/store/storage.conf /usr/bin/podman --log-level debug"
        pull = f"{podman} pull --tls-verify=false {name} 2>&1"
        said = "\n".join(five(pull))
        assert "Retrieved partial blob" in said, said
        assert registry.partial
        assert five("podman images --no-trunc --format '{{.ID}}'") == [known]
        assert five(f"podman run --rm --cgroups disabled --network none {name} echo hi") == ["hi"]
        # And what it has taken so can be pushed by us.
        back = f"127.0.0.1:{registry.port}/back:1"
        pypod("push", "-q", "--tls-verify=false", name, back).ok()
        # podman writes the same table of contents, but for the chunks that it cuts large files into.
        theirs = f"127.0.0.1:{registry.port}/theirs:1"
        five(f"podman push -q --tls-verify=false --compression-format zstd:chunked {name} {theirs}")
        ours, podmans = table(registry, "chunked"), table(registry, "theirs")
        assert list(ours) == list(podmans)
        for path, entry in ours.items():
            assert entry == {**podmans[path], **{key: entry[key] for key in PLACES if key in entry}}


PLACES = ("offset", "endOffset")


def table(registry: Registry, repository: str) -> dict[str, dict[str, Any]]:
    """The table of contents of a chunked layer in the registry."""

    def get(place: str) -> bytes:
        request = urllib.request.Request(f"{registry.url}/v2/{repository}/{place}")
        request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
        with urllib.request.urlopen(request) as answer:
            data: bytes = answer.read()
        return data

    [layer] = json.loads(get("manifests/1"))["layers"]
    position = layer["annotations"]["io.github.containers.zstd-chunked.manifest-position"]
    start, size = map(int, position.split(":")[:2])
    packed = get(f"blobs/{layer['digest']}")[start : start + size]
    document = json.loads(zstandard.ZstdDecompressor().decompressobj().decompress(packed))
    found: dict[str, dict[str, Any]] = {}
    for entry in document["entries"]:
        if entry["type"] != "chunk":
            found[entry["name"]] = {key: value for key, value in entry.items() if not key.startswith("chunk")}
    return found


def test_sigstore_signatures(five: Five, busybox_tar: Path) -> None:
    """skopeo signs, and attaches that to the image; pypod verifies, and keeps the signature as skopeo reads it."""
    pypod = five.pypod
    assert pypod.graphroot is not None
    store = pypod.graphroot.parent
    home = {"HOME": str(store)}
    (store / ".config/containers/registries.d").mkdir(parents=True)
    (store / ".config/containers/registries.d/a.yaml").write_text(
        "default-docker:\n  use-sigstore-attachments: true\n"
    )
    skopeo = "skopeo --insecure-policy --registries.d /store/.config/containers/registries.d"
    pypod("import", "-q", busybox_tar, "localhost/bb:1").ok()
    pypod("push", "-q", "localhost/bb:1", f"dir:{store}/d").ok()
    pypod("rmi", "bb:1").ok()
    with Registry() as registry:
        image = f"127.0.0.1:{registry.port}/signed:1"
        five(
            f"echo x > /tmp/pw; cd /store; for k in good other; do skopeo generate-sigstore-key --output-prefix $k "
            f"--passphrase-file /tmp/pw >/dev/null; done; {skopeo} copy -q --dest-tls-verify=false "
            f"--sign-by-sigstore-private-key good.private --sign-passphrase-file /tmp/pw dir:d docker://{image}"
        )
        policy = store / "policy.json"
        for key in ("other", "good"):
            required = {"type": "sigstoreSigned", "keyPath": str(store / f"{key}.pub")}
            policy.write_text(json.dumps({"default": [required]}))
            pull = pypod("pull", "-q", "--tls-verify=false", "--signature-policy", policy, image, env=home)
            if key == "other":
                pull.fails(
                    125, "Source image rejected: Invalid signature: cryptographic signature verification failed"
                )
        pull.ok()
        five(f"{skopeo} copy -q --src-tls-verify=false docker://{image} dir:/store/theirs")
    [kept] = pypod.graphroot.glob("overlay-images/*/signatures")
    assert kept.read_bytes() == (store / "theirs/signature-1").read_bytes()


def test_lists_of_images(five: Five, busybox_tar: Path) -> None:
    """Each extends, annotates, reads and removes the other's list, and finds its image."""
    pypod = five.pypod
    pypod("import", busybox_tar, "bb:1").ok()
    pypod("import", "--arch", "arm64", busybox_tar, "bb:arm").ok()
    id = pypod("manifest", "create", "ours", "bb:1").ok().out.strip()
    assert five("podman manifest add ours containers-storage:localhost/bb:arm") == [id]
    document = pypod("manifest", "inspect", "ours").ok().json
    assert [item["platform"]["architecture"] for item in document["manifests"]] == ["amd64", "arm64"]
    arm = document["manifests"][1]["digest"]
    five(f"podman manifest annotate --annotation k=v ours {arm} >/dev/null")
    five("podman manifest annotate --index --annotation top=1 ours >/dev/null")
    document = pypod("manifest", "inspect", "ours").ok().json
    assert document["annotations"] == {"top": "1"} and document["manifests"][1]["annotations"] == {"k": "v"}
    assert json.loads("".join(five("podman manifest inspect ours"))) == document
    assert five("podman image inspect --format '{{.Architecture}}' ours") == ["amd64"]

    [theirs] = five("podman manifest create theirs bb:1")
    assert pypod("manifest", "exists", "theirs").code == 0
    pypod("manifest", "add", "--annotation", "a=b", "theirs", "bb:arm").ok()
    document = json.loads("".join(five("podman manifest inspect theirs")))
    assert document["manifests"][1]["annotations"] == {"a": "b"}
    assert pypod("run", "--rm", "theirs", "echo", "x").ok().out == "x\n"
    pypod("manifest", "remove", "theirs", arm).ok()
    assert len(json.loads("".join(five("podman manifest inspect theirs")))["manifests"]) == 1
    assert five("podman system check") == []
    pypod("system", "check").ok()
    assert five(f"podman manifest rm ours | grep {id}") == [f"Deleted: {id}"]
    assert f"Deleted: {theirs}" in pypod("manifest", "rm", "theirs").ok().lines
    assert len(five("podman images -qa; podman system check")) == 2


# A terminal for podman's side is made by script(1): its own may not be one.
MONITOR = """
p() { podman --conmon /store/conmon "$@"; }
run() { p run --cgroups disabled --network none "$@"; }
run --rm bb:1 sh -c 'echo out; exit 3' || echo "status $?"
echo in | run --rm -i bb:1 cat
run -d --name c bb:1 sh -c 'trap "exit 10" TERM; echo up; while :; do sleep 0.05; done' >/dev/null
until p logs c | grep up; do sleep 0.05; done
readlink /proc/$(p inspect -f '{{.State.ConmonPid}}' c)/exe
p exec c sh -c 'exit 42' || echo "exec $?"
p exec c nosuch 2>/dev/null || echo "exec $?"
tty="/usr/bin/podman $places --cgroup-manager cgroupfs --events-backend file --runtime /usr/bin/crun"
tty="$tty --conmon /store/conmon exec -it c sh -c 'test -t 0 && echo terminal; exit 5'"
{ script -qec "$tty" /dev/null </dev/null || echo "exec $?"; } | tr -d '\\r'
p stop -t 10 c
p inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' c
p start c
p kill c
p wait c
run --name big --log-opt max-size=16kb bb:1 seq 1000 1499 >/dev/null
log=$(p inspect -f '{{.HostConfig.LogConfig.Path}}' big)
cat $log.1 $log | cut -d' ' -f4 | sha256sum
p rm -f -t 0 c big | sort
"""


def test_our_monitor_under_podman_5(five: Five, busybox_tar: Path) -> None:
    pypod = five.pypod
    assert pypod.graphroot is not None
    monitor = pypod.graphroot.parent / "conmon"
    shutil.copy(conmon.MONITOR, monitor)
    pypod("import", busybox_tar, "localhost/bb:1").ok()
    numbers = hashlib.sha256(b"".join(b"%d\n" % number for number in range(1000, 1500))).hexdigest()
    assert five(MONITOR, says="Refreshing container") == [
        *("out", "status 3", "in", "up", "/store/conmon", "exec 42", "exec 127", "terminal", "exec 5"),
        *("c", "exited 10 false", "c", "c", "137", f"{numbers}  -", "big", "c"),
    ]
