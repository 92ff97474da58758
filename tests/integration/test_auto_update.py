"""``auto-update`` where no unit of systemd's is involved: a registry on the loopback, and containers made anew."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from support.registry import Registry
from support.remote_images import Remote
from support.runner import Pypod, until

NO_TLS = "--tls-verify=false"
HERE = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(os.uname().machine, "linux/amd64")
NONE = ("--network", "none")
LABEL = "io.containers.autoupdate"


class Place:
    """A registry whose image ``app:1`` changes."""

    def __init__(self, registry: Registry, busybox: bytes) -> None:
        self.name = f"{registry.host}/app:1"
        self._remote = Remote(registry.port)
        self._busybox = busybox

    def push(self, version: str, script: str = "while :; do sleep 0.1; done") -> str:
        """Another image of that name; its id."""
        command = ["sh", "-c", f"trap exit TERM; echo {version}; {script}"]
        layers = [self._busybox, {"etc/version": version.encode()}]
        return self._remote.image("app", "1", layers, platform=HERE, config={"Cmd": command}).id


@pytest.fixture(scope="module")
def place(busybox_tar: Path) -> Iterator[Place]:
    with Registry() as registry:
        yield Place(registry, busybox_tar.read_bytes())


def update(pypod: Pypod, *flags: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """What is reported, by the containers' names."""
    done = pypod("auto-update", NO_TLS, "--format", "json", *flags)
    assert done.code == code, done
    rows = done.json
    jsonschema.validate(rows, pypod("schema", "auto-update").ok().json)
    return {row["ContainerName"]: row for row in rows}


def image_of(pypod: Pypod, name: str) -> str:
    found: str = pypod.inspect(name)["Image"]
    return found


def test_a_newer_image(fresh: Pypod, place: Place, shared_dir: Path) -> None:
    first = place.push("1")
    flags = ("-d", NO_TLS, *NONE, "--label", f"{LABEL}=registry", f"--cidfile={shared_dir}/cid", "-e", "A=b c")
    fresh("run", *flags, "--name", "one", place.name).ok()
    fresh("run", "-d", *NONE, "--name", "other", place.name).ok()
    fresh("run", "-d", *NONE, "--name", "off", "--label", f"{LABEL}=disabled", place.name).ok()
    old = fresh.inspect("one")
    assert update(fresh) == {
        "one": {
            "Unit": "",
            "Container": f"{old['Id'][:12]} (one)",
            "ContainerName": "one",
            "ContainerID": old["Id"],
            "Image": place.name,
            "Policy": "registry",
            "Updated": "false",
        }
    }
    second = place.push("2")
    assert update(fresh, "--dry-run")["one"]["Updated"] == "pending"
    assert fresh.inspect("one")["Id"] == old["Id"] and image_of(fresh, "one") == first
    assert update(fresh)["one"]["Updated"] == "true"
    new = fresh.inspect("one")
    assert new["Image"] == second and new["Id"] != old["Id"] and new["State"]["Running"]
    assert "A=b c" in new["Config"]["Env"] and (shared_dir / "cid").read_text() == new["Id"]
    assert "2\n" in fresh("logs", "one").ok().out
    assert sorted(fresh.names()) == ["off", "one", "other"]
    assert image_of(fresh, "other") == image_of(fresh, "off") == first
    # And again, made of what it was made of this time.
    third = place.push("3")
    assert update(fresh)["one"]["Updated"] == "true" and image_of(fresh, "one") == third
    assert update(fresh)["one"]["Updated"] == "false"
    shown = fresh("auto-update", NO_TLS).ok().lines
    assert shown[0].split() == ["UNIT", "CONTAINER", "IMAGE", "POLICY", "UPDATED"]
    assert shown[1].split()[1:] == ["(one)", place.name, "registry", "false"]
    assert fresh("auto-update", NO_TLS, "--format", "{{.Container}} {{.Updated}}").ok().out.endswith("(one) false\n")


@pytest.mark.parametrize("how", ["ends", "sick", "cannot start"])
def test_a_bad_image_rolls_back(fresh: Pypod, place: Place, how: str) -> None:
    first = place.push("good")
    check = ("--health-cmd", "grep -q good /etc/version", "--health-interval", "200ms", "--health-retries", "2")
    flags = ("-d", NO_TLS, *NONE, "--label", f"{LABEL}=registry", *(check if how == "sick" else ()))
    fresh("run", *flags, "--name", "kept", place.name).ok()
    fresh("run", *flags, "--rm", "--name", "gone", place.name).ok()
    fresh("exec", "kept", "touch", "/mine").ok()
    old = fresh.inspect("kept")["Id"]
    if how == "cannot start":
        place._remote.image("app", "1", [{"etc/none": b""}], platform=HERE, config={"Cmd": ["/nothing"]})
    else:
        place.push(f"bad-{how}", "exit 3" if how == "ends" else "while :; do sleep 0.1; done")
    done = fresh("auto-update", NO_TLS, "--format", "json").ok()
    assert {row["ContainerName"]: row["Updated"] for row in done.json} == dict.fromkeys(
        ("kept", "gone"), "rolled back"
    )
    assert "rolled back kept" in done.err and "rolled back gone" in done.err
    for name in ("kept", "gone"):
        found = fresh.inspect(name)
        assert found["Image"] == first and found["State"]["Running"]
    # The very container, with what it wrote; and its image has its name again.
    assert fresh.inspect("kept")["Id"] == old
    fresh("exec", "kept", "test", "-e", "/mine").ok()
    assert fresh("image", "inspect", place.name).ok().json[0]["Id"] == first
    assert sorted(fresh.names()) == ["gone", "kept"]


