"""JSON as a contract: what is printed is what `pypod schema` says, and podman's keys and types are in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from support import shapes
from support.peer import Podman
from support.runner import Pypod

IMAGE = "localhost/bb:1"
SLEEP = (IMAGE, "sleep", "100")

# Containers in many states, as root and rootless, by podman and by us: flags, image and command.
CONTAINERS: dict[str, tuple[str, ...]] = {
    "rich": (
        "run", "-d", "--network", "none", "-e", "A=1", "-l", "k=v", "--tmpfs", "/t", "-v", "/tmp:/mnt:ro",
        "-v", "named:/vol", "--restart", "on-failure:3", "--cap-add", "net_admin", "--cap-drop", "chown",
        "--secret", "hush", "--ulimit", "nofile=100:100", "--ulimit", "nproc=100:100", "--annotation", "x=y",
        "--device", "/dev/null:/dev/other", "--security-opt", "no-new-privileges", *SLEEP,
    ),
    "health": ("run", "-d", "--network", "none", "--health-cmd", "true", "--health-retries", "2", *SLEEP),
    "exited": ("run", "--network", "none", IMAGE, "sh", "-c", "echo > /new; exit 3"),
    "created": (
        "create", "--network", "none", "--entrypoint", "/bin/echo", "-t", "-i", "-u", "1:2", "--read-only",
        "--hostname", "other", "--expose", "99/udp", "--cidfile", "@/cid", "--group-add", "10", "--tz", "UTC",
        "--sysctl", "kernel.msgmax=9000", "--shm-size", "1m", IMAGE, "hi",
    ),
    "shared": ("create", "--network", "container:rich", "--pid", "container:rich", IMAGE, "true"),
}  # fmt: skip
ROOTLESS: dict[str, tuple[str, ...]] = {
    "slirp": ("run", "-d", "--network", "slirp4netns", "--dns", "1.2.3.4", "--add-host", "h:1.2.3.4", *SLEEP),
    "mapped": ("create", "--network", "none", "--userns", "keep-id", IMAGE, "true"),
}
ON_NETWORKS = ("create", "--network", "one:alias=foo", "--network", "two", "-p", "127.0.0.1::80", IMAGE, "true")
INSPECT = ("container", "inspect")


class Schemas:
    """What the installed pypod says its output is."""

    def __init__(self, pypod: Pypod) -> None:
        self.pypod = pypod
        self.known: dict[str, Any] = {}
        self.seen: set[str] = set()

    def check(self, name: str, value: Any) -> Any:
        """``value``, which has to be what the schema says."""
        if name not in self.known:
            self.known[name] = jsonschema.Draft202012Validator(self.pypod("schema", *name.split()).ok().json)
        self.seen.add(name)
        errors = [f"{error.json_path}: {error.message}" for error in self.known[name].iter_errors(value)]
        assert not errors, f"{name}: " + "; ".join(errors)[:2000]
        return value

    def __call__(self, name: str, *words: str | Path, code: int = 0) -> Any:
        """The output of a command, checked. ``name`` is the schema's; ``words`` the command line if it is another."""
        line = words or (*name.split(), "--format", "json")
        done = self.pypod(*line)
        assert done.code == code, done
        return self.check(name, done.json)


@pytest.fixture
def schemas(fresh: Pypod, busybox_tar: Path) -> Schemas:
    fresh("import", busybox_tar, IMAGE).ok()
    return Schemas(fresh)


def test_empty(fresh: Pypod) -> None:
    schemas = Schemas(fresh)
    for name in ("ps", "images", "volume ls", "secret ls", "quadlet list"):
        assert schemas(name) == []
    assert len(schemas("network ls")) == 1
    schemas("system df")
    schemas("system df --verbose", "system", "df", "-v", "--format", "json")
    schemas("info")
    schemas("version")
    schemas("image trust show", "image", "trust", "show", "--json")
    schemas.check("doctor", fresh("doctor", "--format", "json").json)
    assert schemas("inspect", "inspect", "nobody", code=125) == []
    assert fresh("schema").ok().lines == sorted(fresh("schema").ok().lines)
    fresh("schema", "imagse").fails(125, 'no schema for "imagse"', "images")


