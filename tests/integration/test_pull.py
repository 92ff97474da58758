"""Pulls from a real registry, and from the other places that an image may be in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.registry import Registry
from support.remote_images import OCI_INDEX, Remote, digest
from support.runner import Pypod

NO_TLS = "--tls-verify=false"
HERE = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(os.uname().machine, "linux/amd64")
OTHER = "linux/s390x"


class Place:
    """The registry of this module and what is in it."""

    def __init__(self, registry: Registry, busybox: bytes) -> None:
        self.registry = registry
        self.remote = Remote(registry.port)
        base = {"etc/": b"", "etc/base": b"x" * 5000}
        self.one = self.remote.image("a", "1", [base, {"etc/one": b"1"}], platform=HERE)
        self.two = self.remote.image("a", "2", [base, {"etc/two": b"2"}], platform=HERE)
        self.other = self.remote.image("multi", "other", [base, {"etc/other": b"o"}], platform=OTHER)
        self.mine = self.remote.image("multi", "mine", [base, {"etc/mine": b"m"}], platform=HERE)
        self.index = self.remote.index("multi", "1", [(self.other, OTHER), (self.mine, HERE)])
        self.shell = self.remote.image("shell", "1", [busybox], platform=HERE, config={"Cmd": ["/bin/sh"]})

    def name(self, rest: str) -> str:
        return f"{self.registry.host}/{rest}"


@pytest.fixture(scope="module")
def place(busybox_tar: Path) -> Iterator[Place]:
    with Registry() as registry:
        yield Place(registry, busybox_tar.read_bytes())


@pytest.fixture(autouse=True)
def forget(place: Place) -> None:
    place.registry.forget()


def images(pypod: Pypod) -> dict[str, list[str]]:
    """The store's images by id, with their names."""
    return {item["Id"]: item.get("Names") or [] for item in pypod("images", "-a", "--format", "json").ok().json}


def untouched(pypod: Pypod) -> None:
    """Nothing of an image is in the store, nor anything on its way there."""
    assert images(pypod) == {}
    pypod("system", "check", "--max", "0s").ok()
    assert pypod.graphroot is not None
    overlay = pypod.graphroot / "overlay"
    assert [item for item in os.listdir(overlay) if len(item) == 64] == [] if overlay.exists() else True


def test_a_tag(fresh: Pypod, place: Place) -> None:
    done = fresh("pull", NO_TLS, place.name("a:1")).ok()
    assert done.lines == [place.one.id]
    said = done.err.splitlines()
    said[2:4] = sorted(said[2:4])  # the layers come side by side
    assert said == [
        f"Trying to pull {place.name('a:1')}...",
        "Getting image source signatures",
        *sorted(f"Copying blob {item}" for item in place.one.layers),
        f"Copying config {place.one.config}",
        "Writing manifest to image destination",
    ]
    found = fresh("image", "inspect", place.name("a:1")).ok().json[0]
    assert found["RepoTags"] == [place.name("a:1")] and found["Digest"] == place.one.digest
    assert found["RepoDigests"] == [place.name(f"a@{place.one.digest}")]
    fresh("system", "check").ok()

    # Nothing is fetched twice: of an image with the same base only its own layer, of the same image nothing.
    place.registry.forget()
    quiet = fresh("pull", "-q", NO_TLS, place.name("a:2")).ok()
    assert (quiet.lines, quiet.err) == ([place.two.id], "")
    assert [item.path.rpartition("/")[2] for item in place.registry.requests if "/blobs/" in item.path] == [
        place.two.config,
        place.two.layers[1],
    ]
    place.registry.forget()
    assert fresh("pull", NO_TLS, place.name("a:2")).ok().lines == [place.two.id]
    assert place.registry.count("GET", "/blobs/") == 0

    # A tag that has moved takes its name along.
    moved = place.remote.manifest("a", "moving", json.loads(place.one.data))
    assert moved.digest == place.one.digest
    fresh("pull", "-q", NO_TLS, place.name("a:moving")).ok()
    place.remote.manifest("a", "moving", json.loads(place.two.data))
    fresh("pull", "-q", NO_TLS, place.name("a:moving")).ok()
    assert images(fresh) == {
        place.one.id: [place.name("a:1")],
        place.two.id: [place.name("a:moving"), place.name("a:2")],
    }


