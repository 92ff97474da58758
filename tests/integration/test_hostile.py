"""Hostile archives through the command line, as root and rootless: one line, nothing outside, nothing left."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import leaks
from support.runner import Pypod

Member = tuple[str, bytes, bytes | str]  # name, type, content or link target


def pack(*members: Member, mode: int = 0o755) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, what in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, mode
            if isinstance(what, str):
                info.linkname = what
                archive.addfile(info)
            else:
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what))
    return out.getvalue()


FILE, SYM, LNK, DIR, CHR = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE


def image(*layers: bytes, **more: object) -> bytes:
    """A docker-archive of these layers."""
    diff_ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}, **more}
    names = [f"{number}.tar" for number in range(len(layers))]
    manifest = [{"Config": "c.json", "RepoTags": ["localhost/bad:1"], "Layers": names}]
    return pack(
        ("c.json", FILE, json.dumps(document).encode()),
        ("manifest.json", FILE, json.dumps(manifest).encode()),
        *((name, FILE, layer) for name, layer in zip(names, layers, strict=True)),
    )


@pytest.fixture
def outside(shared_dir: Path, pypod: Pypod) -> Iterator[Path]:
    """A directory of the user's that no archive may touch, and the store, which must be as it was."""
    path = shared_dir / "outside"
    path.mkdir()
    (path / "secret").write_text("secret")
    for item in (path, path / "secret"):
        if pypod.user.switch:
            os.chown(item, pypod.user.uid, pypod.user.gid)
    before = [(os.lstat(item)) for item in (path, path / "secret")]
    store = leaks.snapshot(pypod)
    images = pypod("images", "--no-trunc").ok().out.splitlines()[1:]
    yield path
    assert [(os.lstat(item)) for item in (path, path / "secret")] == before
    assert sorted(item.name for item in path.iterdir()) == ["secret"]
    left = leaks.since(pypod, store, patience=2)
    assert not left, left
    assert [line.split()[:3] for line in pypod("images", "--no-trunc").ok().out.splitlines()[1:]] == [
        line.split()[:3] for line in images
    ]


BAD: dict[str, tuple[Callable[[Path], bytes], str, tuple[str, ...]]] = {
    "a name that climbs": (lambda out: image(pack((f"../../../../..{out}/new", FILE, b"x"))), "leads out", ()),
    "a hard link out": (lambda out: image(pack(("l", LNK, f"{out}/secret"))), "link target", ()),
    "a hard link through a link": (
        lambda out: image(pack(("s", SYM, str(out)), ("l", LNK, "s/secret"))),
        "link target",
        (),
    ),
    "a bomb": (
        lambda out: gzip.compress(image(pack(("zeros", FILE, bytes(8 << 20)))), 9),
        "limit of 20 times",
        ("--storage-opt", "pypod.max_expansion=20", "--storage-opt", "pypod.max_expansion_from=1m"),
    ),
    "a large layer": (
        lambda out: image(pack(("zeros", FILE, bytes(2 << 20)))),
        "limit of 1048576 bytes",
        ("--storage-opt", "pypod.max_layer_size=1m"),
    ),
    "a config of other types": (lambda out: image(pack(("a", FILE, b"")), config={"Env": 5}), "is not a list", ()),
    "a deep document": (
        lambda out: pack(("manifest.json", FILE, b"[" * 100_000)),
        "nested too deeply",
        (),
    ),
    "a link out of the archive": (
        lambda out: pack(
            ("manifest.json", FILE, b'[{"Config":"c.json","Layers":[]}]'), ("c.json", SYM, "../../../etc/passwd")
        ),
        "c.json is not in it",
        (),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_load(pypod: Pypod, outside: Path, name: str) -> None:
    make, match, flags = BAD[name]
    path = outside.parent / "bad"
    path.write_bytes(make(outside))
    done = pypod(*flags, "load", "-q", "-i", path)
    assert done.code == 125 and done.out == ""
    lines = done.err.splitlines()
    assert match in lines[0] and lines[0].startswith("Error: ")
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("Hint: ")), done.err


def test_what_is_tamed_runs(pypod: Pypod, outside: Path, busybox_tar: Path) -> None:
    """Links, whiteouts and devices of an evil layer, seen from inside its container."""
    evil = pack(
        ("esc", SYM, str(outside)),
        (f"{outside}"[1:], DIR, b""),
        ("esc/new", FILE, b"inside"),
        ("etc/.wh.group", FILE, b""),
        ("etc/.wh.nosuch", FILE, b""),
        ("up", SYM, "../" * 30 + f"{outside}"[1:]),
        ("up/other", FILE, b"inside"),
        ("null", CHR, b""),
        ("su", FILE, b"#!/bin/sh\n"),
        mode=0o6755,
    )
    path = outside.parent / "bad"
    path.write_bytes(image(busybox_tar.read_bytes(), evil))
    pypod("load", "-q", "-i", path).ok()
    try:
        done = pypod("run", "--rm", "--network", "none", "localhost/bad:1", "cat", f"{outside}/new", "/up/other")
        assert done.ok().out == "insideinside"
        done = pypod("run", "--rm", "--network", "none", "localhost/bad:1", "ls", str(outside))
        assert sorted(done.ok().out.split()) == ["new", "other"]
        listed = pypod("run", "--rm", "--network", "none", "localhost/bad:1", "ls", "/etc").ok().out.split()
        assert "passwd" in listed and not {"group", "nosuch"} & set(listed)
    finally:
        pypod("rmi", "localhost/bad:1").ok()


def test_a_limit_that_is_none(pypod: Pypod) -> None:
    pypod("--storage-opt", "pypod.max_layer_size=many", "images").fails(125, "neither a number nor a size")
    pypod("--storage-opt", "pypod.nosuch=1", "images").fails(125, "unknown limit pypod.nosuch")


def test_a_pipe_that_ends(pypod: Pypod, outside: Path) -> None:
    data = image(pack(("a", FILE, b"x" * 100_000)))
    for cut in (600, len(data) // 2):
        done = pypod("load", "-q", input=data[:cut])
        assert done.code == 125 and "middle of" in done.err and "Traceback" not in done.err
