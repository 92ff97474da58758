"""One registries.conf, read by pypod and by skopeo: both ask the same places, in the same repositories."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.registry import Registry
from support.remote_images import Image, Remote
from support.runner import Pypod

HERE = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(os.uname().machine, "linux/amd64")

# Not here, because pypod goes by the man page and by what is more specific: prefixes with a tag or a digest, a host
# beside a wildcard that matches as much of a name, a blocked registry whose location is elsewhere.
#
# {a} and {b} are registries, {digest} is the image's. Both have x/one, y/one and one; only {a} has x/only.
CASES: dict[str, tuple[str, str]] = {
    "a mirror": ("location = '{a}'\n[[registry.mirror]]\nlocation = '{b}'\ninsecure = true", "{a}/x/one:1"),
    "a mirror with a path": (
        "location = '{a}/x'\ninsecure = true\n[[registry.mirror]]\nlocation = '{b}/y'\ninsecure = true",
        "{a}/x/one:1",
    ),
    "a mirror that lacks it": (
        "location = '{a}'\ninsecure = true\n[[registry.mirror]]\nlocation = '{b}'\ninsecure = true",
        "{a}/x/only:1",
    ),
    "a mirror of a repository": (
        "location = '{a}/x/one'\ninsecure = true\n[[registry.mirror]]\nlocation = '{b}/one'\ninsecure = true",
        "{a}/x/one:1",
    ),
    "by digest only, a tag": (
        "location = '{a}'\ninsecure = true\nmirror-by-digest-only = true\n"
        "[[registry.mirror]]\nlocation = '{b}'\ninsecure = true",
        "{a}/x/one:1",
    ),
    "by digest only, a digest": (
        "location = '{a}'\ninsecure = true\nmirror-by-digest-only = true\n"
        "[[registry.mirror]]\nlocation = '{b}'\ninsecure = true",
        "{a}/x/one@{digest}",
    ),
    "tag-only, a digest": (
        "location = '{a}'\ninsecure = true\n"
        "[[registry.mirror]]\nlocation = '{b}'\ninsecure = true\npull-from-mirror = 'tag-only'",
        "{a}/x/one@{digest}",
    ),
    "tag-only, a tag": (
        "location = '{a}'\ninsecure = true\n"
        "[[registry.mirror]]\nlocation = '{b}'\ninsecure = true\npull-from-mirror = 'tag-only'",
        "{a}/x/one:1",
    ),
    "digest-only, a tag": (
        "location = '{a}'\ninsecure = true\n"
        "[[registry.mirror]]\nlocation = '{b}'\ninsecure = true\npull-from-mirror = 'digest-only'",
        "{a}/x/one:1",
    ),
    "pull-from-mirror beside mirror-by-digest-only": (
        "location = '{a}'\ninsecure = true\nmirror-by-digest-only = true\n"
        "[[registry.mirror]]\nlocation = '{b}'\ninsecure = true\npull-from-mirror = 'tag-only'",
        "{a}/x/one:1",
    ),
    "pull-from-mirror without a mirror": (
        "location = '{a}'\ninsecure = true\npull-from-mirror = 'tag-only'",
        "{a}/x/one:1",
    ),
    "an unknown pull-from-mirror": (
        "location = '{a}'\ninsecure = true\n"
        "[[registry.mirror]]\nlocation = '{b}'\ninsecure = true\npull-from-mirror = 'never'",
        "{a}/x/one:1",
    ),
    "a mirror without a location": (
        "location = '{a}'\ninsecure = true\n[[registry.mirror]]\ninsecure = true",
        "{a}/x/one:1",
    ),
    "the registry is elsewhere": (
        "prefix = 'r.example'\nlocation = '{a}/x'\ninsecure = true",
        "r.example/one:1",
    ),
    "the longest prefix": (
        "prefix = 'r.example'\nlocation = '{a}'\ninsecure = true\n"
        "[[registry]]\nprefix = 'r.example/x'\nlocation = '{b}/y'\ninsecure = true",
        "r.example/x/one:1",
    ),
    "a prefix ends at a component": (
        "prefix = 'r.example'\nlocation = '{a}'\ninsecure = true\n"
        "[[registry]]\nprefix = 'r.example/x/on'\nlocation = '{b}'\ninsecure = true",
        "r.example/x/one:1",
    ),
    "a prefix up to the repository": (
        "prefix = 'r.example/x/one'\nlocation = '{a}/y/one'\ninsecure = true",
        "r.example/x/one@{digest}",
    ),
    "a slash at the end": ("prefix = 'r.example/'\nlocation = '{a}/x/'\ninsecure = true", "r.example/one:1"),
    "two tables of a prefix": (
        "prefix = 'r.example'\nlocation = '{a}'\ninsecure = true\n"
        "[[registry]]\nprefix = 'r.example'\nlocation = '{b}'\ninsecure = true",
        "r.example/x/one:1",
    ),
    "two that contradict": (
        "location = '{a}'\ninsecure = true\n[[registry]]\nlocation = '{a}'\ninsecure = false",
        "{a}/x/one:1",
    ),
    "a wildcard": ("prefix = '*.example'\nlocation = '{a}/x'\ninsecure = true", "deep.r.example/one:1"),
    "a wildcard of a port": ("prefix = '*.example'\nlocation = '{a}/x'\ninsecure = true", "r.example:5000/one:1"),
    "a wildcard is not the domain": (
        "prefix = '*.r.example'\nlocation = '{a}'\ninsecure = true",
        "r.example/x/one:1",
    ),
    "a longer wildcard": (
        "prefix = '*.example'\nlocation = '{a}'\ninsecure = true\n"
        "[[registry]]\nprefix = '*.r.example'\nlocation = '{b}'\ninsecure = true",
        "q.r.example/x/one:1",
    ),
    "a wildcard with a path": ("prefix = '*.example/x'\nlocation = '{a}'\ninsecure = true", "r.example/x/one:1"),
    "a wildcard within": ("prefix = 'r.*.example'\nlocation = '{a}'\ninsecure = true", "r.q.example/x/one:1"),
    "a wildcard without a location": ("prefix = '*.example'\nblocked = true", "r.example/x/one:1"),
    "blocked": ("location = '{a}'\nblocked = true", "{a}/x/one:1"),
    "blocked in part": (
        "location = '{a}'\ninsecure = true\n[[registry]]\nlocation = '{a}/x'\nblocked = true",
        "{a}/x/one:1",
    ),
    "another part is blocked": (
        "location = '{a}'\ninsecure = true\n[[registry]]\nlocation = '{a}/x'\nblocked = true",
        "{a}/y/one:1",
    ),
    "allowed in part": (
        "location = '{a}'\nblocked = true\n[[registry]]\nlocation = '{a}/x'\ninsecure = true",
        "{a}/x/one:1",
    ),
    "blocked with a mirror": (
        "location = '{a}'\nblocked = true\n[[registry.mirror]]\nlocation = '{b}'\ninsecure = true",
        "{a}/x/one:1",
    ),
    "a blocked mirror": (
        "location = '{a}'\ninsecure = true\n[[registry.mirror]]\nlocation = '{b}'\ninsecure = true\n"
        "[[registry]]\nlocation = '{b}'\nblocked = true",
        "{a}/x/one:1",
    ),
    "rewritten to what is blocked": (
        "prefix = 'r.example'\nlocation = '{a}'\ninsecure = true\n[[registry]]\nlocation = '{a}'\nblocked = true",
        "r.example/x/one:1",
    ),
    "blocked, and the mirror lacks it": (
        "location = '{a}'\nblocked = true\n[[registry.mirror]]\nlocation = '{b}'\ninsecure = true",
        "{a}/x/only:1",
    ),
    "blocked, and the mirror is for digests": (
        "location = '{a}'\nblocked = true\n[[registry.mirror]]\nlocation = '{b}'\ninsecure = true\n"
        "pull-from-mirror = 'digest-only'",
        "{a}/x/one:1",
    ),
    "a location without a registry": ("prefix = 'r.example'\nlocation = 'nothing'", "r.example/x/one:1"),
    "a location with a slash": ("location = '{a}/'\nprefix = 'r.example'\ninsecure = true", "r.example/x/one:1"),
    "not insecure": ("location = '{a}'", "{a}/x/one:1"),
    "a prefix without a location": ("prefix = '{a}'\ninsecure = true", "{a}/x/one:1"),
    "neither prefix nor location": ("insecure = true", "{a}/x/one:1"),
    "a scheme": ("location = 'http://{a}'\ninsecure = true", "{a}/x/one:1"),
    "a word for a truth": ("location = '{a}'\ninsecure = 'yes'", "{a}/x/one:1"),
    "an unknown key": ("location = '{a}'\ninsecure = true\nsomething = 1", "{a}/x/one:1"),
    "not TOML": ("location = ", "{a}/x/one:1"),
}
WHOLE: dict[str, tuple[str, str]] = {
    "version 1": ("[registries.insecure]\nregistries = ['{a}']\n", "{a}/x/one:1"),
    "version 1, blocked": ("[registries.block]\nregistries = ['{a}']\n", "{a}/x/one:1"),
    "both versions": (
        "unqualified-search-registries = ['{a}']\n[registries.insecure]\nregistries = ['{a}']\n",
        "{a}/x/one:1",
    ),
    "an unknown mode": (
        "short-name-mode = 'never'\n[[registry]]\nlocation = '{a}'\ninsecure = true\n",
        "{a}/x/one:1",
    ),
    "a registry with a path to search in": (
        "unqualified-search-registries = ['{a}/x']\n[[registry]]\nlocation = '{a}'\ninsecure = true\n",
        "{a}/x/one:1",
    ),
    "an alias with a tag": (
        "[[registry]]\nlocation = '{a}'\ninsecure = true\n[aliases]\nz = '{a}/x/one:1'\n",
        "{a}/x/one:1",
    ),
    "an alias without a registry": (
        "[[registry]]\nlocation = '{a}'\ninsecure = true\n[aliases]\nz = 'x/one'\n",
        "{a}/x/one:1",
    ),
    "empty": ("", "{a}/x/one:1"),
}


class Pair:
    """Two registries, and an image in several of their repositories."""

    def __init__(self, a: Registry, b: Registry) -> None:
        self.a, self.b = a, b
        image: Image | None = None
        for registry, more in ((a, ["x/only"]), (b, [])):
            for repository in ["one", "x/one", "y/one", *more]:
                image = Remote(registry.port).image(repository, "1", [{"f": b"1"}], platform=HERE)
        assert image is not None
        self.digest = image.digest

    def fill(self, text: str) -> str:
        return text.format(a=self.a.host, b=self.b.host, digest=self.digest)

    def asked(self) -> list[list[str]]:
        """For each registry the manifests that it was asked for, without repetition."""
        found = []
        for registry in (self.a, self.b):
            paths = [item.path for item in registry.requests if "/manifests/" in item.path]
            found.append(list(dict.fromkeys(paths)))
            registry.forget()
        return found


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Registry() as a, Registry() as b:
        yield Pair(a, b)


@pytest.mark.parametrize("mode", ["root"], indirect=True)
@pytest.mark.parametrize("case", [*CASES, *WHOLE])
def test_the_same_places(fresh: Pypod, pair: Pair, shared_dir: Path, case: str) -> None:
    text, name = WHOLE[case] if case in WHOLE else ("[[registry]]\n" + CASES[case][0], CASES[case][1])
    conf = shared_dir / "registries.conf"
    conf.write_text(pair.fill(text) + "\n")
    where = f"docker://{pair.fill(name)}"
    pair.asked()
    theirs = subprocess.run(
        [box.need("skopeo"), "--registries-conf", conf, "inspect", "--raw", where],
        capture_output=True,
        cwd="/",
        check=False,
    )
    expected = pair.asked()
    ours = fresh("image", "inspect", "--raw", where, env={"CONTAINERS_REGISTRIES_CONF": str(conf)})
    shown = f"skopeo: {theirs.stderr.decode()}pypod: {ours.err}"
    assert (ours.code == 0) is (theirs.returncode == 0), shown
    assert pair.asked() == expected, shown
    if ours.code:
        ours.fails(125)


@pytest.mark.parametrize("mode", ["root"], indirect=True)
def test_info_shows_what_podman_shows(fresh: Pypod, shared_dir: Path) -> None:
    conf = shared_dir / "registries.conf"
    conf.write_text(
        """
        unqualified-search-registries = ["a.example", "b.example"]
        [[registry]]
        location = "b.example"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "m.example/x"
        insecure = true
        [[registry]]
        prefix = "*.c.example"
        location = "d.example"
        [[registry.mirror]]
        location = "m.example"
        pull-from-mirror = "tag-only"
        [[registry]]
        location = "e.example"
        blocked = true
        """
    )
    env = {"CONTAINERS_REGISTRIES_CONF": str(conf)}
    ours = fresh("info", "--format", "{{json .Registries}}", env=env).ok().json
    places = ["--root", shared_dir / "g", "--runroot", shared_dir / "r", "--storage-driver", "overlay"]
    theirs = subprocess.run(
        [box.need("podman"), *places, "info", "--format", "{{json .Registries}}"],
        capture_output=True,
        check=True,
        env={**fresh.environment(), **env},
        cwd="/",
    )
    assert ours == json.loads(theirs.stdout)
