"""Lists of images in one store, made and changed in turn by pypod and podman; pushed by one, read by the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interop.test_storage import Tools
from support.registry import Registry
from support.runner import Pypod

PLAIN = "--tls-verify=false"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def tools(fresh: Pypod, busybox_tar: Path) -> Iterator[Tools]:
    tools = Tools(fresh)
    fresh("import", busybox_tar, "bb:1").ok()
    fresh("import", "--arch", "arm64", "--variant", "v8", busybox_tar, "bb:arm").ok()
    yield tools
    if fresh.rootless:
        tools.podman("system", "migrate")  # ends its pause process


def platforms(document: dict[str, Any]) -> list[str]:
    return ["/".join(item["platform"][key] for key in ("os", "architecture")) for item in document["manifests"]]


def raw(tools: Tools, registry: Registry, name: str) -> dict[str, Any]:
    """What skopeo reads in a registry."""
    found: dict[str, Any] = (
        tools.pypod.as_user("skopeo", "inspect", "--raw", PLAIN, f"docker://{registry.host}/{name}").ok().json
    )
    return found


def test_podman_goes_on_with_our_list(tools: Tools, registry: Registry) -> None:
    pypod, podman = tools.pypod, tools.podman
    place = f"{pypod.mode}/ours"
    id = pypod("manifest", "create", "list", "bb:1").ok().out.strip()
    podman("manifest", "exists", "list").ok()
    assert podman("manifest", "inspect", "list").ok().json["manifests"][0]["platform"]["os"] == "linux"
    assert podman("manifest", "add", "list", "containers-storage:localhost/bb:arm").ok().out == id + "\n"
    ours = pypod("manifest", "inspect", "list").ok().json
    assert platforms(ours) == ["linux/amd64", "linux/arm64"]
    podman("manifest", "annotate", "--annotation", "by=podman", "list", ours["manifests"][1]["digest"]).ok()
    assert pypod("manifest", "inspect", "list").ok().json["manifests"][1]["annotations"] == {"by": "podman"}
    podman("manifest", "push", "--all", PLAIN, "list", f"docker://{registry.host}/{place}:podman").ok()
    pypod("manifest", "push", PLAIN, "list", f"docker://{registry.host}/{place}:pypod").ok()
    theirs, ours = raw(tools, registry, f"{place}:podman"), raw(tools, registry, f"{place}:pypod")
    assert platforms(theirs) == platforms(ours)
    assert podman("image", "inspect", "list").ok().json[0]["Architecture"] == "amd64"
    digest = podman("manifest", "inspect", "list").ok().json["manifests"][0]["digest"]
    assert podman("manifest", "remove", "list", digest).ok().out == id + "\n"
    assert platforms(pypod("manifest", "inspect", "list").ok().json) == ["linux/arm64"]
    pypod("system", "check").ok()
    podman("tag", "list", "second").ok()
    podman("manifest", "rm", "list").ok()
    assert pypod("manifest", "exists", "list").code == 1


def test_we_go_on_with_podmans_list(tools: Tools, registry: Registry) -> None:
    pypod, podman = tools.pypod, tools.podman
    place = f"{pypod.mode}/theirs"
    pypod("push", "-q", PLAIN, "bb:arm", f"{registry.host}/{place}:arm").ok()
    id = podman("manifest", "create", "list").ok().out.strip()
    assert pypod("manifest", "exists", "list").code == 0
    assert pypod("manifest", "inspect", "list").ok().json["manifests"] == []
    podman("manifest", "add", "list", "containers-storage:localhost/bb:1").ok()
    podman("manifest", "add", PLAIN, "list", f"docker://{registry.host}/{place}:arm").ok()
    assert platforms(pypod("manifest", "inspect", "list").ok().json) == ["linux/amd64", "linux/arm64"]
    pypod("rmi", "bb:arm").ok()
    pypod("manifest", "push", PLAIN, "list", f"{registry.host}/{place}:list").ok()
    pushed = raw(tools, registry, f"{place}:list")
    assert platforms(pushed) == ["linux/amd64", "linux/arm64"]
    assert pypod("run", "--rm", "list", "echo", "ran").ok().out == "ran\n"
    arm = pushed["manifests"][1]["digest"]
    assert pypod("manifest", "annotate", "--arch", "riscv64", "list", arm).ok().out == id + "\n"
    assert platforms(podman("manifest", "inspect", "list").ok().json) == ["linux/amd64", "linux/riscv64"]
    assert pypod("manifest", "remove", "list", arm).ok().out == id + "\n"
    assert pypod("manifest", "add", PLAIN, "list", f"docker://{registry.host}/{place}:arm").ok().out == id + "\n"
    podman("manifest", "push", "--all", PLAIN, "list", f"docker://{registry.host}/{place}:again").ok()
    assert platforms(raw(tools, registry, f"{place}:again")) == ["linux/amd64", "linux/arm64"]
    pypod("system", "check").ok()
    assert f"Deleted: {id}" in pypod("manifest", "rm", "list").ok().out
    assert podman("manifest", "exists", "list").code == 1
    podman("images").ok()


def test_everybody_pulls_the_right_image(tools: Tools, registry: Registry, shared_dir: Path) -> None:
    pypod, podman = tools.pypod, tools.podman
    place = f"{registry.host}/{pypod.mode}/both"
    pypod("manifest", "create", "list", "bb:1", "bb:arm").ok()
    for kind in ("oci", "v2s2"):
        pypod("manifest", "push", "-q", PLAIN, "--format", kind, "list", f"{place}:{kind}").ok()
    pypod("rmi", "-f", "list", "bb:1", "bb:arm").ok()
    for kind, platform in (("oci", "amd64"), ("v2s2", "arm64")):
        name = f"{place}:{kind}"
        for pull in (podman, pypod):
            pull("pull", "-q", PLAIN, "--arch", platform, name).ok()
            assert pypod("image", "inspect", name).ok().json[0]["Architecture"] == platform
            pypod("rmi", "-f", name).ok()
        into = shared_dir / platform
        copy = ("skopeo", "--override-arch", platform, "copy", "-q", "--src-tls-verify=false")
        pypod.as_user(*copy, f"docker://{name}", f"dir:{into}").ok()
        manifest = json.loads((into / "manifest.json").read_text())
        config = json.loads((into / manifest["config"]["digest"].partition(":")[2]).read_text())
        assert config["architecture"] == platform
