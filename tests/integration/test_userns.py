"""User namespaces: who one is inside, and which host ids that is."""

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from support import box, images, users
from support.runner import Pypod


def uid_map(pypod: Pypod, image: str, *flags: str) -> list[list[int]]:
    out = pypod("run", "--rm", *flags, image, "cat", "/proc/self/uid_map").ok().out
    return [[int(word) for word in line.split()] for line in out.splitlines()]


def test_root_inside_is_the_user_outside(pypod: Pypod, image: str, shared_dir: Path) -> None:
    pypod("run", "--rm", "-v", f"{shared_dir}:/x", image, "touch", "/x/file").ok()
    assert os.stat(shared_dir / "file").st_uid == pypod.user.uid


def test_another_user_inside_is_a_subordinate_id_outside(pypod: Pypod, image: str, shared_dir: Path) -> None:
    shared_dir.chmod(0o777)
    pypod("run", "--rm", "-u", "1000", "-v", f"{shared_dir}:/x", image, "touch", "/x/file").ok()
    owner = os.stat(shared_dir / "file").st_uid
    if pypod.rootless:
        first, count = users.subordinate_ids(pypod.user.name)[0]
        assert owner == first + 999 and count >= 1000
    else:
        assert owner == 1000


def test_one_mapping_for_all_of_a_users_containers(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--name", "a", image, "sleep", "100").ok()
    pypod("run", "-d", "--name", "b", image, "sleep", "100").ok()
    maps = {Path(f"/proc/{pypod.pid(name)}/uid_map").read_text() for name in "ab"}
    assert len(maps) == 1
    if pypod.rootless:
        first, count = users.subordinate_ids(pypod.user.name)[0]
        assert [line.split() for line in maps.pop().splitlines()] == [
            ["0", str(pypod.user.uid), "1"],
            ["1", str(first), str(count)],
        ]


def test_unshare(pypod: Pypod, image: str) -> None:
    if not pypod.rootless:
        pypod("unshare", "true").fails(125, "rootless")
        return
    assert pypod("unshare", "id", "-u").ok().out == "0\n"
    assert pypod("unshare", "sh", "-c", "exit 9").code == 9
    assert pypod("unshare", "no-such-program").code == 127
    done = pypod("unshare", "cat", "/proc/self/uid_map").ok()
    assert done.lines[0].split() == ["0", str(pypod.user.uid), "1"]
    assert pypod("unshare", "sh", "-c", "echo a | cat", input="").ok().out == "a\n"
    where = Path(pypod.user.home) / "unshared"
    pypod("unshare", "sh", "-c", f"mkdir {where} && chown 5:5 {where}").ok()
    first, _ = users.subordinate_ids(pypod.user.name)[0]
    assert os.stat(where).st_uid == first + 4
    pypod("unshare", "rm", "-r", where).ok()


def test_userns_host_is_the_default(pypod: Pypod, image: str) -> None:
    assert uid_map(pypod, image, "--userns", "host") == uid_map(pypod, image)


def test_keep_id(pypod: Pypod, image: str, shared_dir: Path) -> None:
    if not pypod.rootless:
        pypod("run", "--rm", "--userns", "keep-id", image, "true").fails(125, "keep-id")
        return
    done = pypod(
        "run", "--rm", "--userns", "keep-id", "-v", f"{shared_dir}:/x", image, "sh", "-c", "id -u; echo >/x/f"
    )
    assert done.ok().out == f"{pypod.user.uid}\n"
    assert os.stat(shared_dir / "f").st_uid == pypod.user.uid
    named = pypod("run", "--rm", "--userns", "keep-id", image, "sh", "-c", "whoami; stat -c %u /etc/passwd").ok()
    assert named.lines in ([pypod.user.name, "0"], ["user", "0"])  # "user" if the image has a name for the id
    as_root = pypod("run", "--rm", "--userns", "keep-id", "-u", "root", image, "id", "-u").ok()
    assert as_root.out == "0\n"


def test_keep_id_with_another_id(pypod: Pypod, image: str, shared_dir: Path) -> None:
    if not pypod.rootless:
        return
    flags = ["--userns", "keep-id:uid=200,gid=210", "-v", f"{shared_dir}:/x"]
    done = pypod("run", "--rm", *flags, image, "sh", "-c", "id -u; id -g; echo >/x/f").ok()
    assert done.lines == ["200", "210"]
    assert os.stat(shared_dir / "f").st_uid == pypod.user.uid


def test_nomap_leaves_the_user_out(pypod: Pypod, image: str) -> None:
    if not pypod.rootless:
        pypod("run", "--rm", "--userns", "nomap", image, "true").fails(125, "nomap")
        return
    pypod("run", "-d", "--name", "c", "--userns", "nomap", image, "sleep", "100").ok()
    pid = pypod.pid("c")
    first, _ = users.subordinate_ids(pypod.user.name)[0]
    assert os.stat(f"/proc/{pid}").st_uid != pypod.user.uid
    lines = [list(map(int, line.split())) for line in Path(f"/proc/{pid}/uid_map").read_text().splitlines()]
    assert all(not start <= pypod.user.uid < start + count for _, start, count in lines)


def test_root_has_no_ids_to_give_but_those_of_a_user(pypod: Pypod, image: str, shared_dir: Path) -> None:
    """Any others may be a real user's."""
    conf = shared_dir / "storage.conf"
    conf.write_text('[storage]\n[storage.options]\nroot-auto-userns-user = "pypod-nobody"\n')
    done = pypod("run", "--rm", "--userns", "auto", image, "true", env={"CONTAINERS_STORAGE_CONF": str(conf)})
    if pypod.rootless:
        done.ok()
    else:
        done.fails(125, 'no subuid ranges found for user "pypod-nobody" in /etc/subuid', "root-auto-userns-user")


def test_auto_gives_each_container_ids_of_its_own(pypod: Pypod, image: str, auto: dict[str, str]) -> None:
    taken: list[range] = []
    for name in "ab":
        pypod("run", "-d", "--name", name, "--userns", "auto:size=1024", image, "sleep", "100", env=auto).ok()
        ((inside, start, count),) = (
            map(int, line.split()) for line in Path(f"/proc/{pypod.pid(name)}/uid_map").read_text().splitlines()
        )
        assert (inside, count) == (0, 1024)
        taken.append(range(start, start + count))
    assert taken[0].stop <= taken[1].start or taken[1].stop <= taken[0].start
    assert pypod("exec", "a", "stat", "-c", "%u", "/etc/passwd").ok().out == "0\n"


def test_a_bad_userns(pypod: Pypod, image: str) -> None:
    pypod("run", "--rm", "--userns", "nosuch", image, "true").fails(125, "nosuch")


def test_group_add(pypod: Pypod, image: str) -> None:
    assert "wheel" in pypod("run", "--rm", "--group-add", "wheel", image, "id").ok().out


def test_user_by_name_and_number(pypod: Pypod, image: str) -> None:
    for given, wanted in (("user", "1000 1000"), ("1000", "1000 1000"), ("5:6", "5 6"), ("user:wheel", "1000 10")):
        assert (
            pypod("run", "--rm", "-u", given, image, "sh", "-c", "echo $(id -u) $(id -g)").ok().out == f"{wanted}\n"
        )
    done = pypod("run", "--rm", "-u", "nosuch", image, "true")
    assert done.code in (125, 126) and "nosuch" in done.err
    assert pypod.names() == []


@pytest.fixture
def rootfs(busybox_tar: Path, shared_dir: Path, pypod: Pypod) -> Path:
    directory = images.unpack(busybox_tar, shared_dir / "rootfs")
    if pypod.user.switch:
        for base, names, files in os.walk(directory):
            for name in (*names, *files, "."):
                os.lchown(os.path.join(base, name), pypod.user.uid, pypod.user.gid)
    return directory


def test_rootfs_of_a_directory(pypod: Pypod, rootfs: Path) -> None:
    done = pypod("run", "--rm", "--rootfs", rootfs, "sh", "-c", "id -u; echo x >/made; exit 3")
    assert (done.code, done.out) == (3, "0\n")
    assert (rootfs / "made").read_text() == "x\n"
    pypod("run", "--rm", "--rootfs", rootfs / "nosuch", "true").fails(125, "nosuch")


def test_rootfs_with_an_overlay_stays_as_it_was(pypod: Pypod, rootfs: Path) -> None:
    done = pypod("run", "--rm", "--rootfs", f"{rootfs}:O", "sh", "-c", "echo x >/made; cat /made")
    assert done.ok().out == "x\n"
    assert not (rootfs / "made").exists()


def test_no_subordinate_ids(mode: str, program: Path, busybox_tar: Path) -> None:
    """The error names the file and the cure; who asks for ignore_chown_errors has containers with one id."""
    if mode == "root" or not box.ROOT:
        return
    user = users.create("b")
    try:
        for file in ("/etc/subuid", "/etc/subgid"):
            for first, count in users.subordinate_ids(user.name, file):
                flag = "--del-subuids" if file.endswith("uid") else "--del-subgids"
                subprocess.run(["usermod", flag, f"{first}-{first + count - 1}", user.name], check=True)
        pypod = Pypod(program, user, graphroot=None, runroot=None)
        for words in (["unshare", "true"], ["run", "--rm", "hello"]):
            pypod(*words).fails(125, "/etc/subuid", "usermod", "ignore_chown_errors")
        with tarfile.open(Path(user.home) / "in.tar", "w") as archive:
            archive.add(busybox_tar, "inner.tar")
            other = tarfile.TarInfo("other")
            other.uid, other.gid = 33, 44
            archive.addfile(other)
        alone = pypod.with_options("--storage-opt", "overlay.ignore_chown_errors=true")
        alone("import", "-q", busybox_tar, "localhost/bb:1").ok()
        run = ("--network", "none")
        seen = alone("run", "--rm", *run, "bb:1", "sh", "-c", "id -u; cat /proc/self/uid_map").ok().out.split()
        assert seen == ["0", "0", str(user.uid), "1"]
        alone("import", "-q", Path(user.home) / "in.tar", "localhost/owned:1").ok()
        alone("run", "--name", "c", *run, "bb:1", "sh", "-c", "echo x >/x").ok()
        alone("commit", "-q", "c", "localhost/two:1").ok()
        alone("save", "-q", "-o", Path(user.home) / "two.tar", "two:1").ok()
        alone("rm", "c").ok()
        alone("rmi", "two:1").ok()
        alone("load", "-q", "-i", Path(user.home) / "two.tar").ok()
        alone("run", "-d", "--name", "d", *run, "two:1", "sleep", "100").ok()
        assert alone("exec", "d", "cat", "/x").ok().out == "x\n"
        alone("rm", "-f", "-t", "0", "d").ok()
        alone("rmi", "-a").ok()
    finally:
        users.remove(user)
