"""``container checkpoint`` and ``restore``: what is refused, a criu that fails, what the runtime is told, archives.

That processes really go on where they were is seen in tests/vm, where criu works. Here a runtime stands in for criu:
runc itself, but for two verbs. It shows the arguments and the states, and nothing of criu.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod

# checkpoint leaves a file and ends the container; restore makes it anew.
RUNTIME = """#!/bin/sh
echo "$*" >>LOG
case " $* " in
*" checkpoint "*)
    for word; do
        case $before in --image-path) images=$word ;; --work-path) work=$word ;; esac
        before=$word
    done
    for id; do :; done
    [ -e FAIL ] && { echo '(00.1) Error (criu/made-up.c:1): it is Monday' >$work/dump.log; exit 1; }
    echo image >$images/pages-1.img
    echo log >$work/dump.log
    case " $* " in *--leave-running*|*--pre-dump*) exit 0 ;; esac
    exec RUNC --root ROOT kill $id KILL ;;
*" restore "*)
    for word; do
        case $before in --image-path) images=$word ;; --bundle) bundle=$word ;; --pid-file) file=$word ;; esac
        before=$word
    done
    for id; do :; done
    [ -e FAIL ] && { echo '(00.1) Error (criu/made-up.c:2): it still is' >$bundle/restore.log; exit 1; }
    [ -e $images/pages-1.img ] || exit 1
    RUNC --root ROOT create --bundle $bundle --pid-file $file $id && exec RUNC --root ROOT start $id ;;
