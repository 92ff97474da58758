"""``mount``, ``umount``, ``image mount``: in the caller's mount namespace, without a second overlay on any layer."""

from __future__ import annotations

import json
import os
import shlex
import signal
from pathlib import Path

import pytest

from support.runner import Pypod, Result, until


def inside(pypod: Pypod, *steps: str) -> Result:
    """Shell lines in which ``$P`` is pypod; rootless in ``unshare``, where mounts of one shell are seen by all."""
    script = "set -e; P=" + shlex.quote(" ".join(map(shlex.quote, pypod.argv()))) + '; eval "P() { $P \\"\\$@\\"; }";'
    script += "\n".join(steps)
    if pypod.rootless:
        return pypod("unshare", "sh", "-c", script)
    return pypod.as_user("sh", "-c", script)


def mountpoints(pypod: Pypod) -> list[dict[str, object]]:
    try:
        found: list[dict[str, object]] = json.loads(
            Path(f"{pypod.runroot}/overlay-layers/mountpoints.json").read_text()
        )
    except FileNotFoundError:
        return []
    return found


def test_stopped_container(pypod: Pypod, image: str) -> None:
    id = pypod("create", "--name", "mounted", image, "cat", "/from-host").ok().out.strip()
    done = inside(
        pypod,
        "M=$(P mount mounted); echo hello > $M/from-host",
        "test $(P mount mounted) = $M",
        "P mount --format json; P mount; P mount --no-trunc",
        "P start -a mounted",
        "P umount mounted; grep -c $M /proc/self/mountinfo; P umount mounted; P umount mounted; P mount",
        "grep -c $M /proc/self/mountinfo || true",
    ).ok()
    text, _, rest = done.out.partition("]\n")
    listed = json.loads(text + "]")
    assert [item["Names"] for item in listed] == [["mounted"]]
    assert list(listed[0]) == ["id", "Names", "mountpoint"]
    path = listed[0]["mountpoint"]
    assert rest.splitlines() == [
        f"{id[:12]}  {path}",
        f"{id}  {path}",
        "hello",
        "mounted",
        "1",
        "mounted",
        "mounted",
        "0",
    ]
    assert mountpoints(pypod) == []
    pypod("cp", "mounted:/from-host", "-").ok()


def test_running_container_is_not_mounted_twice(pypod: Pypod, image: str) -> None:
    pypod("run", "-d", "--network", "none", "--name", "runs", image, "sh", "-c", "echo a > /a; sleep 100").ok()
    done = inside(
        pypod,
        "M=$(P mount runs); until test -e $M/a; do sleep .1; done; cat $M/a; echo b > $M/b; P exec runs cat /b",
        "cat /proc/self/mountinfo | grep $M | cut -d' ' -f3; P exec runs sh -c \"grep ' / / ' /proc/self/mountinfo\""
        " | cut -d' ' -f3",
        "P umount runs; test ! -e $M/a; P exec runs cat /a; M=$(P mount runs); P rm -f -t 0 runs; ! test -e $M",
        "grep -c $M /proc/self/mountinfo || true",
    ).ok()
    lines = done.lines
    assert lines[:2] == ["a", "b"]
    assert lines[2] == lines[3]  # one file system, the same device
    assert lines[4:] == ["runs", "a", "runs", "0"]
    assert mountpoints(pypod) == []


def test_in_use(pypod: Pypod, image: str) -> None:
    pypod("create", "--name", "busy", image, "true").ok()
    done = inside(
        pypod,
        "M=$(P mount busy); (cd $M; exec sleep 20) & sleep .2; P umount busy || echo refused $?",
        "P umount -f busy; kill $!; P umount -a",
    ).ok()
    assert done.lines == ["refused 125", "busy"]
    assert "a process is using it" in done.err and "umount -f busy" in done.err


