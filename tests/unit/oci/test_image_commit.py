"""The documents that a commit writes."""

from __future__ import annotations

from typing import Any

import pytest

from pypod.errors import UsageError
from pypod.oci import image_commit

BASE: dict[str, Any] = {
    "User": "7",
    "ExposedPorts": {"99/udp": {}},
    "Env": ["X=1", "Y=base"],
    "Entrypoint": ["/bin/a"],
    "Cmd": ["b"],
    "Volumes": {"/imgvol": {}},
    "WorkingDir": "/usr",
    "Labels": {"base": "1", "lab": "base"},
    "StopSignal": "12",
}


def merged(**given: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "entrypoint": [],
        "command": [],
        "env": [],
        "ports": [],
        "labels": {},
        "user": "",
        "volumes": [],
        "workdir": "",
    }
    return image_commit.from_container(BASE, **{**values, **given})


def test_a_container_adds_and_its_command_replaces() -> None:
    found = merged(
        command=["x"],
        env=["Z=", "Y=mine"],
        ports=["80/tcp"],
        labels={"lab": "x"},
        volumes=["/anon"],
        user="8",
        workdir="/tmp",
    )
    assert found == {
        **{key: item for key, item in BASE.items() if key != "Entrypoint"},
        "Cmd": ["x"],
        "Env": ["X=1", "Z=", "Y=mine"],
        "ExposedPorts": {"80/tcp": {}, "99/udp": {}},
        "Labels": {"base": "1", "lab": "x"},
        "Volumes": {"/anon": {}, "/imgvol": {}},
        "User": "8",
        "WorkingDir": "/tmp",
    }
    assert list(found["ExposedPorts"]) == ["80/tcp", "99/udp"]
    assert (merged()["User"], merged()["WorkingDir"]) == ("7", "/usr")


def test_override_merges_what_has_names_and_replaces_the_rest() -> None:
    given = {"Env": ["X=2"], "Labels": {"n": "m"}, "Cmd": ["c"], "User": "", "Hostname": "h", "Volumes": {"/v": {}}}
    assert image_commit.override(BASE, given, "f") == {
        **BASE,
        "Env": ["Y=base", "X=2"],
        "Labels": {"base": "1", "lab": "base", "n": "m"},
        "Cmd": ["c"],
        "Volumes": {"/imgvol": {}, "/v": {}},
    }
    bad: tuple[Any, ...] = ([], {"Cmd": "x"}, {"Env": [1]}, {"Labels": {"a": 1}}, {"Volumes": ["/x"]}, {"User": 1})
    for document in bad:
        with pytest.raises(UsageError, match="cannot use --config f"):
            image_commit.override(BASE, document, "f")


def test_oci_has_no_place_for_some_things_unless_they_were_there() -> None:
    check = {"Test": ["CMD", "x"]}
    config = {**BASE, "OnBuild": ["RUN x"], "Healthcheck": check, "Hostname": "h"}
    assert image_commit.for_oci(config, {}) == (BASE, ["Healthcheck", "OnBuild"])
    assert image_commit.for_oci(config, {"Healthcheck": check}) == ({**BASE, "Healthcheck": check}, ["OnBuild"])


@pytest.mark.parametrize("kind", image_commit.FORMATS)
@pytest.mark.parametrize("squash", [False, True])
def test_documents(kind: str, squash: bool) -> None:
    base = {"architecture": "arm", "variant": "v6", "os": "linux", "author": "old", "history": [{"created_by": "a"}]}
    found = image_commit.document(
        kind,
        base,
        {"Cmd": ["x"], "Shell": ["/bin/s", "-c"]} if kind == "docker" else {"Cmd": ["x"]},
        created="2024-01-02T03:04:05Z",
        author="",
        message="words" if kind == "docker" else "",
        container="c" * 64,
        image_id="i" * 64,
        image_name="localhost/x:1",
        diff_ids=["sha256:1"],
        squash=squash,
    )
    by = "/bin/s -c" if kind == "docker" else "/bin/sh"
    step = {"created": "2024-01-02T03:04:05Z", "created_by": by, "comment": "FROM localhost/x:1"}
    assert found["history"] == ([step] if squash else [{"created_by": "a"}, step])
    assert (found["architecture"], found["variant"], found["author"]) == ("arm", "v6", "old")
    assert found["rootfs"] == {"type": "layers", "diff_ids": ["sha256:1"]}
    if kind == "docker":
        assert found.get("parent") == (None if squash else "sha256:" + "i" * 64)
        assert found["comment"] == "words" and found["container"] == "c" * 64
        assert found["config"] == found["container_config"]
        assert found["config"]["Volumes"] is None and found["config"]["Entrypoint"] == []
    else:
        assert not {"parent", "comment", "container", "container_config"} & found.keys()
        assert found["config"] == {"Cmd": ["x"]}


def test_manifests() -> None:
    for kind, name in (("oci", "oci.image.layer.v1.tar"), ("docker", "docker.image.rootfs.diff.tar")):
        found = image_commit.manifest(
            kind, digest="sha256:c", size=3, layers=[("sha256:a", 1), ("sha256:b", 2)], annotations={"k": "v"}
        )
        assert [item["digest"] for item in found["layers"]] == ["sha256:a", "sha256:b"]
        assert found["layers"][0]["mediaType"] == f"application/vnd.{name}"
        assert (found["config"]["digest"], found["config"]["size"]) == ("sha256:c", 3)
        assert ("annotations" in found) == (kind == "oci")
