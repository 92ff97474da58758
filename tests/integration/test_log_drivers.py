"""``--log-driver``: a real journal, no log at all, and the streams of the command itself."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import journal
from support.runner import Pypod, until

SOCKET = "/run/systemd/journal/socket"
BOTH = "echo out; sleep 0.1; echo err >&2; sleep 0.1; printf part"


@pytest.fixture
def journald() -> Iterator[None]:
    with journal.running():
        yield


def entries(name: str, field: str) -> list[str]:
    """One field of all entries of a container, by root's journalctl."""
    done = subprocess.run(
        ["journalctl", "-q", "--no-pager", "-o", "cat", f"--output-fields={field}", f"CONTAINER_NAME={name}"],
        capture_output=True,
        check=True,
        text=True,
    )
    return [line for line in done.stdout.splitlines() if line]  # conmon leaves the newline in


@pytest.mark.usefixtures("journald")
def test_the_journal_keeps_what_a_container_says(pypod: Pypod, image: str) -> None:
    flags = ("--log-driver", "journald", "--log-opt", "tag={{.ImageName}}/{{ .Name }}")
    done = pypod("run", "--name", "j", *flags, image, "sh", "-c", BOTH).ok()
    assert (done.out, done.err) == ("out\npart", "err\n")
    until(lambda: len(entries("j", "MESSAGE")) == 3, 20, "the journal to have all")
    shown = pypod("logs", "j").ok()
    assert (shown.out, shown.err) == ("out\npart", "err\n")
    config = pypod.inspect("j")["HostConfig"]["LogConfig"]
    assert config == {
        "Type": "journald",
        "Config": None,
        "Path": "",
        "Tag": "{{.ImageName}}/{{ .Name }}",
        "Size": "0B",
    }
    assert set(entries("j", "SYSLOG_IDENTIFIER")) == {f"{image}/j"} == set(entries("j", "CONTAINER_TAG"))
    assert entries("j", "CONTAINER_ID_FULL")[0] == pypod.inspect("j")["Id"]


@pytest.mark.usefixtures("journald")
@pytest.mark.ours_only("conmon 2.1.6 has no --log-label")
def test_a_label_is_a_field_in_the_journal(pypod: Pypod, image: str) -> None:
    flags = ("--log-driver", "journald", "--log-opt", "label=TIER=front")
    pypod("run", "--name", "j", *flags, image, "sh", "-c", BOTH).ok()
    until(lambda: len(entries("j", "MESSAGE")) == 3, 20, "the journal to have all")
    assert set(entries("j", "TIER")) == {"front"}
    assert pypod.inspect("j")["HostConfig"]["LogConfig"]["Config"] == {"label": "TIER=front"}


@pytest.mark.usefixtures("journald")
def test_logs_of_the_journal_take_every_flag(pypod: Pypod, image: str) -> None:
    script = "for i in 1 2 3; do echo $i; done; "
    script += "printf '\\377\\n\\n'; head -c 100000 /dev/zero | tr '\\0' x; echo; echo end"
    pypod("run", "--name", "j", "--log-driver", "journald", image, "sh", "-c", script).ok()
    until(lambda: "end" in pypod("logs", "j").ok().out, 20, "the journal to have all")
    whole = b"1\n2\n3\n\xff\n\n" + b"x" * 100000 + b"\nend\n"
    assert pypod("logs", "j").ok().out.encode(errors="surrogateescape") == whole
    assert pypod("logs", "-f", "j").ok().out.encode(errors="surrogateescape") == whole
    assert pypod("logs", "--tail", "1", "j").ok().out == "end\n"
    assert pypod("logs", "--tail", "2", "-f", "j").ok().out == "x" * 100000 + "\nend\n"
    assert pypod("logs", "--tail", "0", "j").ok().out == ""
    assert pypod("logs", "--since", "1h", "j").ok().out == pypod("logs", "j").out
    assert pypod("logs", "--since", "2099-01-01T00:00:00Z", "j").ok().out == ""
    assert pypod("logs", "--until", "2000-01-01T00:00:00Z", "j").ok().out == ""
    stamps = pypod("logs", "-t", "--tail", "1", "j").ok().out
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z end\n", stamps)
    stamp = stamps.split()[0]
    assert pypod("logs", "--since", stamp, "j").ok().out.endswith("end\n")
    pypod("run", "--name", "k", "--log-driver", "journald", image, "echo", "other").ok()
    until(lambda: pypod("logs", "k").ok().out, 20, "the journal to have the other")
    assert pypod("logs", "-n", "--tail", "1", "j", "k").ok().lines == ["j end", "k other"]