def test_a_digest(fresh: Pypod, place: Place) -> None:
    pinned = place.name(f"a@{place.one.digest}")
    assert fresh("pull", "-q", NO_TLS, pinned).ok().lines == [place.one.id]
    assert images(fresh) == {place.one.id: [pinned]}
    found = fresh("image", "inspect", pinned).ok().json[0]
    assert (found["RepoTags"], found["RepoDigests"]) == ([], [pinned])
    fresh("pull", "-q", NO_TLS, place.name("a:1")).ok()
    # Of a tag and a digest the digest counts.
    fresh("pull", "-q", NO_TLS, place.name(f"a:nosuch@{place.one.digest}")).ok()
    assert images(fresh) == {place.one.id: [pinned, place.name("a:1")]}
    wrong = "sha256:" + "0" * 64
    fresh("pull", NO_TLS, place.name(f"a@{wrong}")).fails(125, f"a@{wrong}", "manifest unknown")


def test_the_platform_of_an_index(fresh: Pypod, place: Place) -> None:
    name = place.name("multi:1")
    assert fresh("pull", "-q", NO_TLS, name).ok().lines == [place.mine.id]
    found = fresh("image", "inspect", name).ok().json[0]
    repository = place.name("multi")
    assert found["RepoDigests"] == sorted(f"{repository}@{item.digest}" for item in (place.mine, place.index))
    assert found["Digest"] == place.index.digest
    assert fresh("pull", "-q", NO_TLS, "--platform", OTHER, name).ok().lines == [place.other.id]
    assert images(fresh) == {place.mine.id: [], place.other.id: [name]}
    assert fresh("pull", "-q", NO_TLS, "--arch", "s390x", "--policy=missing", name).ok().lines == [place.other.id]
    assert fresh("pull", "-q", NO_TLS, "--policy", "missing", name).ok().lines == [place.other.id]
    assert fresh("pull", "-q", NO_TLS, "--policy", "missing", "--platform", HERE, name).ok().lines == [place.mine.id]
    fresh("pull", NO_TLS, "--platform", "linux/riscv64", name).fails(
        125, name, "no image is for linux/riscv64", HERE, OTHER
    )
    # An index is known by its digest, too.
    pinned = f"{repository}@{place.index.digest}"
    assert fresh("pull", "-q", NO_TLS, pinned).ok().lines == [place.mine.id]
    assert images(fresh)[place.mine.id] == [pinned, name]
    # An image that is for one platform only is what it is, and that is said.
    done = fresh("pull", NO_TLS, place.name("multi:other")).ok()
    assert f"image platform ({OTHER})" in done.err and done.lines == [place.other.id]
    fresh("pull", NO_TLS, "--platform", "linux/", name).fails(125, "invalid platform syntax")


def test_all_tags(fresh: Pypod, place: Place) -> None:
    done = fresh("pull", NO_TLS, "-a", place.name("multi")).ok()
    assert sorted(done.lines) == sorted([place.mine.id, place.mine.id, place.other.id])
    found = images(fresh)
    assert found.keys() == {place.mine.id, place.other.id}
    assert sorted(found[place.mine.id]) == [place.name("multi:1"), place.name("multi:mine")]
    assert found[place.other.id] == [place.name("multi:other")]
    fresh("pull", NO_TLS, "-a", place.name("multi:1")).fails(125, "--all-tags")
    fresh("pull", NO_TLS, "-a", "dir:/nonexistent").fails(125, "not supported for dir")
    fresh("pull", NO_TLS, "-a", place.name("nosuch")).fails(125, place.name("nosuch"))


