"""Where Quadlet files are looked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pypod.engine import quadlet


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Directories in place of the system's, so that this machine's are not asked."""
    root = str(tmp_path)
    monkeypatch.setattr(quadlet, "_SYSTEM", (root + "/run", root + "/etc"))
    monkeypatch.setattr(quadlet, "_FOR_USERS", (root + "/etc/users",))
    monkeypatch.delenv("QUADLET_UNIT_DIRS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", root + "/runtime")
    monkeypatch.setenv("XDG_CONFIG_HOME", root + "/config")
    for name in (
        *("etc/b/c", "etc/a", "etc/x.container.d", "etc/container.d", "etc/name.d"),
        *(f"etc/users/{os.getuid()}/mine", f"etc/users/{os.getuid() + 1}", "etc/users/all"),
        *("runtime/containers/systemd", "config/containers/systemd/sub"),
    ):
        os.makedirs(f"{root}/{name}")
    os.symlink(root + "/etc", root + "/etc/a/circle")
    return root


def below(root: str, paths: list[str]) -> list[str]:
    return [path.removeprefix(root + "/") for path in paths]


def test_of_the_system(root: str) -> None:
    assert below(root, quadlet.directories(False)) == ["etc", "etc/a", "etc/b", "etc/b/c", "etc/name.d"]


def test_of_a_user(root: str) -> None:
    uid = os.getuid()
    assert below(root, quadlet.directories(True)) == [
        *("runtime/containers/systemd", "config/containers/systemd", "config/containers/systemd/sub"),
        *(f"etc/users/{uid}", f"etc/users/{uid}/mine", "etc/users", "etc/users/all"),
    ]


def test_as_the_environment_says(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUADLET_UNIT_DIRS", f"{root}/etc/b:relative:{root}/missing:{root}/etc/b/c")
    for user in (False, True):
        assert below(root, quadlet.directories(user)) == ["etc/b", "etc/b/c"]


def test_one_link_that_leads_nowhere_hides_nothing(root: str) -> None:
    os.symlink("loop", root + "/etc/loop")
    os.symlink("missing", root + "/etc/gone")
    assert below(root, quadlet.directories(False)) == ["etc", "etc/a", "etc/b", "etc/b/c", "etc/name.d"]


def test_what_cannot_be_read_is_told(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(f"{root}/file").write_text("")
    monkeypatch.setenv("QUADLET_UNIT_DIRS", f"{root}/file:{root}/etc/b")
    os.mkfifo(f"{root}/etc/b/f.container")  # nobody waits for a writer
    os.mkdir(f"{root}/etc/b/d.pod")
    os.symlink("/dev/zero", f"{root}/etc/b/z.volume")
    Path(f"{root}/etc/b/x.pod").write_text("[Pod]\n")
    Path(f"{root}/etc/b/pod.d").write_text("")
    loaded = quadlet.load(quadlet.directories(False))
    assert list(loaded.sources) == ["x.pod"]
    assert [str(problem).removeprefix(root + "/") for problem in loaded.problems] == [
        "file: cannot be read: Not a directory",
        "etc/b/d.pod: cannot be read: Not a regular file",
        "etc/b/f.container: cannot be read: Not a regular file",
        "etc/b/z.volume: cannot be read: Not a regular file",
    ]


def test_a_file_that_is_no_text(root: str) -> None:
    """Nothing in a message steers a terminal, and it does not fill a log."""
    path = Path(f"{root}/etc/b/x.pod")
    path.write_bytes(b"\033[2J\xff=\n" * 50)
    loaded = quadlet.load(quadlet.directories(False))
    found = [str(problem) for problem in loaded.sources["x.pod"].problems]
    assert found[0] == f"{path}:1: \\x1b[2J\\udcff= is before the first [section]"
    assert len(found) == 21 and found[-1] == f"{path}: 30 more lines are wrong"
    assert all(text.isprintable() for text in found)


def test_of_two_drop_ins_the_first_directorys_counts(root: str) -> None:
    for place, name in (("b", "pod.d"), ("b", "a-.pod.d"), ("a", "a-b.pod.d")):
        os.mkdir(f"{root}/etc/{place}/{name}")
        Path(f"{root}/etc/{place}/{name}/1.conf").write_text("")
    Path(f"{root}/etc/a/a-b.pod.d/0.conf").write_text("")
    places = [root + "/etc/b", root + "/etc/a"]
    assert below(root, quadlet.drop_ins("a-b.pod", places, [])) == ["etc/a/a-b.pod.d/0.conf", "etc/b/a-.pod.d/1.conf"]


def test_names() -> None:
    assert quadlet.kind("a.container") == "container" and quadlet.kind("a.b@c.pod") == "pod"
    for name in ("a.conf", ".container", ".a.container", "container", "a.container.d"):
        assert quadlet.kind(name) == ""


def test_names_of_drop_ins() -> None:
    assert quadlet.drop_in_directories("a-b-c@d.volume") == [
        *("a-b-c@d.volume.d", "a-b-c@.volume.d", "a-b-.volume.d", "a-.volume.d", "volume.d"),
    ]
    assert quadlet.drop_in_directories("a.pod") == ["a.pod.d", "pod.d"]


def test_what_comes_first_is_taken(root: str) -> None:
    for place, text in (("runtime/containers/systemd", ""), ("config/containers/systemd", "[Pod]\n")):
        for name in ("masked.pod", "x.pod"):
            Path(f"{root}/{place}/{name}").write_text(
                text if name == "masked.pod" else f"[Pod]\nPodName={place[0]}\n"
            )
    loaded = quadlet.load(quadlet.directories(True))
    assert not loaded.problems and list(loaded.sources) == ["x.pod"]
    assert loaded.sources["x.pod"].value("PodName") == "r"