def test_errors(fresh: Pypod) -> None:
    if not fresh.rootless:
        return  # once is enough
    schemas = Schemas(fresh)
    for words in (("ps", "--nothing"), ("start", "nobody"), ("ps", "--filter", "x=y"), ("rmi", "nothing")):
        done = fresh("--log-format", "json", *words)
        assert done.code and done.err
        for line in done.err.splitlines():
            schemas.check("error", json.loads(line))


def make(tool: Pypod | Podman, shared_dir: Path, containers: dict[str, tuple[str, ...]]) -> None:
    """The containers and what they need."""
    place = shared_dir / type(tool).__name__
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    (place / "secret").write_text("hush")
    tool("secret", "create", "--label", "a=b", "hush", place / "secret").ok()
    tool("volume", "create", "--label", "a=b", "--opt", "o=uid=5", "named").ok()
    for name, (verb, *words) in containers.items():
        limits = getattr(tool, "limits", []) if name != "rich" else []
        done = tool(verb, "--name", name, *limits, *[word.replace("@", str(place), 1) for word in words])
        assert done.code == (3 if name == "exited" else 0), done
    tool("healthcheck", "run", "health").ok()


# Keys of podman's that ours lacks or has otherwise, each with its words in docs/from-podman.md.
OTHERWISE: dict[str, str] = {
    "container inspect [].Config.Annotations": "`.Config.Annotations` of a container that was never started",
    "volume ls [].NeedsCopyUp": "`NeedsCopyUp` of a volume mounted where the image has nothing",
    "volume inspect [].NeedsCopyUp": "`NeedsCopyUp` of a volume mounted where the image has nothing",
}


def compare(podman: Podman, pypod: Pypod, names: list[str]) -> None:
    """The same objects made by podman and by us: podman's keys are ours, with the same types."""
    found = {}
    for words in (
        ("ps", "-a", "--size", "--format", "json"),
        ("ps", "-a", "--ns", "--format", "json"),
        (*INSPECT, "--size", *names),
        ("image", "inspect", IMAGE),
        ("images", "--format", "json"),
        ("history", "--format", "json", IMAGE),
        ("volume", "ls", "--format", "json"),
        ("volume", "inspect", "named"),
        ("network", "ls", "--format", "json"),
        ("network", "inspect", "one"),
        ("secret", "inspect", "hush"),
        ("diff", "--format", "json", "exited"),
        ("manifest", "inspect", "localhost/list:1"),
        ("info", "--format", "json"),
        ("version", "--format", "json"),
        ("image", "trust", "show", "--json"),
    ):
        for path, text in shapes.differences(podman(*words).ok().json, pypod(*words).ok().json).items():
            found[" ".join(words[:2]) + " " + path] = text
    left = [f"{path}: {text}" for path, text in found.items() if path not in OTHERWISE]
    assert not left, "\n".join(left)
    assert set(OTHERWISE) <= set(found), "no longer different"
    document = (Path(__file__).parents[2] / "docs/from-podman.md").read_text()
    for path, reason in OTHERWISE.items():
        assert reason in document, path


def test_many_states(schemas: Schemas, busybox_tar: Path, shared_dir: Path) -> None:
    pypod = schemas.pypod
    states = {**CONTAINERS, **(ROOTLESS if pypod.rootless else {})}
    make(pypod, shared_dir, states)
    assert len(schemas("container inspect", *INSPECT, *states)) == len(states)
    assert schemas("inspect", "inspect", "rich", IMAGE, "named")
    schemas("container inspect", *INSPECT, "--size", "rich")
    for words in ((), ("-a", "--ns"), ("-a", "--size"), ("-a", "--external")):
        assert schemas("ps", "ps", *words, "--format", "json")
    for name in ("images", "volume ls", "secret ls", "system df", "info"):
        assert schemas(name)
    assert schemas("system df --verbose", "system", "df", "--verbose", "--format", "json")["Containers"]
    pypod("volume", "create", "--uid", "5", "--gid", "7", "owned").ok()
    [owned] = schemas("volume inspect", "volume", "inspect", "owned")
    assert (owned["UID"], owned["GID"], owned["Options"]) == (5, 7, {})
    schemas("secret inspect", "secret", "inspect", "--showsecret", "hush")
    assert schemas("diff", "diff", "--format", "json", "exited")["added"] == ["/new"]
    for line in pypod("events", "--stream=false", "--format", "json").ok().lines:
        schemas.check("events", json.loads(line))
    assert len(schemas("stats", "stats", "--no-stream", "--format", "json")) >= 2
    assert {row["State"] for row in schemas("ps", "ps", "-a", "--format", "json")} >= {"created", "exited", "running"}
    if not pypod.rootless:
        return  # once is enough; test_json compares a container of root's
    podman = Podman(pypod, busybox_tar)
    try:
        make(podman, shared_dir, states)
        for tool in (pypod, podman):
            tool("network", "create", "--label", "a=b", "one").ok()
            tool("network", "create", "two").ok()
            tool(*ON_NETWORKS[:1], "--name", "networked", *ON_NETWORKS[1:]).ok()
            tool("manifest", "create", "localhost/list:1").ok()
            tool("manifest", "add", "localhost/list:1", f"containers-storage:{IMAGE}").ok()
        compare(podman, pypod, [*states, "networked"])
    finally:
        podman.close()