def test_policies(fresh: Pypod, place: Place) -> None:
    name = place.name("a:changing")
    place.remote.manifest("a", "changing", json.loads(place.one.data))

    def asked() -> int:
        count = len(place.registry.requests)
        place.registry.forget()
        return count

    fresh("pull", NO_TLS, "--policy", "never", name).fails(125, "image not known")
    asked()
    assert fresh("pull", "-q", NO_TLS, "--policy", "missing", name).ok().lines == [place.one.id]
    assert asked()
    for policy in ("missing", "never"):
        done = fresh("pull", NO_TLS, "--policy", policy, name).ok()
        assert (done.lines, done.err, asked()) == ([place.one.id], "", 0)
    assert fresh("pull", NO_TLS, "--policy", "newer", name).ok().err == ""
    assert asked() and not place.registry.count("GET", "/blobs/")
    place.remote.manifest("a", "changing", json.loads(place.two.data))
    assert fresh("pull", "-q", NO_TLS, "--policy", "newer", name).ok().lines == [place.two.id]
    fresh("pull", NO_TLS, "--policy", "sometimes", name).fails(125, "sometimes")
    # An id can only be found here.
    fresh("pull", NO_TLS, place.two.id).fails(125, "referred to by ID")
    assert fresh("pull", NO_TLS, "--policy", "missing", place.two.id[:20]).ok().lines == [place.two.id]
    fresh("pull", NO_TLS, "sha256:" + "0" * 64).fails(125, "image not known")
    # What is here does when nobody answers.
    assert fresh("pull", "--policy", "newer", "--retry", "0", "-q", name).ok().lines == [place.two.id]


def test_run_pulls_what_is_not_here(fresh: Pypod, place: Place) -> None:
    name = place.name("shell:1")
    run = ("run", "--rm", "--network", "none")
    fresh(*run, "--pull", "never", name, "true").fails(125, "image not known")
    done = fresh(*run, NO_TLS, name, "echo", "done").ok()
    assert done.out == "done\n" and f"Trying to pull {name}..." in done.err
    place.registry.forget()
    done = fresh(*run, name, "echo", "again").ok()
    assert (done.out, done.err, place.registry.requests) == ("again\n", "", [])
    done = fresh(*run, NO_TLS, "--pull", "always", "-q", name, "echo", "fresh").ok()
    assert (done.out, done.err) == ("fresh\n", "") and place.registry.count("GET", "/manifests/")
    fresh(*run, NO_TLS, place.name("nosuch"), "true").fails(125, f"docker://{place.name('nosuch:latest')}")
    # Of another platform than is asked for: it is pulled, if there is one.
    fresh("rmi", "-a", "-f").ok()
    fresh("tag", fresh("pull", "-q", NO_TLS, place.name("multi:other")).ok().lines[0], place.name("multi:1")).ok()
    made = fresh("create", NO_TLS, "--platform", HERE, "--name", "c", place.name("multi:1"), "/x").ok()
    assert len(made.lines) == 1 and fresh.inspect("c")["Image"] == place.mine.id
    fresh("create", "--pull", "never", "--platform", OTHER, place.name("multi:1"), "/x").fails(125, "not known")


def test_run_on_a_terminal_shows_a_bar(fresh: Pypod, place: Place) -> None:
    done = fresh("run", "--rm", "--network", "none", NO_TLS, place.name("shell:1"), "echo", "done", tty=True)
    assert done.code == 0
    assert "Copying blob" in done.out and "[" in done.out and "MB" in done.out
    assert done.out.rstrip().endswith("done")


def test_containers_conf_says_when_to_pull(fresh: Pypod, place: Place, shared_dir: Path) -> None:
    conf = shared_dir / "containers.conf"
    conf.write_text('[engine]\npull_policy = "never"\n')
    env = {"CONTAINERS_CONF": str(conf)}
    fresh("create", NO_TLS, place.name("shell:1"), env=env).fails(125, "image not known")
    assert place.registry.requests == []
    fresh("create", NO_TLS, "--pull", "missing", place.name("shell:1"), env=env).ok()