def test_removal_takes_the_mount_along(pypod: Pypod, image: str) -> None:
    before = set(os.listdir(pypod.graphroot or ""))
    pypod("create", "--name", "one", image, "true").ok()
    pypod("create", "--rm", "--name", "two", image, "true").ok()
    inside(
        pypod,
        "M=$(P mount one); P rm one; ! grep $M /proc/self/mountinfo",
        "M=$(P mount two); P start -a two; ! grep $M /proc/self/mountinfo; P umount -a",
    ).ok()
    assert mountpoints(pypod) == []
    assert set(os.listdir(pypod.graphroot or "")) == before
    tempdirs = Path(f"{pypod.graphroot}/overlay/tempdirs")
    until(lambda: not tempdirs.exists(), 10, "what takes longer than a moment to be removed")


def test_the_file_lies(pypod: Pypod, image: str) -> None:
    """A record of a mount that a reboot or the end of a namespace has taken away."""
    pypod("create", "--name", "lied", image, "true").ok()
    layer = pypod.inspect("lied")["GraphDriver"]["Data"]["UpperDir"].split("/")[-2]
    path = Path(f"{pypod.runroot}/overlay-layers")
    path.mkdir(exist_ok=True)
    lie = [{"id": layer, "path": f"{pypod.graphroot}/overlay/{layer}/merged", "count": 7}]
    (path / "mountpoints.json").write_text(json.dumps(lie))
    if pypod.rootless:
        for item in (path, path / "mountpoints.json"):
            os.chown(item, pypod.user.uid, pypod.user.gid)
    pypod("start", "-a", "lied").ok()
    assert inside(pypod, "P mount", "M=$(P mount lied)", "P umount lied").ok().lines == ["lied"]
    assert mountpoints(pypod) == []


def test_rootless_outside_unshare(pypod: Pypod, image: str) -> None:
    if not pypod.rootless:
        return  # root needs no unshare
    pypod("create", "--name", "out", image, "true").ok()
    for command in (("mount", "out"), ("umount", "out"), ("image", "mount", image), ("mount",)):
        pypod(*command).fails(125, f'cannot run command "pypod {" ".join(command[: 1 + (command[0] == "image")])}"')


def test_images(pypod: Pypod, image: str) -> None:
    done = inside(
        pypod,
        f"M=$(P image mount {image}); ls $M/bin/busybox | sed s,$M,,; ! touch $M/x 2> /dev/null",
        f"P image mount --format json; P image umount {image} | cut -c 1-4; P image mount; P image mount -a",
        "P image umount -a | wc -l; grep -c $M /proc/self/mountinfo || true",
    ).ok()
    assert done.lines[0] == "/bin/busybox"
    listed = json.loads("\n".join(done.lines[1 : done.lines.index("]") + 1]))
    assert [list(item) for item in listed] == [["id", "Names", "Repositories", "mountpoint"]]
    assert listed[0]["Repositories"] == [image]
    rest = done.lines[done.lines.index("]") + 1 :]
    assert rest == [listed[0]["id"][:4], f"{image}  {listed[0]['mountpoint']}", "1", "0"]
    assert mountpoints(pypod) == []


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("mount", "nosuch"), "no container with name or ID"),
        (("mount", "-a", "x"), "no arguments are needed with --all"),
        (("mount", "--format", "x"), 'unknown --format argument: "x"'),
        (("umount",), "you must provide at least one name or id"),
        (("image", "mount", "nosuch"), "image not known"),
        (("image", "mount", "-a", "x"), "you may not pass any image names"),
        (("image", "umount"), "image name or ID must be specified"),
    ],
)
def test_refusals(pypod: Pypod, words: tuple[str, ...], cause: str) -> None:
    line = " ".join(words)
    done = inside(pypod, f"P {line}")
    assert done.code == 125 and cause in done.err, done


def test_killed_monitor(pypod: Pypod, image: str) -> None:
    """What a dead container leaves is cleaned up before its layer is mounted anew."""
    pypod("run", "-d", "--network", "none", "--name", "dead", image, "sleep", "100").ok()
    for pid in (pypod.monitor("dead"), pypod.pid("dead")):
        os.kill(pid, signal.SIGKILL)
    pypod.wait_state("dead", "exited")
    inside(pypod, "M=$(P mount dead); test -d $M/bin; P umount dead").ok()
    assert pypod.state("dead") == "exited"
