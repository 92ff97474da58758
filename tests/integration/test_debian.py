"""A real distribution: Debian 12, imported from mmdebstrap's tar."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.runner import Pypod
from support.tmux import Tmux

DEBIAN = "localhost/debian:bookworm"


@pytest.fixture(scope="module")
def debian(store: Pypod, debian_tar: Path) -> Iterator[str]:
    with open(debian_tar, "rb") as archive:
        process = store.popen("import", "-", DEBIAN, stdin=archive)
        out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    yield DEBIAN
    store("rmi", "-f", DEBIAN).ok()


def test_dpkg_lists_its_packages(pypod: Pypod, debian: str) -> None:
    out = pypod("run", "--rm", debian, "dpkg", "-l").ok().out
    installed = [line.split()[1] for line in out.splitlines() if line.startswith("ii ")]
    assert {"bash", "dpkg", "coreutils", "apt"} <= {name.split(":")[0] for name in installed}


def test_it_is_listed_under_its_name(pypod: Pypod, debian: str) -> None:
    rows = pypod("images", "--format", "{{.Repository}}:{{.Tag}}").ok().lines
    assert debian in rows


def test_useradd_chown_and_su(pypod: Pypod, debian: str) -> None:
    script = """
        set -e
        useradd -m -u 4321 alice
        touch /tmp/a && chown alice:alice /tmp/a
        stat -c %U:%u /tmp/a
        su alice -c 'id -un; touch ~/mine; stat -c %U ~/mine'
        su - alice -c 'echo $HOME'
        chown 60000:60000 /tmp/a && stat -c %u /tmp/a
    """
    done = pypod("run", "--rm", debian, "bash", "-c", script).ok()
    assert done.lines == ["alice:4321", "alice", "alice", "/home/alice", "60000"]


def test_files_keep_owner_mode_and_links(pypod: Pypod, debian: str) -> None:
    done = pypod(
        "run", "--rm", debian, "stat", "-c", "%n %a %u:%g %F", "/tmp", "/etc/shadow", "/usr/bin/su", "/bin", "/root"
    ).ok()
    assert done.lines == [
        "/tmp 1777 0:0 directory",
        "/etc/shadow 640 0:42 regular file",
        "/usr/bin/su 4755 0:0 regular file",
        "/bin 777 0:0 symbolic link",
        "/root 700 0:0 directory",
    ]


def test_bash_on_a_terminal(pypod: Pypod, debian: str) -> None:
    with pypod.terminal("run", "--rm", "-it", debian, "bash", rows=40, columns=120) as terminal:
        terminal.expect(r"root@[0-9a-f]{12}:/# ")
        terminal.send("tty; stty size; echo $((6*7))\r")
        terminal.expect(rb"/dev/pts/0\r\n40 120\r\n42\r\n")
        terminal.send("sleep 60\r")
        terminal.expect("sleep 60\r\n")
        time.sleep(0.7)  # until it is the sleep that has the terminal
        terminal.send(b"\x03")
        terminal.expect(r":/# ")
        terminal.send("echo status $?\r")
        terminal.expect(rb"status 130\r\n")
        terminal.send("jobs; sleep 50 & \r")
        terminal.expect(rb"\[1\] \d+")  # job control works: the shell is the leader of its session
        terminal.expect(r":/# $")
        terminal.send(b"\x04")
        assert terminal.wait() == 0


def test_bash_in_tmux(pypod: Pypod, debian: str) -> None:
    with Tmux(pypod, "run", "--rm", "-it", debian, "bash", rows=40, columns=120) as tmux:
        tmux.shows(":/#")
        tmux.types("id -un; stty size; echo $((6 * 7))")
        tmux.shows("root\n40 120\n42")
        tmux.types("clear; for i in 1 2 3; do echo line $i; done")
        tmux.shows("line 3")
        tmux.key("Up")  # bash's history, by an escape sequence
        tmux.shows("# clear; for i in 1 2 3")
        tmux.key("C-c")
        tmux.types("sleep 100")
        time.sleep(0.7)
        tmux.key("C-c")
        tmux.types("echo status $?")
        tmux.shows("status 130")
        tmux.types("exit")
        tmux.ends()


def test_dpkg_removes_a_package(pypod: Pypod, debian: str) -> None:
    """dpkg renames, links and syncs over files of a lower layer."""
    script = (
        "dpkg --purge --force-all tzdata >/dev/null 2>&1; test ! -e /usr/share/zoneinfo/UTC && dpkg -l | grep tzdata"
    )
    assert pypod("run", "--rm", debian, "sh", "-c", script).code == 1


def test_a_directory_of_the_image_can_be_renamed(pypod: Pypod, debian: str) -> None:
    script = "mv /usr/share/doc /usr/share/doc2 && ls -d /usr/share/doc2 && rm -r /usr/share/doc2 && ls /usr/share"
    out = pypod("run", "--rm", debian, "sh", "-c", script).ok().out.split()
    assert out[0] == "/usr/share/doc2" and not {"doc", "doc2"} & set(out[1:])


def test_history_and_inspect(pypod: Pypod, debian: str) -> None:
    record = pypod.inspect(debian)
    assert debian in record["RepoTags"]
    assert record["Os"] == "linux" and record["Architecture"]
    assert len(record["RootFS"]["Layers"]) == 1
    assert len(pypod("history", "-q", debian).ok().lines) >= 1


def test_its_layer_is_what_podman_would_have(pypod: Pypod, debian: str, debian_tar: Path) -> None:
    """The diff id is the sha256 of the uncompressed tar."""
    digest = subprocess.run(["sha256sum", debian_tar], capture_output=True, text=True, check=True).stdout.split()[0]
    assert pypod.inspect(debian)["RootFS"]["Layers"] == [f"sha256:{digest}"]
    assert os.path.getsize(debian_tar) > 50 << 20
