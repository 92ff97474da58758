"""Containers with an id mapping of their own: the mapped copy of their image, made once, by one."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import box, users
from support.runner import Pypod, until

# As root nothing is copied.
ROOTLESS = pytest.mark.parametrize("mode", ["rootless"], indirect=True)
MODES = ("keep-id", "nomap", "auto:size=4096")
LOOK = "stat -c '%u %g %a' /bin/busybox /etc/passwd /tmp /owned; cat /owned; stat -c %u /l"


@pytest.fixture
def layered(fresh: Pypod, image: str, shared_dir: Path) -> Pypod:
    """A store with ``layered:1``: two layers, files of several owners."""
    pypod = fresh
    pypod("import", _busybox(shared_dir), "localhost/base:1").ok()
    make = "rm /etc/notes; echo me >/owned; chown 1000:10 /owned; chmod 4755 /owned; ln -s owned /l; chown -h 5 /l"
    pypod("run", "--name", "c", "--network", "none", "base:1", "sh", "-c", make).ok()
    pypod("commit", "-q", "c", "localhost/layered:1").ok()
    pypod("rm", "c").ok()
    return pypod


def _busybox(place: Path) -> Path:
    from support import images

    return images.busybox(place / "bb.tar")


def images_json(pypod: Pypod) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((Path(str(pypod.graphroot)) / "overlay-images/images.json").read_text())
    return found


def copies(pypod: Pypod) -> list[str]:
    return [id for image in images_json(pypod) for id in image.get("mapped-layers") or ()]


def staged(pypod: Pypod) -> list[str]:
    try:
        return os.listdir(f"{pypod.graphroot}/overlay/tempdirs")
    except FileNotFoundError:
        return []


@ROOTLESS
def test_owners_are_right_inside_and_the_copy_is_shared(layered: Pypod) -> None:
    wanted = layered("run", "--rm", "--network", "none", "layered:1", "sh", "-c", LOOK).ok().out
    assert "1000 10 4755\nme\n5\n" in wanted
    for number, mode in enumerate(MODES):
        for _ in range(2):
            found = layered(
                "run", "--rm", "--network", "none", "--userns", mode, "-u", "0", "layered:1", "sh", "-c", LOOK
            )
            assert found.ok().out == wanted
            assert len(copies(layered)) == number + 1
    assert staged(layered) == []
    for id in copies(layered):
        assert {"diff", "diff1", "link", "lower"} <= set(os.listdir(f"{layered.graphroot}/overlay/{id}"))
        assert os.listdir(f"{layered.graphroot}/overlay/{id}/diff") == []
    layered("rmi", "layered:1").ok()
    layered("rmi", "base:1").ok()
    until(lambda: staged(layered) == [], 20, "the removal")
    assert os.listdir(f"{layered.graphroot}/overlay/l") == []


@ROOTLESS
def test_of_two_at_once_one_makes_the_copy(layered: Pypod) -> None:
    both = [
        layered.popen("run", "--rm", "--network", "none", "--userns", "keep-id", "layered:1", "cat", "/owned")
        for _ in range(3)
    ]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, b"me\n"), err
    assert len(copies(layered)) == 1
    assert staged(layered) == []
    layers = {row["id"] for row in json.loads(Path(f"{layered.graphroot}/overlay-layers/layers.json").read_text())}
    assert set(os.listdir(f"{layered.graphroot}/overlay")) - {"l", ".has-mount-program"} == layers


@ROOTLESS
def test_an_id_without_room_leaves_nothing(layered: Pypod) -> None:
    done = layered("run", "--rm", "--network", "none", "--userns", "auto:size=500", "layered:1", "true")
    done.fails(125, "uid 1000 of /")
    assert copies(layered) == [] and staged(layered) == []
    assert layered("ps", "-aq").ok().out == ""


@ROOTLESS
def test_a_killed_copy_is_rubbish_for_the_next(layered: Pypod) -> None:
    size = "dd if=/dev/zero of=/big bs=1M count=300 2>/dev/null"
    layered("run", "--name", "c", "--network", "none", "layered:1", "sh", "-c", size).ok()
    layered("commit", "-q", "c", "localhost/big:1").ok()
    layered("rm", "c").ok()
    making = layered.popen("create", "--userns", "keep-id", "--network", "none", "big:1", "true")
    until(lambda: staged(layered) or making.poll() is not None, 20, "the copy to begin")
    os.killpg(making.pid, signal.SIGKILL)
    making.communicate()
    layered("run", "--rm", "--network", "none", "--userns", "keep-id", "big:1", "true").ok()
    assert len(copies(layered)) == 1
    checked = layered("system", "check", "--repair")
    assert checked.code in (0, 1)
    assert staged(layered) == []


def test_simultaneous_auto_containers_have_ranges_of_their_own(
    fresh: Pypod, shared_dir: Path, auto: dict[str, str]
) -> None:
    make = ("create", "--userns", "auto:size=1024")
    fresh("import", _busybox(shared_dir), "localhost/base:1").ok()
    making = [
        fresh.popen(*make, "--name", f"c{n}", "--network", "none", "base:1", "true", env=auto) for n in range(5)
    ]
    for process in making:
        out, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
    file = Path(str(fresh.graphroot)) / "overlay-containers/containers.json"
    firsts = sorted(row["uidmap"][0]["host_id"] for row in json.loads(file.read_text()))
    assert len(firsts) == 5
    assert all(later - first >= 1024 for first, later in zip(firsts, firsts[1:], strict=False)), firsts
    fresh("rm", "-a").ok()


@ROOTLESS
@pytest.mark.skipif(not box.ROOT, reason="mounts a file system")
def test_blocks_are_shared_where_the_file_system_can(
    mode: str, who: users.User, base: Path, program: Path, shared_dir: Path
) -> None:
    place, backing = base / "reflinks", base / "reflinks.img"
    place.mkdir()
    with open(backing, "wb") as file:
        file.truncate(500 << 20)
    subprocess.run([box.need("mkfs.xfs", "xfsprogs"), "-q", "-m", "reflink=1", backing], check=True)
    subprocess.run(["mount", "-o", "loop", backing, place], check=True)
    try:
        for path in (place / "g", base / "reflinks-run"):
            path.mkdir(mode=0o700)
            os.chown(path, who.uid, who.gid)
        place.chmod(0o755)
        pypod = Pypod(program, who, graphroot=place / "g", runroot=base / "reflinks-run", mode=mode)
        pypod("import", _busybox(shared_dir), "localhost/base:1").ok()
        make = "dd if=/dev/urandom of=/big bs=1M count=100 2>/dev/null"
        pypod("run", "--name", "c", "--network", "none", "base:1", "sh", "-c", make).ok()
        pypod("commit", "-q", "c", "localhost/big:1").ok()
        before = _used(place)
        pypod("run", "--rm", "--network", "none", "--userns", "keep-id", "big:1", "true").ok()
        assert len(copies(pypod)) == 1
        assert _used(place) - before < 20 << 20
        pypod("rm", "-a").ok()
    finally:
        subprocess.run(["umount", place], check=True)
        backing.unlink()


def _used(place: Path) -> int:
    """Bytes that the file system has in use, all that was written included."""
    subprocess.run(["sync", "-f", place], check=True)
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_rm_reads_each_container_once(fresh: Pypod, shared_dir: Path) -> None:
    """However many are removed: opened files of ``rm -a`` grow with the number of containers, not with its square."""
    fresh("import", _busybox(shared_dir), "localhost/base:1").ok()
    for _ in range(8):
        fresh("create", "--network", "none", "base:1", "true").ok()
    trace = shared_dir / "trace"
    argv = [box.need("strace"), "-f", "-e", "trace=open,openat", "-o", trace, *fresh.argv("rm", "-a")]
    subprocess.run(argv, check=True, capture_output=True, timeout=60, env=fresh.environment())
    reads = trace.read_text().count("/container.json")
    assert reads <= 8 * 4, reads
