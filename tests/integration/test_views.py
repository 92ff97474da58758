"""``system df``, ``image tree``, ``diff`` of two, ``rmi`` and ``image prune``: what is shown and what goes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, Result


@pytest.fixture
def loaded(fresh: Pypod, busybox_tar: Path) -> Iterator[Pypod]:
    fresh("import", "-q", busybox_tar, "localhost/bb:1").ok()
    yield fresh
    fresh("volume", "prune", "-f")


def podman(pypod: Pypod, *args: str) -> Result:
    places = ["--root", str(pypod.graphroot), "--runroot", str(pypod.runroot), "--storage-driver", "overlay"]
    more = ["--runtime", box.runtime(), "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
    return pypod.as_user(box.need("podman"), *places, *more, *args, timeout=60)


def add(pypod: Pypod, name: str, **files: str) -> None:
    """An image of a few files, each with its text."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    pypod("import", "-q", "-", name, input=out.getvalue()).ok()


def test_system_df(loaded: Pypod) -> None:
    loaded("tag", "bb:1", "localhost/again:2").ok()
    add(loaded, "localhost/small:1", a="12345")
    command = ("sh", "-c", "echo hello > /v/x; echo four > /f; ln /f /g")
    loaded("run", "--name", "one", "--network", "none", "-v", "vol:/v", "bb:1", *command).ok()
    found = {item["Type"]: item for item in loaded("system", "df", "--format", "json").ok().json}
    keys = ["Type", "Total", "Active", "RawSize", "RawReclaimable", "TotalCount", "Size", "Reclaimable"]
    assert all(list(item) == keys for item in found.values())
    assert list(found) == ["Images", "Containers", "Local Volumes"]
    sizes = [loaded("image", "inspect", "--format", "{{.Size}}", name).ok().out for name in ("bb:1", "small:1")]
    images = found["Images"]
    assert (images["Total"], images["Active"]) == (2, 1)  # two names of one image count once
    assert (images["RawSize"], images["RawReclaimable"]) == (int(sizes[0]) + int(sizes[1]), int(sizes[1]))
    assert [found["Containers"][key] for key in ("Total", "Active", "RawSize", "Reclaimable")] == [
        1,
        0,
        5,
        "5B (100%)",
    ]
    assert [found["Local Volumes"][key] for key in ("Total", "Active", "Size")] == [1, 1, "6B"]
    text = loaded("system", "df").ok().lines
    assert text[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    verbose = loaded("system", "df", "-v").ok()
    assert [line for line in verbose.lines if line.endswith("space usage:")] == [
        "Images space usage:",
        "Containers space usage:",
        "Local Volumes space usage:",
    ]
    whole = loaded("system", "df", "-v", "--format", "json").ok().json
    assert whole["Volumes"] == [{"VolumeName": "vol", "Links": 1, "Size": 6, "ReclaimableSize": 0}]
    assert sum(item["SharedSize"] for item in whole["Images"]) == 0
    loaded("system", "df", "-v", "--format", "{{.Type}}").fails(125, "cannot combine")


def test_df_counts_what_others_leave_out(loaded: Pypod) -> None:
    id = "f" * 64
    done = (
        f"mkdir -p {loaded.graphroot}/overlay-layers/{id}; echo 12345 > {loaded.graphroot}/overlay-layers/{id}/data"
    )
    loaded.as_user("sh", "-c", done).ok()
    found = {item["Type"]: item for item in loaded("system", "df", "--format", "json").ok().json}
    assert (found["Leftovers"]["Total"], found["Leftovers"]["RawReclaimable"]) == (1, 6)
    if loaded.rootless:
        loaded("create", "--userns", "keep-id", "bb:1", "true").ok()
        found = {item["Type"]: item for item in loaded("system", "df", "--format", "json").ok().json}
        assert [found["Mapped Copies"][key] for key in ("Total", "Active", "RawReclaimable")] == [1, 1, 0]
        assert found["Mapped Copies"]["RawSize"] > 1_000_000


def test_podman_shows_the_same(loaded: Pypod) -> None:
    """An image tree, a diff and JSON keys, beside podman's."""
    loaded("run", "--name", "c", "--network", "none", "bb:1", "sh", "-c", "echo x > /x; rm /etc/notes").ok()
    add(loaded, "localhost/small:1", x="y")
    for words in (["image", "tree", "bb:1"], ["image", "tree", "--whatrequires", "bb:1"]):
        assert loaded(*words).ok().out == podman(loaded, *words).ok().out
    for words in (["image", "diff", "small:1"], ["image", "diff", "small:1", "bb:1"]):
        ours, theirs = loaded(*words).ok().lines, podman(loaded, *words).ok().lines
        assert sorted(ours) == sorted(theirs)
        ours, theirs = (tool("--format", "json").ok().json for tool in _both(loaded, words))
        assert {key: sorted(value) for key, value in ours.items()} == {
            key: sorted(value) for key, value in theirs.items()
        }
    if loaded.rootless:
        podman(loaded, "system", "migrate")


def _both(pypod: Pypod, words: list[str]):  # type: ignore[no-untyped-def]
    return (lambda *more: pypod(*words, *more)), (lambda *more: podman(pypod, *words, *more))


def test_diff_of_a_container_and_an_image(pypod: Pypod, image: str) -> None:
    pypod("run", "--name", "left", "--network", "none", image, "sh", "-c", "echo x > /x; rm /etc/notes").ok()
    pypod("run", "--name", "right", "--network", "none", image, "sh", "-c", "mkdir /y; touch /y/z").ok()
    assert pypod("diff", "left", image).ok().lines == ["C /etc", "D /etc/notes", "A /x"]
    assert pypod("diff", "right", "left").ok().lines == ["C /etc", "A /etc/notes", "D /x", "A /y", "A /y/z"]
    assert pypod("diff", "left", "left").ok().lines == []
    pypod("diff", "left", "nosuch").fails(125, "nosuch not found")
    pypod("image", "diff", "left").fails(125, "image not known")


def test_rmi_names_who_is_in_the_way(loaded: Pypod) -> None:
    id = loaded("create", "--name", "mine", "bb:1", "true").ok().out.strip()
    loaded("rmi", "bb:1").fails(2, f"image used by {id}: image is in use by a container: mine of pypod", "rm -f mine")
    loaded("tag", "bb:1", "localhost/two:1").ok()
    both = loaded("rmi", "-a")
    assert both.code == 2 and "mine of pypod" in both.err and loaded.exists("mine")
    assert loaded("rmi", "two:1").ok().lines == ["Untagged: localhost/two:1"]
    done = loaded("rmi", "nosuch", "bb:1")
    assert done.code == 2 and "nosuch: image not known" in done.err
    lines = loaded("rmi", "-f", "bb:1").ok().lines
    assert lines[0] == "Untagged: localhost/bb:1" and lines[1].startswith("Deleted: ")
    assert not loaded.exists("mine")
    loaded("rmi", "-a", "x").fails(125, "you may not pass any images names")
    loaded("rmi").fails(125, "image name or ID must be specified")


def test_rmi_by_id_and_digest(loaded: Pypod) -> None:
    loaded("tag", "bb:1", "localhost/two:1").ok()
    id, digest = loaded("image", "inspect", "--format", "{{.Id}} {{.Digest}}", "bb:1").ok().out.split()
    loaded("rmi", id[:10]).fails(125, "by ID with more than one tag")
    loaded("rmi", f"bb@{digest}").fails(125, "by digest with more than one tag")
    loaded("untag", "bb:1", "localhost/two:1").ok()
    assert loaded("rmi", f"bb@{digest}").ok().lines == ["Untagged: localhost/bb:1", f"Deleted: {id}"]


def test_a_container_of_buildah(loaded: Pypod) -> None:
    buildah = [box.need("buildah"), "--root", str(loaded.graphroot), "--runroot", str(loaded.runroot)]
    inside = ["unshare"] if loaded.rootless else []

    def build(*words: str) -> Result:
        argv = [*buildah, "--storage-driver", "overlay", *words]
        return loaded(*inside, *argv) if inside else loaded.as_user(*argv)

    name = build("from", "--name", "working", "localhost/bb:1").ok().out.strip()
    loaded("rmi", "bb:1").fails(2, f"{name} of buildah", f"buildah rm {name}")
    loaded("rmi", "-f", "bb:1").fails(2, f"{name} of buildah")
    found = {item["Type"]: item for item in loaded("system", "df", "--format", "json").ok().json}
    assert found["External"]["Total"] == 1
    assert name not in loaded("ps", "-a", "--format", "{{.Names}}").ok().lines
    fields = "{{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Status}}"
    shown = loaded("ps", "-a", "--external", "--format", fields).ok().lines
    assert f"{name} localhost/bb:1 buildah storage Storage" in shown
    listed = {row["Names"][0]: row["Id"] for row in loaded("ps", "-a", "--external", "--format", "json").ok().json}
    assert listed[name] in loaded("ps", "-a", "-q", "--external", "--no-trunc").ok().lines
    assert loaded("image", "prune", "-a", "-f").ok().lines == []
    assert len(loaded("image", "prune", "-a", "-f", "--external").ok().lines) == 1
    assert build("containers", "-q").ok().lines == []


def test_prune_filters(loaded: Pypod) -> None:
    loaded("untag", "bb:1").ok()
    loaded("import", "-q", "-c", "LABEL keep=yes", "-", "localhost/kept:1", input=b"\0" * 1024).ok()
    for words in (("--filter", "until=1h"), ("--filter", "label=keep=no")):
        assert loaded("image", "prune", "-f", *words).ok().lines == []
    assert len(loaded("image", "prune", "-a", "-f", "--filter", "label!=keep").ok().lines) == 1
    assert loaded("images", "--format", "{{.Repository}}").ok().lines == ["localhost/kept"]
    loaded("image", "prune", "-f", "--filter", "foo=bar").fails(125, 'unsupported image filter "foo"')
    asked = loaded("image", "prune", "-a", input=b"n\n").ok()
    assert "all images without at least one container associated with them" in asked.out
    assert len(loaded("images", "-q").ok().lines) == 1