def test_one_that_is_started_again_and_again_is_not_up(fresh: Pypod, place: Place) -> None:
    first = place.push("good")
    flags = ("-d", NO_TLS, *NONE, "--label", f"{LABEL}=registry", "--restart=always")
    fresh("run", *flags, "--name", "one", place.name).ok()
    place.push("bad", "sleep 0.4; exit 3")
    assert update(fresh)["one"]["Updated"] == "rolled back"
    assert image_of(fresh, "one") == first and fresh.state("one") == "running"


def test_a_container_that_cannot_be_put_aside_runs_on(fresh: Pypod, place: Place) -> None:
    first = place.push("1")
    fresh("run", "-d", NO_TLS, *NONE, "--label", f"{LABEL}=registry", "--name", "one", place.name).ok()
    old = fresh.inspect("one")["Id"]
    fresh("create", *NONE, "--name", f"one-{old[:12]}", place.name).ok()
    place.push("2")
    assert update(fresh, code=125)["one"]["Updated"] == "failed"
    assert fresh.inspect("one")["Id"] == old and image_of(fresh, "one") == first and fresh.state("one") == "running"


def test_who_is_interrupted_leaves_the_old_container(fresh: Pypod, place: Place) -> None:
    place.push("1")
    # The new one does not become healthy, and auto-update waits for that.
    check = ("--health-cmd", "grep -q 1 /etc/version", "--health-interval", "300s", "--health-start-period", "300s")
    fresh("run", "-d", NO_TLS, *NONE, *check, "--label", f"{LABEL}=registry", "--name", "one", place.name).ok()
    old = fresh.inspect("one")["Id"]
    place.push("2")
    running = ("ps", "-q", "--no-trunc", "--filter", "name=^one$", "--filter", "status=running")
    with fresh.popen("auto-update", NO_TLS) as updating:
        try:
            until(lambda: fresh(*running).ok().out.strip() not in ("", old), 60, "the new container")
        finally:
            updating.terminate()
            updating.communicate(timeout=60)
    assert updating.returncode == -15
    assert fresh.inspect("one")["Id"] == old and fresh.state("one") == "running" and fresh.names() == ["one"]


def test_without_rollback(fresh: Pypod, place: Place) -> None:
    place.push("good")
    fresh("run", "-d", NO_TLS, *NONE, "--label", f"{LABEL}=image", "--name", "bad", place.name).ok()
    old = fresh.inspect("bad")["Id"]
    place.push("bad", "exit 3")
    assert update(fresh, "--rollback=false", code=125)["bad"]["Updated"] == "failed"
    assert fresh.state("bad") == "exited" and fresh.inspect(f"bad-{old[:12]}")["Id"] == old


def test_the_local_policy(fresh: Pypod, busybox_tar: Path) -> None:
    name = "localhost/here:1"
    fresh("import", "-c", 'CMD ["sleep", "100"]', busybox_tar, name).ok()
    fresh("run", "-d", *NONE, "--stop-signal", "KILL", "--label", f"{LABEL}=local", "--name", "one", name).ok()
    first = image_of(fresh, "one")
    assert update(fresh)["one"]["Updated"] == "false"
    fresh("import", "-c", 'CMD ["sleep", "200"]', busybox_tar, name).ok()
    assert update(fresh, "--dry-run")["one"]["Updated"] == "pending"
    assert update(fresh)["one"]["Updated"] == "true"
    assert image_of(fresh, "one") != first and fresh.inspect("one")["Config"]["Cmd"] == ["sleep", "200"]


def test_what_cannot_be_updated(fresh: Pypod, place: Place, busybox_tar: Path) -> None:
    """One line for each, and the others are updated all the same."""
    place.push("1")
    fresh("import", busybox_tar, "localhost/bb:1").ok()
    registry = ("--label", f"{LABEL}=registry")
    base = ("run", "-d", NO_TLS, *NONE)
    fresh(*base, *registry, "--name", "fine", place.name).ok()
    fresh(*base, *registry, "--name", "needed", place.name).ok()
    fresh(*base[:3], *registry, "--name", "joined", "--network", "container:needed", place.name).ok()
    fresh(*base, *registry, "--name", "short", "bb:1", "sleep", "100").ok()
    fresh(*base, "--label", f"{LABEL}=often", "--name", "odd", place.name).ok()
    wrong = ("--label", f"{LABEL}.authfile=/not/there", *registry)
    fresh(*base, *wrong, "--name", "noauth", place.name).ok()
    place.push("2")
    done = fresh("auto-update", NO_TLS, "--format", "json")
    assert done.code == 125
    found = {row["ContainerName"]: row["Updated"] for row in json.loads(done.out)}
    assert found["fine"] == found["joined"] == "true" and found["short"] == "failed" and found["needed"] == "failed"
    lines = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    for name, words in (
        ("needed", "others need it: joined"),
        ("short", "fully-qualified image reference"),
        ("odd", "invalid policy often"),
    ):
        assert any(f"container {name}" in line and words in line for line in lines), done.err
    fresh("auto-update", "--authfile", "/not/there").fails(125, "/not/there")
    fresh("auto-update", "name").fails(125, "takes no arguments")
