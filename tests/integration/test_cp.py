"""cp, diff and top: looking into containers and moving files."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from support.runner import Pypod


@pytest.fixture(params=["running", "stopped"])
def c(request: pytest.FixtureRequest, pypod: Pypod, image: str) -> str:
    """The name of a container with some files, and a volume."""
    script = "mkdir -p /d/sub; echo one >/d/one; echo two >/d/sub/two; ln -s one /d/link; ln -s /d /dlink; "
    pypod(
        "run",
        "-d",
        "--name",
        "c",
        "--network",
        "none",
        "-v",
        "vol:/vol",
        image,
        "sh",
        "-c",
        script + "echo v >/vol/f; sleep 1000",
    ).ok()
    pypod("exec", "c", "sh", "-c", "while ! test -e /vol/f; do sleep 0.1; done").ok()
    if request.param == "stopped":
        pypod("stop", "-t", "0", "c").ok()
    return "c"


@pytest.fixture(autouse=True)
def no_volume(pypod: Pypod) -> object:
    yield
    pypod("rm", "-f", "-a", "-t", "0")
    pypod("volume", "rm", "-f", "vol")


def inside(pypod: Pypod, name: str, path: str) -> dict[str, tarfile.TarInfo]:
    """What a path of a container is, through ``cp -``, which works whether it runs or not."""
    process = pypod.popen("cp", f"{name}:{path}", "-")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return {info.name: info for info in tarfile.open(fileobj=io.BytesIO(out))}


def test_out_of_a_container(pypod: Pypod, c: str, shared_dir: Path) -> None:
    pypod("cp", "c:/d/one", shared_dir).ok()
    assert (shared_dir / "one").read_text() == "one\n"
    assert (shared_dir / "one").stat().st_uid == pypod.user.uid
    pypod("cp", "c:d", shared_dir / "new").ok()
    assert sorted(os.listdir(shared_dir / "new")) == ["link", "one", "sub"]
    assert os.readlink(shared_dir / "new" / "link") == "one"
    pypod("cp", "c:/d", shared_dir / "new").ok()
    assert (shared_dir / "new" / "d" / "sub" / "two").read_text() == "two\n"
    pypod("cp", "c:/d/sub/.", shared_dir / "new").ok()
    assert (shared_dir / "new" / "two").exists()
    pypod("cp", "c:/dlink/link", shared_dir / "followed").ok()
    assert (shared_dir / "followed").read_text() == "one\n"
    pypod("cp", "c:/vol/f", shared_dir).ok()
    assert (shared_dir / "f").read_text() == "v\n"


def test_into_a_container(pypod: Pypod, c: str, shared_dir: Path) -> None:
    tree = shared_dir / "tree"
    (tree / "empty").mkdir(parents=True)
    (tree / "file").write_text("hello")
    (tree / "file").chmod(0o4755)
    (tree / "link").symlink_to("file")
    pypod("cp", tree, "c:/new").ok()
    found = inside(pypod, "c", "/new")
    assert sorted(found) == ["new", "new/empty", "new/file", "new/link"]
    assert found["new/file"].mode == 0o4755 and found["new/file"].size == 5
    assert (found["new/file"].uid, found["new/file"].gid) == (0, 0)
    pypod("cp", tree, "c:/new").ok()
    assert "new/tree/file" in inside(pypod, "c", "/new")
    pypod("cp", f"{tree}/.", "c:/d/sub").ok()
    assert "sub/file" in inside(pypod, "c", "/d/sub")
    pypod("cp", tree / "file", "c:/d/link").ok()
    assert inside(pypod, "c", "/d")["d/one"].size == 5
    pypod("cp", tree / "file", "c:/vol/put").ok()
    assert inside(pypod, "c", "/vol/put")["put"].size == 5


def test_between_containers(pypod: Pypod, c: str, image: str) -> None:
    pypod("create", "--name", "other", image, "true").ok()
    pypod("cp", "c:/d", "other:/copied").ok()
    assert "copied/sub/two" in inside(pypod, "other", "/copied")
    pypod("cp", "other:/copied/one", "other:/tmp/again").ok()
    pypod("cp", "c:/d/one", "c:/d/again").ok()
    assert "d/again" in inside(pypod, "c", "/d")


def test_the_containers_user_owns_what_comes_in(pypod: Pypod, image: str, shared_dir: Path) -> None:
    (shared_dir / "f").write_text("x")
    pypod("create", "--name", "u", "--user", "1000", image, "true").ok()
    pypod("cp", shared_dir / "f", "u:/tmp/mine").ok()
    assert inside(pypod, "u", "/tmp/mine")["mine"].uid == 1000
    pypod("cp", "-a=false", "u:/tmp/mine", "u:/tmp/kept").ok()
    assert inside(pypod, "u", "/tmp/kept")["kept"].uid == 1000


def test_a_tar_on_stdin(pypod: Pypod, c: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        info = tarfile.TarInfo("a/b")
        info.size = 3
        directory = tarfile.TarInfo("a")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(directory)
        tar.addfile(info, io.BytesIO(b"abc"))
    pypod("cp", "-", "c:/tmp", input=stream.getvalue()).ok()
    assert inside(pypod, "c", "/tmp/a")["a/b"].size == 3
    pypod("cp", "-", "c:/d/one", input=stream.getvalue()).fails(125, "directory")
    pypod("cp", "-", "c:/tmp", input=stream.getvalue()[:60]).fails(125, "archive")
    pypod("cp", "-", "c:/tmp", input=b"junk" * 300).fails(125, "archive")


def test_a_tar_that_climbs_out(pypod: Pypod, c: str, shared_dir: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo("../../escaped")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    pypod("cp", "-", "c:/tmp", input=stream.getvalue()).fails(125, "leads out")


def test_links_of_the_container_do_not_lead_to_the_host(pypod: Pypod, c: str, image: str, shared_dir: Path) -> None:
    secret = shared_dir / "secret"
    secret.write_text("host's")
    secret.chmod(0o644)
    link = shared_dir / "link"
    link.symlink_to(secret)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.add(link, "evil")
    pypod("cp", "-", "c:/tmp", input=stream.getvalue()).ok()
    pypod("cp", "c:/tmp/evil", shared_dir / "out").fails(125, "could not be found")
    pypod("cp", secret, "c:/tmp/evil/x").fails(125)
    assert secret.read_text() == "host's"


def test_what_cannot_be_copied(pypod: Pypod, c: str, shared_dir: Path) -> None:
    (shared_dir / "f").write_text("x")
    (shared_dir / "dir").mkdir()
    for source, target, words in (
        ("c:/nothing", str(shared_dir), ["/nothing", "could not be found"]),
        (str(shared_dir / "nothing"), "c:/", ["nothing", "could not be found"]),
        (str(shared_dir / "f"), "c:/no/where", ["/no", "could not be found"]),
        (str(shared_dir / "f"), "c:/no/", ["/no/", "could not be found"]),
        (str(shared_dir / "dir"), "c:/d/one", ["cannot copy a directory to a file"]),
        ("c:/d", str(shared_dir / "f"), ["cannot copy a directory to a file"]),
        ("c:/d/one/", str(shared_dir), ["directory"]),
        ("nosuchone:/x", str(shared_dir), ["nosuchone", "no such container"]),
        (str(shared_dir / "f"), str(shared_dir / "g"), ["container"]),
        ("c:", str(shared_dir), ["path"]),
    ):
        pypod("cp", source, target).fails(125, *words)
    assert sorted(os.listdir(shared_dir)) == ["dir", "f"]


def test_files_and_directories_replace_each_other_with_overwrite(pypod: Pypod, c: str, shared_dir: Path) -> None:
    (shared_dir / "sub").write_text("file")
    pypod("cp", shared_dir / "sub", "c:/d").fails(125, "overwrite directory")
    pypod("cp", "--overwrite", shared_dir / "sub", "c:/d").ok()
    assert inside(pypod, "c", "/d/sub")["sub"].isreg()


def test_a_large_sparse_file(pypod: Pypod, c: str, shared_dir: Path) -> None:
    big = shared_dir / "big"
    with open(big, "wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(b"x")
    pypod("cp", big, "c:/tmp/big").ok()
    pypod("cp", "c:/tmp/big", shared_dir / "back").ok()
    back = (shared_dir / "back").stat()
    assert back.st_size == 1 << 40 and back.st_blocks < 1000


def test_diff(pypod: Pypod, c: str, image: str) -> None:
    lines = pypod("diff", "c").ok().lines
    assert {"A /d", "A /d/one", "A /d/sub/two", "A /dlink"} <= set(lines)
    assert not {line[2:] for line in lines} & {"/etc/hosts", "/etc/resolv.conf", "/proc", "/dev", "/run", "/sys"}
    found = pypod("diff", "--format", "json", "c").ok().json
    assert "/d/one" in found["added"] and set(found) <= {"added", "changed", "deleted"}
    assert "A /bin/busybox" in pypod("diff", image).ok().lines
    pypod("diff", "nosuchthing").fails(125, "nosuchthing")


def test_diff_of_deleted_and_changed(pypod: Pypod, image: str) -> None:
    pypod("run", "--name", "c", image, "sh", "-c", "rm /etc/notes; echo x >>/etc/group").ok()
    lines = pypod("container", "diff", "c").ok().lines
    assert {"C /etc", "D /etc/notes", "C /etc/group"} <= set(lines)


def test_top(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "c", "--network", "none", image, "sh", "-c", "sleep 1001 & exec sleep 1000").ok()
    lines = pypod("top", "c").ok().lines
    assert lines[0].split() == ["USER", "PID", "PPID", "%CPU", "ELAPSED", "TTY", "TIME", "COMMAND"]
    assert lines[1].startswith("root        1           0 ")
    rows = [line.split() for line in pypod("top", "c", "hpid", "huser,pid,args", "seccomp").ok().lines]
    assert rows[0] == ["HPID", "HUSER", "PID", "COMMAND", "SECCOMP"]
    first = next(row for row in rows if row[2] == "1")
    assert int(first[0]) == pypod.pid("c")
    assert first[1] == pypod.user.name and first[3:] == ["sleep", "1000", "filter"]
    caps = pypod("top", "c", "capeff").ok().lines
    assert caps[0] == "EFFECTIVE CAPS" and "CHOWN" in caps[1]
    assert "sleep 1001" in pypod("top", "c", "-o", "pid,args").ok().out
    pypod("stop", "-t", "0", "c").ok()
    pypod("top", "c").fails(125, "running")


def test_a_volume_of_a_container_that_was_never_started(pypod: Pypod, image: str, shared_dir: Path) -> None:
    file = shared_dir / "file"
    file.write_text("hello")
    pypod("create", "--name", "fresh", "-v", "cpvol:/data/deep", image, "cat", "/data/deep/file").ok()
    pypod("cp", file, "fresh:/data/deep/").ok()
    assert pypod("start", "-a", "fresh").ok().out == "hello"
    pypod("create", "--name", "other", image, "true").ok()
    pypod("cp", "fresh:/data/deep/file", "other:/etc/").ok()
    pypod("cp", "other:/etc/file", "other:/etc/again").ok()  # podman 4 waits for itself here
    pypod("cp", "other:/etc/again", shared_dir / "back").ok()
    assert (shared_dir / "back").read_text() == "hello"
    pypod("rm", "fresh").ok()
    pypod("volume", "rm", "cpvol").ok()