def test_images(fresh: Pypod, busybox_tar: Path) -> None:
    pypod, schemas = fresh, Schemas(fresh)
    if pypod.rootless:
        return  # images are the same for all; root can mount them
    pypod("import", busybox_tar, IMAGE).ok()
    changes = ["-c", "ENV A=b", "-c", "LABEL a=b", "-c", "EXPOSE 80", "-c", "VOLUME /v", "-c", "USER user"]
    changes += ["-c", "WORKDIR /usr", "-c", "STOPSIGNAL 9", "-c", "CMD echo hi", "-c", 'ENTRYPOINT ["/bin/sh"]']
    pypod("create", "--name", "c", "--network", "none", IMAGE, "true").ok()
    health = ["-c", "HEALTHCHECK --interval=5s CMD true"]
    assert (
        pypod("commit", "-q", "--format", "docker", "-m", "why", "-a", "me", *changes, *health, "c", "two").code == 0
    )
    pypod("tag", IMAGE, "localhost/other:2").ok()
    pypod("manifest", "create", "localhost/list:1", IMAGE).ok()
    pypod("manifest", "annotate", "--annotation", "a=b", "--variant", "v8", "localhost/list:1", digest(pypod)).ok()
    for name in (IMAGE, "two", "localhost/other:2"):
        [one] = schemas("image inspect", "image", "inspect", name)
        assert schemas("inspect", "inspect", name) == [one]
        schemas("history", "history", "--format", "json", name)
    assert len(schemas("images")) == 4
    schemas("images", "images", "-a", "--format", "json")
    assert schemas("manifest inspect", "manifest", "inspect", "localhost/list:1")["manifests"]
    schemas("container inspect", *INSPECT, "c")
    pypod("create", "--name", "d", "--network", "none", "two").ok()
    [found] = schemas("container inspect", *INSPECT, "d")
    assert found["Config"]["ExposedPorts"] == {"80/tcp": {}}
    pypod("mount", "c").ok()
    assert schemas("mount")[0]["Names"] == ["c"]
    pypod("image", "mount", IMAGE).ok()
    assert schemas("image mount")
    pypod("umount", "c").ok()
    pypod("image", "umount", IMAGE).ok()


def digest(pypod: Pypod) -> str:
    found: str = pypod("manifest", "inspect", "localhost/list:1").ok().json["manifests"][0]["digest"]
    return found


@pytest.fixture
def networked(schemas: Schemas) -> Iterator[Schemas]:
    pypod = schemas.pypod
    pypod("network", "create", "--label", "a=b", "--ipv6", "--opt", "mtu=1400", "one").ok()
    pypod("network", "create", "--internal", "--disable-dns", "two").ok()
    yield schemas
    pypod("rm", "-f", "-a", "-t", "0").ok()
    pypod("network", "rm", "-f", "one", "two").ok()


def test_networks(networked: Schemas) -> None:
    pypod = networked.pypod
    pypod(*ON_NETWORKS[:1], "--name", "c", *ON_NETWORKS[1:]).ok()
    networked("container inspect", *INSPECT, "c")
    pypod("run", "-d", "--name", "d", "--network", "one", "--network", "two", "-p", "127.0.0.1::80", *SLEEP).ok()
    [found] = networked("container inspect", *INSPECT, "d")
    assert set(found["NetworkSettings"]["Networks"]) == {"one", "two"}
    networked("ps", "ps", "-a", "--format", "json")
    networked("network ls")
    rows = networked("network inspect", "network", "inspect", "one", "two", "podman")
    assert [len(row["containers"]) for row in rows] == [1, 1, 0]
    assert networked("inspect", "inspect", "two") == rows[1:2]