@pytest.mark.usefixtures("journald")
def test_the_journal_can_be_followed(pypod: Pypod, image: str) -> None:
    script = "echo one; while [ ! -e /go ]; do sleep 0.1; done; echo two"
    pypod("run", "-d", "--name", "j", "--log-driver", "journald", image, "sh", "-c", script).ok()
    until(lambda: pypod("logs", "j").ok().out, 20, "the first line")
    following = pypod.popen("logs", "-f", "j")
    new = pypod.popen("logs", "-f", "--tail", "0", "j")
    assert following.stdout and following.stdout.readline() == b"one\n"
    pypod("exec", "j", "touch", "/go").ok()
    assert following.stdout.readline() == b"two\n"
    assert following.wait(20) == 0
    assert new.communicate(timeout=20)[0] == b"two\n"


@pytest.mark.usefixtures("journald")
def test_containers_conf_names_the_driver(pypod: Pypod, image: str, shared_dir: Path) -> None:
    conf = shared_dir / "containers.conf"
    conf.write_text('[containers]\nlog_driver = "journald"\n')
    env = {"CONTAINERS_CONF": str(conf)}
    pypod("create", "--name", "j", image, "true", env=env).ok()
    assert pypod.inspect("j")["HostConfig"]["LogConfig"]["Type"] == "journald"
    assert pypod("info", "--format", "{{.Host.LogDriver}}", env=env).ok().out == "journald\n"


def test_without_a_journal(pypod: Pypod, image: str, shared_dir: Path) -> None:
    if os.path.exists(SOCKET):
        pytest.skip("there is a journal here")
    pypod("create", "--log-driver", "journald", image, "true").fails(125, SOCKET, "no such file")
    assert pypod.names() == []
    conf = shared_dir / "containers.conf"
    conf.write_text('[containers]\nlog_driver = "journald"\n')
    env = {"CONTAINERS_CONF": str(conf)}
    assert pypod("run", "--name", "j", "--log-opt", "tag=x", image, "echo", "x", env=env).ok().out == "x\n"
    assert pypod("logs", "j").ok().out == "x\n"
    assert pypod.inspect("j")["HostConfig"]["LogConfig"]["Type"] == "k8s-file"


@pytest.mark.usefixtures("journald")
@pytest.mark.parametrize(
    "option", ["tag={{.Nosuch}}", "tag={{.Name", "tag={{upper .Name}}", "label=low=1", "label=A"]
)
def test_what_an_entry_cannot_be_marked_with(pypod: Pypod, image: str, option: str) -> None:
    pypod("create", "--log-driver", "journald", "--log-opt", option, image, "true").fails(
        125, option.split("=", 1)[1]
    )
    assert pypod.names() == []


def test_a_tag_needs_the_journal(pypod: Pypod, image: str) -> None:
    pypod("create", "--log-driver", "k8s-file", "--log-opt", "tag=x", image, "true").fails(125, "tag", "journald")


def test_passthrough_hands_the_streams_on(pypod: Pypod, image: str, shared_dir: Path) -> None:
    flags = ("--log-driver", "passthrough")
    script = "cat; echo err >&2; exit 3"
    done = pypod("run", "--name", "p", *flags, image, "sh", "-c", script, input="in\n")
    assert (done.code, done.out, done.err) == (3, "in\n", "err\n")
    pypod("logs", "p").fails(125, "passthrough", "not logging")
    config = pypod.inspect("p")["HostConfig"]["LogConfig"]
    assert (config["Type"], config["Path"]) == ("passthrough", "")
    assert pypod("start", "-a", "p", input="again\n").out == "again\n"
    pypod("run", "--rm", *flags, image, "true").ok()
    with open(shared_dir / "out", "w+b") as file:
        detached = ("run", "-d", "--name", "d", *flags, image, "sh", "-c", "echo out; sleep 1000")
        assert pypod.popen(*detached, stdout=file).wait(20) == 0
        until(lambda: b"out\n" in Path(file.name).read_bytes(), 20, "the container's output")
    pypod("attach", "d").fails(125, "passthrough")
    pypod("create", *flags, "-t", image, "true").fails(125, "--tty")
    pypod("create", *flags, "-a", "stdout", image, "true").fails(125, "--attach")
    assert "cannot be used on a TTY" in pypod("create", *flags, image, "true", tty=True).out


@pytest.mark.ours_only("conmon has no passthrough-tty")
def test_passthrough_of_a_terminal(pypod: Pypod, image: str) -> None:
    shown = pypod(
        "run", "--rm", "--log-driver", "passthrough-tty", image, "sh", "-c", "[ -t 1 ] && echo tty", tty=True
    )
    assert shown.out.strip() == "tty"


def test_passthrough_forwards_signals(pypod: Pypod, image: str) -> None:
    script = "trap 'echo got; exit 7' TERM; echo up; while :; do sleep 0.1; done"
    process = pypod.popen("run", "--rm", "--log-driver", "passthrough", image, "sh", "-c", script)
    assert process.stdout and process.stdout.readline() == b"up\n"
    process.terminate()
    assert process.communicate(timeout=20)[0] == b"got\n" and process.returncode == 7
