"""Lists of images: made, changed, pushed and used (podman-manifest(1))."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.registry import Registry
from support.runner import Pypod

NOBODY = "sha256:" + "0" * 64
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
PLAIN = "--tls-verify=false"


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture(scope="module")
def other() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def lists(fresh: Pypod, busybox_tar: Path) -> Pypod:
    """A store with localhost/bb:1 for this machine and localhost/bb:arm for another."""
    fresh("import", busybox_tar, "bb:1").ok()
    fresh("import", "--arch", "arm64", "--variant", "v8", busybox_tar, "bb:arm").ok()
    return fresh


def remote(registry: Registry, name: str) -> tuple[bytes, dict[str, Any]]:
    """What skopeo reads, to the byte and as JSON."""
    argv = ["skopeo", "inspect", "--raw", PLAIN, f"docker://{registry.host}/{name}"]
    data = subprocess.run(argv, check=True, capture_output=True, cwd="/").stdout
    return data, json.loads(data)


def platforms(document: dict[str, Any]) -> list[str]:
    found = []
    for item in document["manifests"]:
        said = item["platform"]
        found.append("/".join(said[key] for key in ("os", "architecture", "variant") if said.get(key)))
    return found


def image_digest(pypod: Pypod, name: str) -> str:
    return str(pypod("image", "inspect", "--format", "{{.Digest}}", name).ok().out.strip())


def test_made_and_changed(lists: Pypod) -> None:
    id = lists("manifest", "create", "list", "bb:1").ok().out.strip()
    assert len(id) == 64 and lists("manifest", "exists", "list").code == 0
    assert lists("manifest", "exists", "bb:1").code == 1 and lists("manifest", "exists", "no").code == 1
    add = ("manifest", "add", "--annotation", "a=1,2", "--annotation", "b==", "--os-version", "7")
    assert lists(*add, "list", "containers-storage:localhost/bb:arm").ok().out == id + "\n"
    document = lists("manifest", "inspect", "list").ok().json
    assert document["mediaType"] == OCI_INDEX and platforms(document) == ["linux/amd64", "linux/arm64/v8"]
    assert document["manifests"][1]["annotations"] == {"a": "1,2", "b": "="}
    assert document["manifests"][1]["platform"]["os.version"] == "7"
    digests = [item["digest"] for item in document["manifests"]]
    assert digests == [image_digest(lists, "bb:1"), image_digest(lists, "bb:arm")]

    # Adding it again changes what is said of it.
    assert lists("manifest", "add", "--arch", "s390x", "--features", "x,y", "list", "bb:arm").ok().out == id + "\n"
    annotated = ("manifest", "annotate", "--variant", "z", "--os", "plan9", "--annotation", "k=v", "list", "bb:1")
    assert lists(*annotated).ok().out == id + "\n"
    document = lists("manifest", "inspect", "list").ok().json
    assert platforms(document) == ["plan9/amd64/z", "linux/s390x/v8"]
    assert document["manifests"][0]["annotations"] == {"k": "v"}
    assert document["manifests"][1]["platform"]["features"] == ["x", "y"]
    assert "annotations" not in document["manifests"][1]
    lists("manifest", "annotate", "--index", "--annotation", "top=1", "list").ok()
    assert lists("manifest", "inspect", "list").ok().json["annotations"] == {"top": "1"}
    assert lists("manifest", "remove", "list", digests[0]).ok().out == id + "\n"
    assert platforms(lists("manifest", "inspect", "list").ok().json) == ["linux/s390x/v8"]

    assert lists("manifest", "create", "--amend", "list").ok().out == id + "\n"
    assert lists("manifest", "create", "-a", "list", "bb:1").ok().out == id + "\n"
    assert len(lists("manifest", "inspect", "list").ok().json["manifests"]) == 2
    two = lists("manifest", "create", "--annotation", "x=y", "--all", "two", "list").ok().out.strip()
    assert lists("manifest", "inspect", two[:12]).ok().json["annotations"] == {"x": "y"}
    assert len(lists("manifest", "inspect", "two").ok().json["manifests"]) == 2
    one = lists("manifest", "create", "one", "list").ok().out.strip()
    assert platforms(lists("manifest", "inspect", "one").ok().json) == ["linux/amd64"]
    lists("system", "check").ok()
    assert lists("manifest", "rm", "one", "two").ok().lines == [
        "Untagged: localhost/one:latest",
        f"Deleted: {one}",
        "Untagged: localhost/two:latest",
        f"Deleted: {two}",
    ]
    assert lists("image", "exists", "bb:1").code == 0
    # Two at once lose nothing.
    lists("manifest", "create", "list2").ok()
    running = [lists.popen("manifest", "add", "list2", name) for name in ("bb:1", "bb:arm")]
    for item in running:
        item.communicate(timeout=60)
    assert [item.returncode for item in running] == [0, 0]
    assert sorted(platforms(lists("manifest", "inspect", "list2").ok().json)) == ["linux/amd64", "linux/arm64/v8"]


def test_what_is_refused_changes_nothing(lists: Pypod, registry: Registry) -> None:
    lists("manifest", "create", "list", "bb:1").ok()
    before = lists("manifest", "inspect", "list").ok().out
    images = lists("images", "--format", "json").ok().out
    lists("manifest", "create", "list").fails(125, "localhost/list:latest", "already in use")
    lists("manifest", "create", "bb:1").fails(125, "already in use")
    lists("manifest", "create", "-a", "bb:1", "bb:arm").fails(125, "localhost/bb:1: image is not a manifest list")
    lists("manifest", "create", "bad name").fails(125, "invalid reference format")
    lists("manifest", "create", "new", "containers-storage:nope").fails(125, "nope: image not known")
    lists("manifest", "create", PLAIN, "new", f"docker://{registry.host}/nope:1").fails(125, "nope")
    lists("manifest", "add", "nope", "bb:1").fails(125, "nope: image not known")
    lists("manifest", "add", "bb:1", "bb:1").fails(125, "image is not a manifest list")
    lists("manifest", "add", "list", "oci:/nowhere").fails(125, "oci:/nowhere")
    lists("manifest", "add", "--annotation", "x", "list", "bb:arm").fails(125, "annotation")
    lists("manifest", "add", "--artifact", "list", "bb:arm").fails(125, "--artifact is not supported")
    lists("manifest", "annotate", "--arch", "arm", "list", NOBODY).fails(125, "no instance matching digest")
    lists("manifest", "annotate", "--arch", "arm", "list", "what").fails(125, "invalid checksum digest format")
    lists("manifest", "annotate", "--arch", "arm", "list").fails(125, "digest")
    lists("manifest", "remove", "list", NOBODY).fails(125, "removing from manifest list list", NOBODY)
    lists("manifest", "remove", "list", "bb:arm").fails(125, "bb:arm is not in the list")
    lists("manifest", "rm", "bb:1").fails(125, "image is not a manifest list")
    lists("manifest", "rm", "nope").fails(1, "nope: image not known")
    lists("manifest", "rm", "-i", "nope").ok()
    lists("manifest", "inspect", "bb:1").fails(125, "localhost/bb:1: image is not a manifest list")
    lists("manifest", "inspect", "localhost/nope").fails(125, "image not known")
    lists("manifest", "push", "list").fails(125, "localhost/list:latest", "no registry")
    lists("manifest", "push", "list", "oci-archive:/nowhere/x").fails(125, "registries, oci: and dir: hold lists")
    lists("manifest", "push", "--add-compression", "zstd", "list", "localhost:1/x").fails(125, "--add-compression")
    lists("manifest", "push", "bb:1", "localhost:1/x").fails(125, "image is not a manifest list")
    assert lists("manifest", "inspect", "list").ok().out == before
    assert lists("images", "--format", "json").ok().out == images


def test_commands_for_images_cope_with_lists(lists: Pypod, shared_dir: Path) -> None:
    id = lists("manifest", "create", "list", "bb:1", "bb:arm").ok().out.strip()
    bb = lists("images", "-q", "--no-trunc", "bb:1").ok().out.strip().removeprefix("sha256:")
    rows = {row["Id"]: row for row in lists("images", "--format", "json").ok().json}
    assert rows[id]["Names"] == ["localhost/list:latest"] and rows[id]["Size"] < 4096 and rows[id]["Created"] > 0
    assert lists("images", "-q", "--filter", "manifest=true").ok().out == id[:12] + "\n"
    assert lists("images", "-q", "--filter", "reference=list").ok().out == id[:12] + "\n"
    lists("system", "df", "-v").ok()
    lists("system", "check").ok()
    assert lists("image", "exists", "list").code == 0
    # What wants an image gets the one for this machine.
    assert lists("image", "inspect", "list").ok().json[0]["Id"] == bb
    assert lists("history", "-q", "--no-trunc", "list").ok().lines[0] == bb
    assert lists("run", "--rm", "list", "echo", "ran").ok().out == "ran\n"
    lists("save", "-q", "-o", shared_dir / "saved.tar", "list").ok()
    with tarfile.open(shared_dir / "saved.tar") as archive:
        saved = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert saved[0]["RepoTags"] == ["localhost/list:latest"] and saved[0]["Config"] == f"{bb}.json"
    lists("push", "-q", "list", f"dir:{shared_dir}/dir").ok()
    assert bb in {path.name for path in (shared_dir / "dir").iterdir()}
    # Names are the list's own.
    lists("tag", "list", "second:2").ok()
    assert lists("images", "-q", "--no-trunc", "second:2").ok().out == f"sha256:{id}\n"
    assert lists("manifest", "rm", "second:2").ok().out == "Untagged: localhost/second:2\n"
    lists("rmi", "bb:1").ok()
    lists("run", "--rm", "--pull=never", "list", "true").fails(125, "image not known")
    lists("untag", "list").ok()
    assert lists("image", "prune", "-f").ok().out == id + "\n"
    assert lists("images", "-q").ok().lines == lists("images", "-q", "bb:arm").ok().lines
    lists("manifest", "create", "list", "bb:arm").ok()
    assert "Untagged: localhost/list:latest" in lists("rmi", "list").ok().out
    assert lists("image", "exists", "bb:arm").code == 0


def test_images_of_the_store_are_pushed(lists: Pypod, registry: Registry, shared_dir: Path) -> None:
    place = f"{lists.mode}/store"
    lists("manifest", "create", "list", "bb:1", "bb:arm").ok()
    pushed = lists("manifest", "push", PLAIN, "--digestfile", shared_dir / "d", "list", f"{registry.host}/{place}:1")
    assert pushed.ok().out == ""
    assert "Copying 2 of 2 images in list" in pushed.err and "Writing manifest list to" in pushed.err
    data, document = remote(registry, f"{place}:1")
    assert document["mediaType"] == OCI_INDEX and platforms(document) == ["linux/amd64", "linux/arm64/v8"]
    digest = (shared_dir / "d").read_text()
    assert remote(registry, f"{place}@{digest}")[0] == data
    docker = ("manifest", "push", PLAIN, "-q", "--format", "v2s2", "list", f"docker://{registry.host}/{place}:2")
    assert lists(*docker).ok().err == ""
    document = remote(registry, f"{place}:2")[1]
    assert document["mediaType"] == DOCKER_LIST
    assert {item["mediaType"] for item in document["manifests"]} == {
        "application/vnd.docker.distribution.manifest.v2+json"
    }
    # push of a list is manifest push; --purge takes it away when it has been pushed.
    lists("push", PLAIN, "list", f"{registry.host}/{place}:3").ok()
    assert remote(registry, f"{place}:3")[0] == data
    lists("manifest", "push", PLAIN, "--purge", "--all=false", "list", f"{registry.host}/nope:1").fails(125, "nope")
    assert lists("manifest", "exists", "list").code == 0
    lists("manifest", "push", PLAIN, "--rm", "list", f"{registry.host}/{place}:4").ok()
    assert lists("manifest", "exists", "list").code == 1 and lists("image", "exists", "bb:arm").code == 0


_far: dict[str, str] = {}


@pytest.fixture
def far(fresh: Pypod, registry: Registry, request: pytest.FixtureRequest) -> str:
    """A repository with images :amd64 and :arm64 and their list :both, which are not in the store."""
    place = f"{registry.host}/{fresh.mode}/far"
    if place in _far:
        return place
    lists: Pypod = request.getfixturevalue("lists")
    lists("push", "-q", PLAIN, "bb:1", f"{place}:amd64").ok()
    lists("push", "-q", PLAIN, "bb:arm", f"{place}:arm64").ok()
    lists("manifest", "create", "both", "bb:1", "bb:arm").ok()
    lists("push", "-q", PLAIN, "both", f"{place}:both").ok()
    lists("rmi", "-f", "bb:1", "bb:arm", "both").ok()
    _far[place] = place
    return place


def test_images_of_registries_are_not_pulled(fresh: Pypod, registry: Registry, far: str) -> None:
    registry.forget()
    fresh("manifest", "create", PLAIN, "list", f"docker://{far}:amd64", f"docker://{far}:arm64").ok()
    assert platforms(fresh("manifest", "inspect", "list").ok().json) == ["linux/amd64", "linux/arm64/v8"]
    assert sum(item.size for item in registry.requests) < 20_000
    assert fresh("images", "-q").ok().lines == fresh("images", "-q", "list").ok().lines
    # Of a list the image for this machine, or for the one that is asked for, or all.
    fresh("manifest", "create", PLAIN, "one", f"docker://{far}:both").ok()
    assert platforms(fresh("manifest", "inspect", "one").ok().json) == ["linux/amd64"]
    fresh("manifest", "add", PLAIN, "--arch", "arm64", "one", f"docker://{far}:both").ok()
    assert platforms(fresh("manifest", "inspect", "one").ok().json) == ["linux/amd64", "linux/arm64/v8"]
    fresh("manifest", "add", PLAIN, "--os", "plan9", "one", f"{far}:both").fails(125, "plan9", "linux/arm64/v8")
    fresh("manifest", "create", PLAIN, "--all", "all", f"docker://{far}:both").ok()
    shown = fresh("manifest", "inspect", PLAIN, f"docker://{far}:both").ok()
    assert (
        shown.json
        == fresh("manifest", "inspect", "all").ok().json
        == remote(registry, far[far.index("/") + 1 :] + ":both")[1]
    )
    single = fresh("manifest", "inspect", PLAIN, f"{far}:arm64").ok()
    assert "layers" in single.json and "not a list" in single.err


def test_images_go_from_registry_to_registry(fresh: Pypod, registry: Registry, other: Registry, far: str) -> None:
    fresh("manifest", "create", PLAIN, "--all", "list", f"docker://{far}:both").ok()
    data, document = remote(registry, far[far.index("/") + 1 :] + ":both")
    registry.forget()
    fresh("manifest", "push", PLAIN, "list", f"{registry.host}/{fresh.mode}/near:1").ok()
    assert registry.count("GET", "/blobs/") == 0 and registry.count("PATCH") == 0
    assert remote(registry, f"{fresh.mode}/near:1")[0] == data
    fresh("manifest", "push", PLAIN, "list", f"{other.host}/{fresh.mode}/over:1").ok()
    assert remote(other, f"{fresh.mode}/over:1")[0] == data
    for item in document["manifests"]:
        assert remote(other, f"{fresh.mode}/over@{item['digest']}")[0]
    other.forget()
    fresh("manifest", "push", PLAIN, "list", f"{other.host}/{fresh.mode}/over:2").ok()
    assert other.count("POST") == 0
    # Another repository there gets the layers from the one that is known to have them.
    other.forget()
    fresh("manifest", "push", PLAIN, "list", f"{other.host}/{fresh.mode}/more:1").ok()
    assert remote(other, f"{fresh.mode}/more:1")[0] == data
    assert other.count("POST", "mount=") >= 1 and other.count("PATCH") == 0
    fresh("manifest", "push", PLAIN, "-f", "v2s2", "list", f"{other.host}/{fresh.mode}/over:3").ok()
    docker = remote(other, f"{fresh.mode}/over:3")[1]
    assert docker["mediaType"] == DOCKER_LIST and platforms(docker) == platforms(document)
    zstd = ("--compression-format", "zstd", "list", f"{other.host}/{fresh.mode}/over:4")
    fresh("manifest", "push", PLAIN, *zstd).fails(125, "as it is")
    assert fresh("images", "-q").ok().lines == fresh("images", "-q", "list").ok().lines


def test_a_list_knows_where_its_images_are(fresh: Pypod, registry: Registry, far: str) -> None:
    fresh("manifest", "create", PLAIN, "--all", "list", f"docker://{far}:both").ok()
    fresh("image", "inspect", "list").fails(125, "list", "image not known")
    assert fresh("run", PLAIN, "--rm", "list", "echo", "ran").ok().out == "ran\n"
    pulled = fresh("image", "inspect", "list").ok().json[0]
    assert pulled["Architecture"] == "amd64" and pulled["RepoDigests"][0].startswith(f"{far}@sha256:")
    fresh("pull", "-q", PLAIN, "--arch", "arm64", "list").ok()
    assert fresh("manifest", "exists", "list").code == 0


def test_credentials_are_the_destinations(lists: Pypod, shared_dir: Path) -> None:
    with Registry(users={"u": "p"}) as source, Registry(users={"u": "p"}) as target:
        lists("push", "-q", PLAIN, "--creds", "u:p", "bb:1", f"{source.host}/a:1").ok()
        lists("manifest", "create", PLAIN, "--creds", "u:p", "list", f"docker://{source.host}/a:1").ok()
        lists("rmi", "bb:1").ok()
        push = ("manifest", "push", PLAIN, "--creds", "u:p", "list")
        lists(*push, f"{source.host}/b:1").ok()
        source.forget()
        lists(*push, f"{target.host}/b:1").fails(125, source.host, "unauthorized")
        assert {item.status for item in source.requests} == {401}
        auth = {"auths": {source.host: {"auth": base64.b64encode(b"u:p").decode()}}}
        (shared_dir / "auth.json").write_text(json.dumps(auth))
        lists(*push, "--authfile", shared_dir / "auth.json", f"{target.host}/b:1").ok()


def test_directories_hold_lists(
    fresh: Pypod, registry: Registry, far: str, busybox_tar: Path, shared_dir: Path
) -> None:
    fresh("import", busybox_tar, "bb:1").ok()
    fresh("manifest", "create", PLAIN, "list", "bb:1", f"docker://{far}:arm64").ok()
    document = fresh("manifest", "inspect", "list").ok().json
    for name, kind in ((f"oci:{shared_dir}/layout:both", OCI_INDEX), (f"dir:{shared_dir}/dir", OCI_INDEX)):
        fresh("manifest", "push", PLAIN, "list", name).ok()
        fresh("manifest", "push", PLAIN, "-q", "list", name).ok()
        argv = ["skopeo", "inspect", "--raw", name]
        found = json.loads(subprocess.run(argv, check=True, capture_output=True, cwd="/").stdout)
        assert found["mediaType"] == kind and platforms(found) == ["linux/amd64", "linux/arm64/v8"]
        assert found["manifests"][1] == document["manifests"][1]
        for platform in ("amd64", "arm64"):
            into = shared_dir / "out" / f"{platform}.tar"
            into.parent.mkdir(exist_ok=True)
            copy = ["skopeo", "--override-arch", platform, "copy", "-q", name, f"oci-archive:{into}"]
            subprocess.run(copy, check=True, capture_output=True, cwd="/")
            into.unlink()
        if name.startswith("oci:"):
            pulled = fresh("pull", "-q", "--arch", "arm64", name).ok().out.strip()
            fresh("rmi", "-f", pulled).ok()
    # In "dir" nothing is compressed that was not: the list has the digests that it has in the store.
    assert found == document
    assert len(json.loads((shared_dir / "layout/index.json").read_text())["manifests"]) == 1
    assert not [path for path in shared_dir.rglob("*") if ".tmp" in path.name or path.name.startswith("blob-")]
    fresh("manifest", "push", "-f", "v2s2", "list", f"oci:{shared_dir}/layout").fails(125, "OCI manifests")
    (shared_dir / "mine").mkdir(mode=0o777)
    (shared_dir / "mine").chmod(0o777)
    (shared_dir / "mine" / "precious").write_text("x")
    fresh("manifest", "push", "list", f"dir:{shared_dir}/mine").fails(125, "not empty")
    registry.kill()
    try:
        before = sorted(shared_dir.rglob("*"))
        push = ("manifest", "push", PLAIN, "-q", "--retry", "0", "list", f"oci:{shared_dir}/new")
        fresh(*push).fails(125, registry.host)
        assert sorted(shared_dir.rglob("*")) == before
    finally:
        registry.start()


def put(registry: Registry, name: str, document: dict[str, Any]) -> str:
    """Upload a manifest as it is; its digest."""
    repository, tag = name.rsplit(":", 1)
    data = json.dumps(document).encode()
    url = f"http://{registry.host}/v2/{repository}/manifests/{tag}"
    request = urllib.request.Request(url, data, {"Content-Type": document["mediaType"]}, method="PUT")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def test_odd_manifests_in_registries(fresh: Pypod, registry: Registry, other: Registry, far: str) -> None:
    repository = far[far.index("/") + 1 :]
    data, document = remote(registry, f"{repository}:both")
    inner = {"mediaType": OCI_INDEX, "digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data)}
    inner["platform"] = {"os": "linux", "architecture": "amd64"}
    put(registry, f"{repository}:nested", {**document, "manifests": [inner]})
    fresh("manifest", "create", PLAIN, "list", f"docker://{far}:nested").fails(125, "lists within lists")
    fresh("manifest", "create", PLAIN, "--all", "list", f"docker://{far}:nested").fails(125, "lists within lists")
    assert fresh("images", "-q").ok().out == ""
    # An artifact has no platform, and goes along.
    single = remote(registry, f"{repository}:arm64")[1]
    single["config"]["mediaType"] = "application/vnd.example.thing"
    digest = put(registry, f"{repository}:thing", single)
    fresh("manifest", "create", PLAIN, "list", f"docker://{far}:thing", f"docker://{far}:amd64").ok()
    [thing, _] = fresh("manifest", "inspect", "list").ok().json["manifests"]
    assert thing["digest"] == digest and "platform" not in thing
    fresh("manifest", "push", PLAIN, "list", f"{other.host}/{fresh.mode}/things:1").ok()
    assert remote(other, f"{fresh.mode}/things@{digest}")[1] == single
    fresh("manifest", "push", PLAIN, "-f", "v2s2", "list", f"{other.host}/x:1").fails(125, "artifact")
    # What has gone from its registry is told by its digest.
    address = f"http://{registry.host}/v2/{repository}/manifests/{digest}"
    with urllib.request.urlopen(urllib.request.Request(address, method="DELETE"), timeout=20):
        pass
    fresh("manifest", "push", PLAIN, "list", f"{other.host}/{fresh.mode}/gone:1").fails(125, digest)
    assert other.count("PUT", "/gone/manifests/1") == 0
