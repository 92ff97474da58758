"""``commit`` from the command line, as root and rootless."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import box, leaks, made
from support.runner import Pypod

BASE = "localhost/bb:1"


@pytest.fixture
def store_(pypod: Pypod) -> Iterator[Pypod]:
    """The store; images that a test makes are removed."""
    yield pypod
    pypod("rm", "-f", "-a", "-t", "0").ok()
    made.forget_images(pypod, BASE)


def config_of(pypod: Pypod, name: str) -> dict[str, Any]:
    [found] = pypod("image", "inspect", name).ok().json
    result: dict[str, Any] = found["Config"]
    return result


CHANGES = (
    "echo new > /tmp/new; rm /etc/notes; rm -r /home; mkdir /home; echo x > /home/x; ln /tmp/new /tmp/linked; "
    "ln -s new /tmp/link; mkfifo /run/fifo; chmod 4755 /tmp/new; chown 5:7 /home/x; touch -d @1000000000 /home/x; "
)
LOOK = (
    "cat /tmp/linked /home/x; stat -c '%n %a %u %g %h' /tmp/new /home/x; stat -c %Y /home/x; "
    "echo /home/* /run/fifo* /etc/notes*"
)
SEEN = "new\nx\n/tmp/new 4755 0 0 2\n/home/x 644 5 7 1\n1000000000\n/home/x /run/fifo /etc/notes*\n"


def test_a_running_container_and_what_runs_from_it(store_: Pypod) -> None:
    store_("run", "-d", "--name", "a", BASE, "sh", "-c", f"{CHANGES} echo ready; sleep 100").ok()
    store_.wait_log("a", "ready")
    done = store_("commit", "a", "new").ok()
    assert re.fullmatch(r"[0-9a-f]{64}\n", done.out)
    assert done.err.splitlines()[-1] == "Writing manifest to image destination"
    assert store_.state("a") == "running"
    assert store_("run", "--rm", "new", "sh", "-c", LOOK).ok().out == SEEN
    [image] = store_("image", "inspect", "new").ok().json
    assert image["Id"] == done.out.strip()
    assert image["RepoTags"] == ["localhost/new:latest"]
    assert image["RootFS"]["Layers"][:-1] == made.layers(store_, BASE)
    assert image["Parent"] == store_("image", "inspect", "-f", "{{.Id}}", BASE).ok().out.strip()
    assert [step["created_by"] for step in image["History"]][1:] == ["/bin/sh"]
    assert image["History"][1]["comment"] == f"FROM {BASE}"
    # Once more, from that image and from a container that has ended.
    store_("run", "--name", "b", "new", "sh", "-c", "echo second > /second").ok()
    quiet = store_("commit", "-q", "b", "newer").ok()
    assert quiet.err == ""
    assert store_("run", "--rm", "newer", "cat", "/second", "/tmp/new").ok().out == "second\nnew\n"
    assert len(made.layers(store_, "newer")) == 3
    store_("container", "commit", "-q", "b").ok()
    assert store_("images", "--filter", "dangling=true", "-n").ok().lines[0].split()[:2] == ["<none>", "<none>"]


def test_what_a_commit_takes_from_the_container(store_: Pypod, shared_dir: Path) -> None:
    flags = ["-e", "A=1", "-e", "B=", "-l", "k=v", "-w", "/tmp", "-u", "1000", "--expose", "80", "--expose", "90/udp"]
    flags += ["-v", "/anonymous", "-v", f"{shared_dir}:/bound", "--mount", "type=tmpfs,destination=/tmpfs"]
    store_("create", "--name", "a", *flags, "--entrypoint", '["/bin/sh","-c"]', BASE, "true", "x").ok()
    store_("commit", "-q", "-a", "Me <me@x>", "a", "one").ok()
    found = config_of(store_, "one")
    env = dict(item.split("=", 1) for item in found.pop("Env"))
    assert env.pop("PATH")
    assert env == {"A": "1", "B": "", "TERM": "xterm", "container": "podman"}
    assert found == {
        "User": "1000",
        "ExposedPorts": {"80/tcp": {}, "90/udp": {}},
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ["true", "x"],
        "Volumes": {"/anonymous": {}},
        "WorkingDir": "/tmp",
        "Labels": {"k": "v"},
    }
    assert store_("image", "inspect", "-f", "{{.Author}}", "one").ok().out == "Me <me@x>\n"
    store_("commit", "-q", "--include-volumes", "a", "two").ok()
    assert config_of(store_, "two")["Volumes"] == {"/anonymous": {}, "/bound": {}, "/tmpfs": {}}
    store_("rm", "-v", "a").ok()


CHANGE = (
    ('CMD ["a","b"]', "Cmd", ["a", "b"]),
    ("CMD=a b", "Cmd", ["/bin/sh", "-c", "a b"]),
    ("ENTRYPOINT /x", "Entrypoint", ["/bin/sh", "-c", "/x"]),
    ("ENTRYPOINT=", "Entrypoint", None),
    ("EXPOSE=81/udp", "ExposedPorts", {"80/tcp": {}, "81/udp": {}}),
    ('LABEL b="c d"', "Labels", {"k": "v", "b": "c d"}),
    ("STOPSIGNAL SIGINT", "StopSignal", "SIGINT"),
    ("USER 5:6", "User", "5:6"),
    ('VOLUME ["/v","/w"]', "Volumes", {"/v": {}, "/w": {}}),
    ("WORKDIR /usr", "WorkingDir", "/usr"),
)


def test_change(store_: Pypod) -> None:
    store_("create", "--name", "a", "-e", "A=1", "-l", "k=v", "--expose", "80", "--entrypoint", "/e", BASE, "c").ok()
    before = config_of_commit(store_)
    for change, key, value in CHANGE:
        found = config_of_commit(store_, "-c", change)
        assert found.pop(key, None) == value
        assert found == {name: item for name, item in before.items() if name != key}
    env = config_of_commit(store_, "-c", "ENV A=2", "--change", "ENV B=3")["Env"]
    assert {"A=2", "B=3"} < set(env) and "A=1" not in env


def config_of_commit(pypod: Pypod, *flags: str) -> dict[str, Any]:
    identity = pypod("commit", "-q", *flags, "a").ok().out.strip()
    return config_of(pypod, identity)


def test_the_docker_format(store_: Pypod) -> None:
    store_("create", "--name", "a", "-l", "k=v", BASE, "sh").ok()
    store_("commit", "-q", "-f", "docker", "-m", "my words", "-a", "me", "-c", "ONBUILD RUN x", "a", "new").ok()
    config, manifest = made.documents(store_, "new")
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert {item["mediaType"] for item in manifest["layers"]} == {"application/vnd.docker.image.rootfs.diff.tar"}
    assert (config["comment"], config["author"]) == ("my words", "me")
    assert config["container"] == store_.inspect("a")["Id"]
    assert config["container_config"] == config["config"]
    assert config["config"]["OnBuild"] == ["RUN x"] and config["config"]["Image"] == BASE
    assert config["config"]["Hostname"] == "" and config["config"]["AttachStdin"] is False
    assert store_("image", "inspect", "-f", "{{.Comment}}", "new").ok().out == "my words\n"
    assert store_("run", "--rm", "new", "echo", "runs").ok().out == "runs\n"
    oci = store_("commit", "-q", "-c", "ONBUILD RUN x", "a").ok()
    assert "ONBUILD is not supported for OCI image format" in oci.err


def test_squash(store_: Pypod) -> None:
    store_("run", "-d", "--name", "a", "-v", "volume:/volume", BASE, "sh", "-c", f"{CHANGES} sleep 100").ok()
    store_.wait_state("a", "running")
    store_("exec", "a", "sh", "-c", "until [ -p /run/fifo ]; do sleep 0.1; done; echo v > /volume/file").ok()
    for name in ("running", "stopped"):
        store_("commit", "-q", "-s", "a", name).ok()
        assert len(made.layers(store_, name)) == 1
        assert store_("run", "--rm", name, "sh", "-c", LOOK).ok().out == SEEN
        assert store_("run", "--rm", name, "ls", "/volume", "/proc/1/comm").ok().out == "/proc/1/comm\n\n/volume:\n"
        [image] = store_("image", "inspect", name).ok().json
        assert len(image["History"]) == 1 and image["Parent"] == ""
        store_("stop", "-t", "0", "a").ok()
    store_("rm", "a").ok()
    store_("volume", "rm", "volume").ok()


def test_pause(store_: Pypod) -> None:
    store_("run", "-d", "--name", "a", BASE, "sleep", "100").ok()
    done = store_("commit", "-q", "-p", "a", "new")
    if store_.rootless and not box.cgroup2():
        done.fails(125, "pause is not supported for rootless containers", "cgroup v2")
        assert store_("image", "exists", "new").code == 1
    else:
        done.ok()
    assert store_.state("a") == "running"
    assert store_("exec", "a", "echo", "alive").ok().out == "alive\n"
    store_("commit", "-q", "--pause=false", "a", "newer").ok()


def test_owners_are_those_inside(store_: Pypod) -> None:
    mapping = ["--userns", "keep-id"] if store_.rootless else ["--uidmap", "0:300000:5000"]
    command = "touch /tmp/mine; touch /tmp/user; chown 1000:10 /tmp/user; rm /etc/notes"
    store_("run", "--name", "a", "-u", "0", *mapping, BASE, "sh", "-c", command).ok()
    for flags in ([], ["-s"]):
        store_("commit", "-q", *flags, "a", "new").ok()
        look = "stat -c '%n %u %g' /tmp/mine /tmp/user /bin /home/user; ls /etc/notes"
        seen = store_("run", "--rm", "-u", "0", "new", "sh", "-c", look)
        assert seen.out == "/tmp/mine 0 0\n/tmp/user 1000 10\n/bin 0 0\n/home/user 1000 1000\n"
        assert "No such file" in seen.err
    # The base is the image, not the copy of it that was made for the container.
    store_("commit", "-q", "a", "new").ok()
    assert made.layers(store_, "new")[:-1] == made.layers(store_, BASE)


def test_files_that_say_what_to_do_and_what_was_done(store_: Pypod, shared_dir: Path) -> None:
    store_("create", "--name", "a", "-e", "A=1", "-l", "k=v", BASE, "sh").ok()
    iid = shared_dir / "iid"
    iid.write_text("x" * 100)
    wanted = shared_dir / "config.json"
    wanted.write_text(
        json.dumps({"Env": ["A=2", "N=3"], "Labels": {"l": "m"}, "Cmd": ["/x"], "ExposedPorts": {"1/tcp": {}}})
    )
    if store_.user.switch:
        for path in (iid, wanted):
            path.chmod(0o666)
    done = store_("commit", "-q", "--iidfile", iid, "--config", wanted, "-c", "CMD /y", "a", "new").ok()
    assert iid.read_text() == done.out.strip()
    found = config_of(store_, "new")
    assert {"A=2", "N=3"} < set(found["Env"]) and "A=1" not in found["Env"]
    assert found["Labels"] == {"k": "v", "l": "m"}
    assert (found["Cmd"], found["ExposedPorts"]) == (["/bin/sh", "-c", "/y"], {"1/tcp": {}})


def test_what_is_refused_changes_nothing(store_: Pypod, shared_dir: Path) -> None:
    store_("create", "--name", "a", BASE, "sh").ok()
    store_("create", "--name", "r", "--rootfs", shared_dir, "sh").ok()
    (shared_dir / "bad").write_text("{")
    (shared_dir / "list").write_text('{"Cmd": "x"}')
    before = leaks.snapshot(store_)
    for words, said in (
        (["a", "UPPER"], "lowercase"),
        (["a", f"x@sha256:{'0' * 64}"], "digest"),
        (["-m", "words", "a"], "messages are only compatible with the docker image format (-f docker)"),
        (["-f", "bogus", "a"], 'unrecognized image format "bogus"'),
        (["-c", "NOSUCH=1", "a"], "invalid instruction NOSUCH"),
        (["-c", "LABEL", "a"], "must be formatted as KEY VALUE"),
        (["-c", "EXPOSE=99999", "a"], "EXPOSE port must be a valid port number"),
        (["-c", "STOPSIGNAL=NOPE", "a"], "invalid signal: NOPE"),
        (["-c", "VOLUME=[]", "a"], "at least one argument to VOLUME"),
        (["--iidfile", "/no/such/file", "a"], "failed to write image ID: open /no/such/file"),
        (["--config", "/no/such/file", "a"], "cannot read --config /no/such/file"),
        (["--config", shared_dir / "bad", "a"], "cannot use --config"),
        (["--config", shared_dir / "list", "a"], "Cmd has the wrong type"),
        (["nosuch"], "no such container"),
        (["r"], "exploded rootfs"),
        ([], "accepts between 1 and 2"),
        (["a", "b", "c"], "accepts between 1 and 2"),
    ):
        store_("commit", *words).fails(125, said)
    assert not leaks.since(store_, before, patience=0)


def test_vfs(fresh: Pypod, busybox_tar: Path) -> None:
    vfs = fresh.with_options("--storage-driver", "vfs")
    vfs("import", "-q", busybox_tar, BASE).ok()
    vfs("run", "--name", "a", BASE, "sh", "-c", CHANGES).ok()
    vfs("commit", "-q", "a", "new").ok()
    assert vfs("run", "--rm", "new", "sh", "-c", LOOK).ok().out == SEEN
    vfs("commit", "-q", "-s", "a", "squashed").ok()
    assert vfs("run", "--rm", "squashed", "sh", "-c", LOOK).ok().out == SEEN
    assert vfs("image", "diff", "new").ok().lines[:2] == ["C /etc", "D /etc/notes"]


def test_a_container_that_writes_meanwhile(store_: Pypod) -> None:
    grow = "i=0; while true; do i=$((i+1)); echo $i >> /grows; echo x > /f$((i%50)); rm -f /f$(((i+7)%50)); done"
    store_("run", "-d", "--name", "a", BASE, "sh", "-c", grow).ok()
    for number in range(5):
        store_("commit", "-q", "a", f"new{number}").ok()
    assert store_("run", "--rm", "new4", "sh", "-c", "tail -c 1 /grows | od -An -c").ok().out.strip() == "\\n"


def test_progress(store_: Pypod) -> None:
    store_("create", "--name", "a", BASE, "sh").ok()
    [layer] = made.layers(store_, BASE)
    done = store_("commit", "a").ok()
    assert done.err.splitlines() == [
        f"Copying blob {layer}",
        "Copying layer of container a",
        f"Copying config sha256:{done.out.strip()}",
        "Writing manifest to image destination",
    ]
    shown = store_("commit", "a", "new", tty=True).ok().out
    assert f"Copying blob {layer[7:19]} skipped: already exists\r\n" in shown
    assert re.search(r"Copying layer of container a done \| [\d.]+ k?B\r\n", shown)
    assert re.search(r"\r\n[0-9a-f]{64}\r\n$", shown)


def test_an_upper_directory_that_refers_to_what_is_below(store_: Pypod) -> None:
    if store_.rootless:
        return  # such mounts are root's alone
    other = store_.with_options("--storage-opt", "overlay.mountopt=nodev,metacopy=on")
    command = "chmod 700 /bin/busybox; mv /home /home2; rm /etc/notes; echo x > /x; echo ready; exec sleep 100"
    look = "stat -c '%n %a %s' /bin/busybox; echo /home* /home2/* /etc/notes*; cat /x"
    wanted = other("run", "--rm", BASE, "stat", "-c", "%s", "/bin/busybox").ok().out.strip()
    other("run", "-d", "--name", "a", BASE, "sh", "-c", command).ok()
    other.wait_log("a", "ready")
    for name in ("running", "stopped"):
        other("commit", "-q", "a", name).ok()
        assert len(made.layers(other, name)) == 2
        done = store_("run", "--rm", name, "sh", "-c", look).ok()
        assert done.out == f"/bin/busybox 700 {wanted}\n/home2 /home2/user /etc/notes*\nx\n"
        other("stop", "-t", "0", "a").ok()