*) exec RUNC "$@" ;;
esac
"""


class Stand:
    """pypod with the runtime that stands in for criu."""

    def __init__(self, pypod: Pypod, place: Path) -> None:
        box.need("criu")
        self.log, self.fail = place / "log", place / "fail"
        program = place / "runc"
        root = f"{pypod.runroot}/pypod/runc"
        text = RUNTIME.replace("RUNC", box.need("runc")).replace("ROOT", root)
        program.write_text(text.replace("LOG", str(self.log)).replace("FAIL", str(self.fail)))
        program.chmod(0o755)
        self.pypod = pypod.with_options("--runtime", str(program))

    def told(self, verb: str) -> list[str]:
        """The arguments of the last call of a verb, from the verb on."""
        words = [line.split() for line in self.log.read_text().splitlines() if f" {verb} " in line][-1]
        return words[words.index(verb) :]


def plain(data: bytes) -> bytes:
    """Without zstd's compression."""
    import zstandard

    unpacked: bytes = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return unpacked


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def stand(pypod: Pypod, shared_dir: Path) -> Iterator[Stand]:
    yield Stand(pypod, shared_dir)
    pypod("rm", "-f", "-a", "-t", "0").ok()  # while their runtime is there


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
def test_rootless_is_refused(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", image, "sleep", "1000").ok()
    pypod("container", "checkpoint", "c").fails(125, "checkpointing a container requires root")
    pypod("container", "restore", "c").fails(125, "restoring a container requires root")
    assert pypod.state("c") == "running"


@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_without_criu(pypod: Pypod, image: str) -> None:
    criu = box.need("criu")
    pypod("run", "-d", "--name", "c", image, "sleep", "1000").ok()
    script = f'mount --bind /dev/null {criu} && exec "$@"'
    hidden = ("unshare", "-m", "sh", "-c", script, "sh")
    for verb in ("checkpoint", "restore"):
        done = pypod.as_user(*hidden, *pypod.argv("container", verb, "c"))
        done.fails(125, "checkpoint/restore requires criu", "apt-get install criu")
    assert pypod.state("c") == "running"


def test_wrong_uses(pypod: Pypod) -> None:
    pypod("container", "checkpoint", "--ignore-rootfs", "c").fails(125, "can only be used with --export")
    pypod("container", "checkpoint", "--pre-checkpoint", "--with-previous", "c").fails(125, "--with-previous")
    pypod("container", "restore").fails(125, "at least one name or id")
    pypod("container", "restore", "--name", "x", "c").fails(125, "can only be used with --import")
    pypod("container", "restore", "-i", "x", "-n", "y", "--tcp-established").fails(125, "cannot be used with --name")
    pypod("container", "restore", "-i", "x", "c").fails(125, "cannot use --import with a container")


@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_a_real_criu_that_fails_harms_nothing(pypod: Pypod, image: str, shared_dir: Path) -> None:
    if pypod.as_user(box.need("criu"), "check").code == 0:
        pytest.skip("criu works here: see tests/vm")
    pypod("run", "-d", "--name", "c", image, "sleep", "1000").ok()
    pid = pypod.pid("c")
    archive = shared_dir / "archive"
    done = pypod("container", "checkpoint", "--export", archive, "c").fails(125, "cannot checkpoint container c")
    assert "criu" in done.err and not archive.exists()
    assert (pypod.state("c"), pypod.pid("c")) == ("running", pid)
    assert pypod("exec", "c", "echo", "here").ok().out == "here\n"
    pypod("stop", "-t", "0", "c").ok()


@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_the_states(stand: Stand, image: str) -> None:
    pypod = stand.pypod
    pypod("run", "-d", "--name", "c", "--restart", "always", image, "sleep", "1000").ok()
    pypod("container", "restore", "c").fails(125, "is running")
    assert pypod("container", "checkpoint", "--leave-running", "c").ok().out == "c\n"
    state = pypod.inspect("c")["State"]
    assert state["Status"] == "running" and "Checkpointed" not in state
    pypod("container", "checkpoint", "--keep", "--file-locks", "c").ok()
    state = pypod.inspect("c")["State"]
    assert state["Status"] == "exited" and state["Checkpointed"] and not state["CheckpointedAt"].startswith("0001")
    assert Path(state["CheckpointLog"]).read_text() == "log\n" and os.path.isdir(state["CheckpointPath"])
    told = stand.told("checkpoint")
    assert told[1:6:2] == ["--image-path", "--work-path", "--file-locks"] and told[6:8] == ["--empty-ns", "network"]
    pypod("container", "checkpoint", "c").fails(125, "is not running, cannot checkpoint")
    stats = pypod("container", "restore", "--keep", "--file-locks", "--print-stats", "c").ok().json
    assert stats["podman_restore_duration"] >= stats["container_statistics"][0]["runtime_restore_duration"] > 0
    told = stand.told("restore")
    assert told[1] == "--detach" and "--file-locks" in told and told[-3:-1] == ["--empty-ns", "network"]
    state = pypod.inspect("c")["State"]
    assert state["Status"] == "running" and state["Restored"] and state["RestoreLog"].endswith("/restore.log")
    assert "Checkpointed" not in state and not state["RestoredAt"].startswith("0001")
    pypod("container", "checkpoint", "--all").ok()
    assert pypod("container", "restore", "--all").ok().lines == [pypod.inspect("c")["Id"]]
    assert not os.path.exists(state["RestoreLog"].replace("restore.log", "checkpoint"))
    pypod("stop", "-t", "0", "c").ok()
    pypod("container", "restore", "c").fails(125, "a checkpoint for container c cannot be found")
    pypod("create", "--name", "needed", image, "sleep", "1000").ok()
    pypod("create", "--name", "needs", "--requires", "needed", image, "true").ok()
    pypod("container", "restore", "needs").fails(125, "a checkpoint for container needs cannot be found")
    assert pypod.state("needed") == "created"
    told = pypod("events", "--stream=false", "--filter", "container=c", "--format", "{{.Status}}").ok().lines
    assert told.count("checkpoint") == 3 and told.count("restore") == 2


@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_a_pre_checkpoint(stand: Stand, image: str) -> None:
    pypod = stand.pypod
    pypod("run", "-d", "--name", "c", "--network", "host", image, "sleep", "1000").ok()
    pypod("container", "checkpoint", "--with-previous", "c").fails(125, "no pre-checkpoint")
    pypod("container", "checkpoint", "--pre-checkpoint", "c").ok()
    assert pypod.state("c") == "running" and stand.told("checkpoint")[5:-1] == ["--pre-dump"]
    pypod("container", "checkpoint", "--with-previous", "--tcp-established", "c").ok()
    assert stand.told("checkpoint")[5:-1] == ["--tcp-established", "--parent-path", "../pre-checkpoint"]
    pypod("container", "restore", "--tcp-established", "c").ok()
    assert "--tcp-established" in stand.told("restore")


@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_a_criu_that_fails(stand: Stand, image: str) -> None:
    pypod = stand.pypod
    pypod("run", "-d", "--name", "c", image, "sleep", "1000").ok()
    stand.fail.touch()
    pypod("container", "checkpoint", "c").fails(125, "it is Monday", "dump.log")
    assert pypod.state("c") == "running"
    stand.fail.unlink()
    pypod("container", "checkpoint", "c").ok()
    stand.fail.touch()
    pypod("container", "restore", "c").fails(125, "it still is", "restore.log")
    assert pypod.inspect("c")["State"]["Checkpointed"]
    stand.fail.unlink()
    pypod("container", "restore", "c").ok()
    assert pypod.state("c") == "running"


@pytest.mark.parametrize("compress", ["zstd", "gzip", "none"])
@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_the_archive(stand: Stand, image: str, shared_dir: Path, compress: str) -> None:
    pypod = stand.pypod
    path = shared_dir / "archive"
    script = "echo new >/new; rm /etc/group; echo v >/v/f; echo s >/dev/shm/f; echo up; exec sleep 1000"
    pypod("run", "-d", "--name", "c", "-v", "cvol:/v", "-l", "a=b", image, "sh", "-c", script).ok()
    pypod.wait_log("c", "up")
    pypod("container", "checkpoint", "--export", path, "--compress", compress, "c").ok()
    data = path.read_bytes()
    if compress == "zstd":
        data = plain(data)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz" if compress == "gzip" else "r:") as archive:
        names = set(archive.getnames())
        assert {
            *("checkpoint", "checkpoint/pages-1.img", "config.dump", "spec.dump", "rootfs-diff.tar", "deleted.files"),
            *("devshm-checkpoint.tar", "dump.log", "volumes/cvol.tar"),
        } == names
        config = json.load(archive.extractfile("config.dump") or io.BytesIO())
        assert config["name"] == "c" and config["rootfsImageName"] == image and config["labels"] == {"a": "b"}
        assert json.load(archive.extractfile("deleted.files") or io.BytesIO()) == ["etc/group"]
        assert json.load(archive.extractfile("spec.dump") or io.BytesIO())["process"]["args"][0] == "sh"
        with tarfile.open(fileobj=archive.extractfile("rootfs-diff.tar")) as inner:
            assert "new" in inner.getnames()
    old = pypod.inspect("c")["Id"]
    pypod("container", "restore", "--import", path).fails(125, "already")
    pypod("rm", "c").ok()
    pypod("container", "restore", "--import", path).fails(125, "volume with name cvol already exists")
    pypod("volume", "rm", "cvol").ok()
    try:
        assert pypod("container", "restore", "--import", path).ok().out.strip() == old
        script = "cat /new /v/f; [ ! -e /etc/group ] && echo gone"
        assert pypod("exec", "c", "sh", "-c", script).ok().lines == ["new", "v", "gone"]
        pypod("container", "restore", "--import", path, "--name", "d", "--ignore-volumes", "--ignore-rootfs").ok()
        assert pypod.inspect("d")["Id"] != old and pypod.inspect("d")["State"]["Restored"]
    finally:
        pypod("rm", "-f", "-a", "-t", "0").ok()
        pypod("volume", "rm", "cvol").ok()


@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_an_import_that_fails_leaves_nothing(stand: Stand, image: str, shared_dir: Path) -> None:
    pypod = stand.pypod
    path = shared_dir / "archive"
    pypod("run", "-d", "--rm", "--name", "c", image, "sleep", "1000").ok()
    pypod("container", "checkpoint", "c").fails(125, "--rm", "--export")
    pypod("container", "checkpoint", "-e", path, "c").ok()
    assert pypod.names() == []
    stand.fail.touch()
    pypod("container", "restore", "-i", path).fails(125, "it still is")
    assert pypod.names() == []
    for name, content in (("empty", b""), ("noise", b"noise" * 1000)):
        (shared_dir / name).write_bytes(content)
        pypod("container", "restore", "-i", shared_dir / name).fails(125)
    write_archive(shared_dir / "podmans", {"checkpoint/x": b"", "config.dump": b'{"id": "0123", "name": "x"}'})
    pypod("container", "restore", "-i", shared_dir / "podmans").fails(125, "not made by pypod")
    with tarfile.open(fileobj=io.BytesIO(plain(path.read_bytes()))) as archive:
        config = json.load(archive.extractfile("config.dump") or io.BytesIO())
    for key, value, word in (("id", "../../../x", "no id"), ("name", "../x", "name")):
        changed = {**config, "pypod": {**config["pypod"], key: value}}
        write_archive(shared_dir / "hostile", {"checkpoint/x": b"", "config.dump": json.dumps(changed).encode()})
        pypod("container", "restore", "-i", shared_dir / "hostile").fails(125, word)
    with tarfile.open(shared_dir / "hostile", "w") as archive:
        info = tarfile.TarInfo("config.dump")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    pypod("container", "restore", "-i", shared_dir / "hostile").fails(125, "is a link")
    assert pypod.names() == [] and not list(Path(str(pypod.graphroot), "pypod").glob("restoring-*"))


@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_an_import_leaves_the_container_that_is_there(stand: Stand, image: str, shared_dir: Path) -> None:
    pypod = stand.pypod
    path = shared_dir / "archive"
    pypod("run", "-d", "--name", "c", image, "sh", "-c", "echo mine >/mine; exec sleep 1000").ok()
    pypod("container", "checkpoint", "-e", path, "c").ok()
    pypod("rename", "c", "renamed").ok()
    pypod("container", "restore", "-i", path).fails(125, "here already, as renamed", "--name")
    assert pypod.inspect("renamed")["State"]["Checkpointed"]
    pypod("container", "restore", "renamed").ok()
    pypod("container", "restore", "-i", path).fails(125, "here already, as renamed")
    assert pypod("exec", "renamed", "cat", "/mine").ok().out == "mine\n"


@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_an_export_that_fails_keeps_the_checkpoint(stand: Stand, image: str, shared_dir: Path) -> None:
    """What has been checkpointed runs no more: if its archive cannot be written, it must not be removed, too."""
    pypod = stand.pypod
    pypod("run", "-d", "--rm", "--name", "c", image, "sleep", "1000").ok()
    place = shared_dir / "small"
    place.mkdir()
    script = f'mount -t tmpfs -o size=4k small {place} && exec "$@"'
    words = pypod.argv("container", "checkpoint", "-e", place / "archive", "c")
    pypod.as_user("unshare", "-m", "sh", "-c", script, "sh", *words).fails(125, "No space left")
    pypod("container", "cleanup", "c").ok()  # as the exit command does
    assert pypod.inspect("c")["State"]["Checkpointed"]
    pypod("container", "restore", "c").ok()
    assert pypod.state("c") == "running"


@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_what_cannot_be_checkpointed(stand: Stand, image: str) -> None:
    pypod = stand.pypod
    pypod("run", "-d", "--name", "c", image, "sleep", "1000").ok()
    pypod("container", "checkpoint", "--tcp-established", "c").fails(125, "--network=host")
    pypod("container", "checkpoint", "--create-image", "x", "c").fails(125, "not supported")
    pypod("run", "-d", "--name", "p", "--pod", "new:cpod", image, "sleep", "1000").ok()
    pypod("container", "checkpoint", "p").fails(125, "pod")
    pypod("pod", "rm", "-f", "-t", "0", "cpod").ok()