def test_events_for_scripts(fresh: Pypod, place: Place) -> None:
    done = fresh("pull", NO_TLS, "--progress", "json", place.name("a:1")).ok()
    events = [json.loads(line) for line in done.err.splitlines()]
    assert done.lines == [place.one.id]
    assert {item["event"] for item in events} <= {"message", "begin", "progress", "end"}
    for layer in place.one.layers:
        told = [item for item in events if item.get("id") == layer]
        assert (told[0]["event"], told[-1]["event"]) == ("begin", "end")
        assert told[-1]["current"] == told[-1]["total"] > 0


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "an artifact": (
        lambda made: made["config"].update(mediaType="text/plain"),
        "no image but an artifact of the type text/plain",
    ),
    "another number of layers": (lambda made: made["layers"].pop(), "the config has 2 diff_ids, the manifest 1"),
    "an encrypted layer": (lambda made: made["layers"][1].update(mediaType="a+encrypted"), "is encrypted"),
    "a config of another size": (lambda made: made["config"].update(size=1), " bytes, not 1"),
    "a layer of another size": (lambda made: made["layers"][1].update(size=made["layers"][1]["size"] + 1), "bytes"),
    "layers that have changed places": (lambda made: made["layers"].reverse(), "uncompressed digest"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_nothing(fresh: Pypod, place: Place, name: str) -> None:
    change, message = REFUSED[name]
    document = json.loads(place.one.data)
    change(document)
    place.remote.manifest("a", "bad", document)
    fresh("pull", NO_TLS, "--retry", "0", place.name("a:bad")).fails(125, place.name("a:bad"), message)
    untouched(fresh)


def test_a_config_that_is_none(fresh: Pypod, place: Place) -> None:
    document = json.loads(place.one.data)
    for content, message in ((b"{}", "rootfs"), (b"[", "JSON|Expecting"), (b'{"rootfs": 5}', "rootfs")):
        document["config"] |= {"digest": place.remote.blob("a", content), "size": len(content)}
        place.remote.manifest("a", "bad", document)
        done = fresh("pull", NO_TLS, place.name("a:bad")).fails(125, place.name("a:bad"))
        assert any(word in done.err for word in message.split("|")), done.err
    untouched(fresh)


def test_what_the_policy_rejects_is_not_fetched(fresh: Pypod, place: Place, shared_dir: Path) -> None:
    policy = shared_dir / "policy.json"
    policy.write_text('{"default": [{"type": "reject"}]}')
    for verb in ("pull", "create"):
        done = fresh(verb, NO_TLS, "--signature-policy", policy, place.name("a:1"))
        done.fails(125, "Source image rejected", place.name("a:1"))
    assert place.registry.count("GET", "/blobs/") == 0
    untouched(fresh)


def test_with_tls_and_a_password(fresh: Pypod, place: Place, busybox_tar: Path) -> None:
    with Registry(tls=True, users={"u": "secret"}) as registry:
        name = f"{registry.host}/x:1"
        fresh("import", busybox_tar, name).ok()
        secure = ("--cert-dir", registry.certs_dir, "--retry", "0")
        fresh("push", *secure, "--creds", "u:secret", name).ok()
        fresh("rmi", name).ok()
        fresh("pull", *secure, "--creds", "u:secret", "-q", name).ok()
        wrong = fresh("pull", *secure, "--creds", "u:wrong", name).fails(125, name)
        assert "wrong" not in wrong.err.replace("u:wrong", "").replace(name, "")
        fresh("pull", *secure, name).fails(125, name)
        fresh("pull", "--creds", "u:secret", "--retry", "0", name).fails(125, "certificate")


def test_two_pulls_at_once(fresh: Pypod, place: Place) -> None:
    name = place.name("shell:1")
    running = [fresh.popen("pull", "-q", NO_TLS, name) for _ in range(2)]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert out.decode().split() == [place.shell.id]
    assert images(fresh) == {place.shell.id: [name]}
    fresh("system", "check").ok()


def test_all_that_can_be_of_several_is_told(fresh: Pypod, place: Place) -> None:
    done = fresh("pull", NO_TLS, "-q", place.name("nosuch"), place.name("a:1"), place.name("a:nope"))
    assert done.code == 125 and done.lines == [place.one.id]
    assert [line[:6] for line in done.err.splitlines()] == ["Error:", "Error:"]


def test_every_other_place(fresh: Pypod, place: Place, shared_dir: Path) -> None:
    name = place.name("a:1")
    fresh("pull", "-q", NO_TLS, name).ok()
    fresh("pull", "-q", NO_TLS, place.name("a:2")).ok()
    docker, several, oci, layout, plain = (
        shared_dir / item for item in ("d.tar", "many.tar", "o.tar", "layout", "dir")
    )
    fresh("save", "-q", "-o", docker, name).ok()
    fresh("save", "-q", "-m", "-o", several, name, place.name("a:2")).ok()
    fresh("save", "-q", "--format", "oci-archive", "-o", oci, name).ok()
    fresh("save", "-q", "--format", "oci-dir", "-o", layout, name).ok()
    fresh("save", "-q", "--format", "oci-dir", "-o", layout, place.name("a:2")).ok()
    fresh("save", "-q", "--format", "docker-dir", "-o", plain, name).ok()
    one, two = place.one.id, place.two.id
    pulls = [
        (f"docker-archive:{docker}", one, [name]),
        (f"docker-archive:{docker}:{name}", one, [name]),
        (f"docker-archive:{several}:@1", two, [place.name("a:2")]),
        (f"docker-archive:{several}:{name}", one, [name]),
        (f"oci-archive:{oci}", one, [name]),
        (f"oci-archive:{oci}:{name}", one, [name]),
        (f"oci:{layout}:{place.name('a:2')}", two, [place.name("a:2")]),
        (f"dir:{plain}", one, []),
    ]
    for source, id, names in pulls:
        fresh("rmi", "-a", "-f").ok()
        shown = fresh("image", "inspect", source).ok().json[0]
        assert (shown["Id"], shown["RepoTags"]) == (id, names), source
        done = fresh("pull", source).ok()
        assert done.lines == [id] and images(fresh) == {id: names}, source
        assert done.err.startswith("Getting image source signatures\nCopying blob sha256:"), done.err
    assert fresh("pull", f"containers-storage:{one}").ok().lines == [one]
    fresh("rmi", "-a", "-f").ok()
    refused = [
        (f"docker-archive:{several}", "2 images"),
        (f"docker-archive:{several}:@2", "@2"),
        (f"docker-archive:{several}:nosuch", "not found"),
        (f"docker-archive:{oci}", "oci"),
        (f"oci:{layout}", "2 images"),
        (f"oci:{layout}:nosuch", "nosuch"),
        (f"oci:{oci}", "not a directory"),
        (f"oci-archive:{layout}", "a directory"),
        (f"dir:{layout}", "dir"),
        ("oci:/nonexistent/x:y", "No such file"),
        ("containers-storage:nosuch", "not known"),
        ("docker-daemon:x:1", "not supported"),
        ("docker-archive:", "nothing follows"),
        ("no name", "invalid reference format"),
        ("docker://Upper", "lowercase"),
    ]
    for source, message in refused if fresh.rootless else ():
        fresh("pull", source).fails(125, message)
    untouched(fresh)


def test_a_look_at_what_is_in_a_registry(fresh: Pypod, place: Place) -> None:
    name = place.name("multi:1")
    look = ("image", "inspect", NO_TLS)
    shown = fresh(*look, f"docker://{name}").ok().json[0]
    assert place.registry.count("GET", "/blobs/") == 1 and images(fresh) == {}  # the config
    fresh("pull", "-q", NO_TLS, name).ok()
    local = fresh(*look, name).ok().json[0]
    different = {key for key in local if local[key] != shown.get(key)}
    assert different <= {"Size", "VirtualSize", "GraphDriver", "NamesHistory"} and set(local) == set(shown)
    assert shown["Size"] == sum(item["size"] for item in json.loads(place.mine.data)["layers"])
    fresh(*look, f"containers-storage:{name}").ok()

    other = fresh(*look, "--platform", OTHER, "--format", "{{.Id}} {{.Architecture}}", f"docker://{name}").ok()
    assert other.lines == [f"{place.other.id} s390x"]
    raw = fresh(*look, "--raw", f"docker://{name}").ok().out
    assert digest(raw.encode()) == place.index.digest
    assert digest(fresh(*look, "--raw", name).ok().out.encode()) == place.mine.digest
    for config in (f"docker://{name}", name):
        assert digest(fresh(*look, "--config", config).ok().out.encode()) == place.mine.config
    mixed = fresh(*look, f"docker://{place.name('nosuch:1')}", name)
    assert mixed.code == 125 and len(mixed.json) == 1 and "manifest unknown" in mixed.err


def test_odd_indexes(fresh: Pypod, place: Place) -> None:
    inner = place.remote.image("odd", "1", [{"x": b"x"}], platform=HERE)
    lone = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    place.remote.manifest("odd", "empty", lone)
    fresh("pull", NO_TLS, place.name("odd:empty")).fails(125, "lists no manifests")
    for depth in range(6):
        inner = place.remote.index("odd", f"deep{depth}", [(inner, "")])
    assert fresh("pull", "-q", NO_TLS, place.name("odd:deep1")).ok().lines
    fresh("rmi", "-a", "-f").ok()
    fresh("pull", NO_TLS, place.name("odd:deep5")).fails(125, "indexes within indexes")
    untouched(fresh)


def test_another_store(fresh: Pypod, place: Place, pypod: Pypod) -> None:
    name = place.name("multi:1")
    fresh("pull", "-q", NO_TLS, name).ok()
    source = f"containers-storage:[{fresh.graphroot}+{fresh.runroot}]{name}"
    try:
        done = pypod("pull", source).ok()
        assert done.lines == [place.mine.id] and images(pypod)[place.mine.id] == [name]
        kept = pypod("image", "inspect", name).ok().json[0]["RepoDigests"]
        assert kept == fresh("image", "inspect", name).ok().json[0]["RepoDigests"]
        pypod("pull", f"containers-storage:[{fresh.graphroot}+{fresh.runroot}]nosuch").fails(125, "not known")
    finally:
        pypod("rmi", "-f", name).ok()


def test_a_container_is_not_replaced_by_one_that_cannot_be(fresh: Pypod, place: Place) -> None:
    fresh("create", "-q", NO_TLS, "--name", "c", place.name("a:1"), "/x").ok()
    fresh("create", NO_TLS, "--name", "c", "--replace", place.name("nosuch"), "/x").fails(125, "manifest unknown")
    assert fresh.names() == ["c"]


def test_a_run_with_ids_of_its_own_pulls(fresh: Pypod, place: Place, auto: dict[str, str]) -> None:
    """Who has pulled must be able to go into further namespaces."""
    mode = "auto" if auto else "keep-id"
    run = ("run", "--rm", "-q", "--network", "none", f"--userns={mode}", NO_TLS, place.name("shell:1"), "echo", "x")
    assert fresh(*run, env=auto).ok().out == "x\n"


def test_mirrors_and_short_names(fresh: Pypod, place: Place, shared_dir: Path) -> None:
    host = place.registry.host
    with Registry() as mirror:
        base = {"etc/": b"", "etc/base": b"x" * 5000}
        copy = Remote(mirror.port).image("copy/a", "1", [base, {"etc/one": b"1"}], platform=HERE)
        assert copy.digest == place.one.digest
        conf = shared_dir / "registries.conf"
        conf.write_text(
            f"unqualified-search-registries = ['{host}']\n"
            f"[[registry]]\nlocation = '{host}'\ninsecure = true\n"
            f"[[registry.mirror]]\nlocation = 'localhost:1/none'\ninsecure = true\n"
            f"[[registry.mirror]]\nlocation = '{mirror.host}/copy'\ninsecure = true\n"
        )
        env = {"CONTAINERS_REGISTRIES_CONF": str(conf)}
        done = fresh("pull", "--retry", "0", "a:1", env=env).ok()
        assert done.err.splitlines()[:2] == [
            f'Resolving "a" using unqualified-search registries ({conf})',
            f"Trying to pull {host}/a:1...",
        ]
        assert images(fresh) == {place.one.id: [f"{host}/a:1"]}
        assert place.registry.requests == [] and mirror.count("GET", "/blobs/") == 3
        # What the mirror has not comes from the registry; so does all when it is down.
        assert fresh("pull", "-q", "--retry", "0", "a:2", env=env).ok().lines == [place.two.id]
        done = fresh("pull", "--retry", "0", "a:nope", env=env)
        done.fails(125, "mirrors also failed", "localhost:1", mirror.host, "manifest unknown")
        mirror.kill()
        fresh("rmi", "-a", "-f").ok()
        assert fresh("pull", "-q", "--retry", "0", f"{host}/a:1", env=env).ok().lines == [place.one.id]
