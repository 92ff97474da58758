"""Secrets: kept, given to containers as files and variables, and never shown where they were not asked for."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.runner import Pypod

RUN = ("run", "--rm", "--network", "none")


@pytest.fixture(autouse=True)
def _forgotten(pypod: Pypod) -> Iterator[None]:
    yield
    pypod("secret", "rm", "--all").ok()


def keep(pypod: Pypod, name: str, data: str, *flags: str) -> str:
    return pypod("secret", "create", *flags, name, "-", input=data).ok().out.strip()


def test_life(pypod: Pypod, shared_dir: Path) -> None:
    (shared_dir / "data").write_text("from a file")
    identity = pypod("secret", "create", "--label", "a=b", "one", shared_dir / "data").ok().out.strip()
    assert len(identity) == 25
    assert keep(pypod, "two", "from a pipe") != identity
    pypod("secret", "create", "--env", "three", "GIVEN", env={"GIVEN": "from outside"}).ok()
    assert pypod("secret", "ls", "--format", "{{.Name}} {{.Driver}}").ok().lines == [
        "one file",
        "three file",
        "two file",
    ]
    found = pypod("secret", "inspect", "one").ok().json[0]
    assert found["ID"] == identity and found["Spec"]["Labels"] == {"a": "b"}
    assert "SecretData" not in found
    for reference, data in (("one", "from a file"), (identity[:6], "from a file"), ("three", "from outside")):
        shown = pypod("secret", "inspect", "--showsecret", "--format", "{{.SecretData}}", reference).ok()
        assert shown.out == data + "\n"
    assert pypod("secret", "ls", "--filter", "label=a=b", "-q").ok().lines == [identity]
    assert [one["Spec"]["Name"] for one in pypod("secret", "ls", "--format", "json").ok().json] == [
        "one",
        "three",
        "two",
    ]
    assert pypod("secret", "exists", "one").code == 0
    assert pypod("secret", "rm", "one").ok().out == identity + "\n"
    assert pypod("secret", "exists", "one").code == 1
    pypod("secret", "rm", "one").fails(1, "no such secret")
    pypod("secret", "rm", "--ignore", "one").ok()
    pypod("secret", "inspect", "one").fails(125, "no such secret")


def test_who_may_read_them(pypod: Pypod) -> None:
    keep(pypod, "one", "hush")
    place = Path(pypod.graphroot or "") / "secrets"
    for path in (place / "secrets.json", place / "filedriver" / "secretsdata.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (place, place / "filedriver"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("words", "data", "cause"),
    [
        (["one", "-"], "", "larger than 0"),
        (["one", "-"], "x" * 512_000, "less than 512000"),
        (["a/b", "-"], "x", "invalid secret name"),
        (["-d", "pass", "one", "-"], "x", "not supported"),
        (["--label", "a", "one", "-"], "x", "key=value"),
        (["--env", "one", "NOT_SET"], "x", "not set"),
        (["one", "/no/such/file"], "x", "No such file"),
    ],
)
def test_what_is_refused_changes_nothing(pypod: Pypod, words: list[str], data: str, cause: str) -> None:
    pypod("secret", "create", *words, input=data).fails(125, cause)
    assert pypod("secret", "ls", "-q").ok().out == ""


def test_a_name_that_is_taken(pypod: Pypod) -> None:
    first = keep(pypod, "one", "old")
    pypod("secret", "create", "one", "-", input="new").fails(125, "secret name in use")
    assert keep(pypod, "one", "new", "--ignore") == first
    second = keep(pypod, "one", "new", "--replace")
    assert second != first
    assert pypod("secret", "inspect", "--showsecret", "--format", "{{.SecretData}}", "one").ok().out == "new\n"
    assert pypod("secret", "ls", "-q").ok().lines == [second]


def test_a_file_in_a_container(pypod: Pypod, image: str) -> None:
    keep(pypod, "one", "hush\n")
    shown = pypod(
        *RUN, "--secret", "one", image, "sh", "-c", "cat /run/secrets/one; stat -c '%a %u %g' /run/secrets/one"
    )
    assert shown.ok().out == "hush\n444 0 0\n"
    shown = pypod(
        *RUN, "--secret", "one,target=key,uid=7,gid=8,mode=0400", image, "sh", "-c",
        "cat /run/secrets/key; stat -c '%a %u %g' /run/secrets/key",
    )  # fmt: skip
    assert shown.ok().out == "hush\n400 7 8\n"
    assert pypod(*RUN, "--secret", "source=one,target=/etc/key", image, "cat", "/etc/key").ok().out == "hush\n"


def test_a_file_with_ids_of_its_own(pypod: Pypod, image: str) -> None:
    keep(pypod, "one", "hush\n")
    maps = ["--uidmap", "0:1000:5000", "--gidmap", "0:1000:5000"]
    shown = pypod(*RUN, *maps, "--secret", "one,uid=3,mode=400", image, "stat", "-c", "%a %u %g", "/run/secrets/one")
    assert shown.ok().out == "400 3 0\n"


def test_a_variable_is_nowhere_to_be_seen_from_outside(pypod: Pypod, image: str) -> None:
    keep(pypod, "one", "hush-hush")
    assert pypod(*RUN, "--secret", "one,type=env", image, "sh", "-c", 'echo "$one"').ok().out == "hush-hush\n"
    pypod(
        "run", "-d", "--name", "c", "--network", "none", "--secret", "one,type=env,target=KEY", image, "sleep", "99"
    ).ok()
    assert pypod("exec", "c", "sh", "-c", "echo $KEY").ok().out == "hush-hush\n"
    shown = pypod("inspect", "c").ok()
    assert "hush-hush" not in shown.out
    assert "KEY=*******" in shown.json[0]["Config"]["Env"]
    monitor = Path(f"/proc/{pypod.monitor('c')}")
    assert b"hush-hush" not in (monitor / "cmdline").read_bytes() + (monitor / "environ").read_bytes()
    userdata = Path(pypod.graphroot or "") / "overlay-containers"
    for path in userdata.rglob("*"):
        if path.is_file() and b"hush-hush" in path.read_bytes():
            assert path.name == "config.json" and stat.S_IMODE(path.stat().st_mode) == 0o600
    pypod("rm", "-f", "-t", "0", "c").ok()


def test_a_container_keeps_its_file_and_looks_up_its_variable(pypod: Pypod, image: str) -> None:
    keep(pypod, "one", "old\n")
    script = "cat /run/secrets/one; echo $one"
    flags = ["--network", "none", "--secret", "one", "--secret", "one,type=env"]
    pypod("create", "--name", "c", *flags, image, "sh", "-c", script).ok()
    keep(pypod, "one", "new\n", "--replace")
    assert pypod("start", "-a", "c").ok().out == "old\nnew\n"
    found = pypod("inspect", "c").ok().json[0]["Config"]["Secrets"]
    assert [(one["Name"], one["UID"], one["GID"], one["Mode"]) for one in found] == [("one", 0, 0, 0o444)]
    pypod("secret", "rm", "one").ok()
    pypod("start", "-a", "c").fails(125, "no such secret")
    pypod("rm", "c").ok()


@pytest.mark.parametrize(
    ("flag", "cause"),
    [
        ("nosuch", "no such secret"),
        ("one,type=file", "invalid"),
        ("one,type=env,uid=3", "cannot be set"),
        ("one,mode=9", "not a number"),
        ("one,colour=red", "invalid"),
        ("target=x", "no source"),
    ],
)
def test_bad_flags_make_nothing(pypod: Pypod, image: str, flag: str, cause: str) -> None:
    keep(pypod, "one", "x")
    pypod("create", "--name", "c", "--secret", flag, image, "true").fails(125, cause)
    assert pypod("ps", "-aq").ok().out == ""


def test_killed_at_any_moment(fresh: Pypod) -> None:
    """What is listed can be read, whenever the one who wrote it died. Half a file may be left, for `system check`."""
    keep(fresh, "one", "first")
    for number in range(12):
        process = fresh.popen("secret", "create", "--replace", "one", "/etc/hostname")
        time.sleep(0.02 + number * 0.008)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        shown = fresh("secret", "inspect", "--showsecret", "one").ok().json
        assert shown[0]["SecretData"] in ("first", Path("/etc/hostname").read_text())
