"""``build`` beside podman's and buildah's own: the same images, in one store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, Result

BASE = "localhost/bb:1"
CONTAINERFILE = f"""FROM {BASE} AS first
ARG WORD
RUN echo $WORD > /word; chown 5:7 /word; chmod 4755 /word
FROM {BASE}
ENV A=b
COPY --from=first /word /got/
COPY --chown=1:2 file /
LABEL l=m
USER 1000
WORKDIR /got
CMD ["cat", "word"]
"""
SAME = ("--timestamp", "1600000000", "--build-arg", "WORD=x y", "--network", "none")


class Tools:
    """podman and buildah on a Pypod's store."""

    def __init__(self, pypod: Pypod) -> None:
        self.pypod = pypod
        self.places = ["--root", str(pypod.graphroot), "--runroot", str(pypod.runroot), "--storage-driver", "overlay"]

    def podman(self, *args: str | Path) -> Result:
        more = ["--runtime", box.runtime(), "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
        return self.pypod.as_user(box.need("podman"), *self.places, *more, *args)

    def buildah(self, *args: str | Path) -> Result:
        return self.pypod.as_user(box.need("buildah"), *self.places, *args)


@pytest.fixture
def tools(fresh: Pypod, busybox_tar: Path) -> Iterator[Tools]:
    tools = Tools(fresh)
    fresh("import", busybox_tar, BASE).ok()
    yield tools
    if fresh.rootless:
        tools.podman("system", "migrate")  # ends its pause process


@pytest.fixture
def context(shared_dir: Path) -> Path:
    place = shared_dir / "context"
    place.mkdir(mode=0o755)
    for name, text in (
        ("Containerfile", CONTAINERFILE),
        ("file", "text\n"),
        ("ignored", ""),
        (".dockerignore", "ign*\n"),
    ):
        (place / name).write_text(text)
        (place / name).chmod(0o644)
    return place


def test_the_same_image_as_podman_builds(tools: Tools, context: Path) -> None:
    pypod = tools.pypod
    [ours] = pypod("build", "-q", *SAME, "-t", "ours", context).ok().lines
    [theirs] = tools.podman("build", "-q", "--no-cache", *SAME, "-t", "theirs", context).ok().lines
    assert ours == theirs
    # The cache of either is the other's.
    cached = tools.podman("build", *SAME, context).ok()
    assert cached.lines[-1] == ours and "Using cache" in cached.out
    assert pypod("system", "check").ok().out == ""


@pytest.mark.parametrize("flags", [("--squash",), ("--squash-all",), ("--layers=false",)])
def test_the_same_layers_with_flags(tools: Tools, context: Path, flags: tuple[str, ...]) -> None:
    pypod = tools.pypod
    [ours] = pypod("build", "-q", *SAME, *flags, context).ok().lines
    [theirs] = tools.podman("build", "-q", "--no-cache", *SAME, *flags, context).ok().lines
    assert ours == theirs


def test_all_see_it_run_it_and_remove_it(tools: Tools, context: Path) -> None:
    pypod = tools.pypod
    [id] = pypod("build", "-q", *SAME, "-t", "img", context).ok().lines
    for seen in (
        tools.podman("images", "-q", "--no-trunc", "img"),
        tools.buildah("images", "-q", "--no-trunc", "img"),
        pypod("images", "-q", "--no-trunc", "img"),
    ):
        assert seen.ok().out == f"sha256:{id}\n"
    assert pypod("run", "--rm", "--network", "none", "img").ok().out == "x y\n"
    look = ("sh", "-c", "stat -c '%n %a %u %g' /got/word /file; id -u; pwd; echo $A")
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
    ours = pypod("run", "--rm", "--network", "none", "img", *look).ok().out
    assert ours == "/got/word 4755 5 7\n/file 644 1 2\n1000\n/got\nb\n"
    assert tools.podman("run", "--rm", "--network", "none", *limits, "img", *look).ok().out == ours
    tools.podman("rmi", "img").ok()
    assert pypod("image", "exists", "img").code == 1
    assert pypod("system", "check").ok().out == ""


def test_what_fails_fails_alike(tools: Tools, context: Path) -> None:
    for containerfile, flags in (
        (f"FROM {BASE}\nRUN exit 9\n", ()),
        (f"FROM {BASE}\nRUN /nowhere\n", ()),
        (f"FROM {BASE}\nCOPY nothing /\n", ()),
        (f"FROM {BASE}\nWORD\n", ()),
        ("RUN true\n", ()),
        ("FROM localhost/nothing\n", ("--pull=never",)),
        (f"FROM {BASE}\n", ("--target", "nothing")),
        (f"FROM {BASE}\n", ("--squash", "--layers")),
        (f"FROM {BASE}\n", ("--jobs", "many")),
        (f"FROM {BASE}\n", ("--memory", "much")),
    ):
        (context / "Containerfile").write_text(containerfile)
        ours = tools.pypod("build", "--network", "none", *flags, context)
        theirs = tools.podman("build", "--network", "none", *flags, context)
        assert ours.code == theirs.code != 0, (ours, theirs)
    assert tools.pypod("ps", "-a", "-q", "--external").ok().out == ""
