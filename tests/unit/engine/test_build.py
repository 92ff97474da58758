"""What buildah is called with: every flag of ``build``, and where it differs from podman."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pypod.cli import options_build
from pypod.cli.parser import Parser, key
from pypod.engine import build
from pypod.engine.context import open_context
from pypod.errors import ConfigError, NotFound, PypodError, UsageError

Call = Callable[..., list[str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A context, which is the current directory, and a PATH with a buildah and a runc."""
    for name in ("buildah", "runc"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in list(os.environ):
        if name.startswith(("BUILDAH_", "CONTAINERS_", "STORAGE_", "PYPOD_")):
            monkeypatch.delenv(name)
    context = tmp_path / "context"
    context.mkdir()
    (context / "Containerfile").write_text("FROM x\n")
    monkeypatch.chdir(context)
    return context


@pytest.fixture
def call(place: Path) -> Call:
    """buildah's words for a command line of ``build``."""

    def argv(*words: str, **flags: Any) -> list[str]:
        parser = Parser(options_build.BUILD)
        arguments = parser.parse(words)
        root = place.parent
        flags = {"root": str(root / "g"), "runroot": str(root / "r"), "runtime": str(root / "bin/runc"), **flags}
        context = open_context(flags)
        return build.plan(context, parser.values, arguments[0] if arguments else "").argv

    return argv


def test_the_call(call: Call, place: Path) -> None:
    root = place.parent
    found = call("-t", "a", "--tag=b", "--build-arg", "X=y z", ".", storage_driver="overlay")
    assert found[0] == f"{root}/bin/buildah"
    [mark] = [word for word in found if word.startswith(f"--secret=id=pypod-build-{os.getpid()}-")]
    assert found[1:] == [
        *("--root", f"{root}/g", "--runroot", f"{root}/r", "--storage-driver", "overlay", "build"),
        *("--layers=true", "--force-rm=true", "--pull=missing", "--runtime", f"{root}/bin/runc"),
        *("--build-arg=X=y z", "--tag=a", "--tag=b", mark, "--", str(place)),
    ]


OWN = ("file", "pull", "squash", "squash_all", "layers", "force_rm", "runtime_flag")


@pytest.mark.parametrize("flag", [flag for flag in options_build.BUILD if key(flag) not in OWN])
def test_every_flag_is_handed_on_as_it_is(call: Call, flag: tuple[Any, ...]) -> None:
    name = "--" + flag[0].split()[0]
    if flag[1] == "bool":
        assert f"{name}=true" in call(name) and f"{name}=false" in call(f"{name}=false")
        assert not [word for word in call() if word.startswith(name + "=")]
    elif flag[1] == "array":
        values = ["a,b", 'c"d', "", "-x", "é \udcff"]
        found = call(*(f"{name}={value}" for value in values))
        assert [word for word in found if word.startswith(name + "=") and build.MARK not in word] == [
            f"{name}={value}" for value in values
        ]
    else:
        assert flag[1] == "str"
        assert f"{name}=b c" in call(name, "a", name, "b c")


def test_where_podman_and_buildah_differ(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for typed, meant in (
        ("--pull", "always"),
        ("--pull=true", "always"),
        ("--pull=false", "missing"),
        ("--pull=never", "never"),
        ("--pull=newer", "true"),
    ):
        assert [word for word in call(typed) if word.startswith("--pull")] == [f"--pull={meant}"]
    assert "--force-rm=false" in call("--force-rm=false")
    assert "--layers=false" in call("--layers=false")
    squashed = call("--squash")
    assert "--layers=false" in squashed and "--squash" not in squashed
    squashed = call("--squash-all")
    assert "--layers=false" in squashed and "--squash" in squashed
    for words in (("--squash", "--layers"), ("--squash", "--squash-all")):
        with pytest.raises(UsageError, match="cannot specify --squash"):
            call(*words)
    monkeypatch.setenv("BUILDAH_LAYERS", "false")
    assert "--layers=false" in call() and "--layers=true" in call("--layers")


def test_the_runtime(call: Call, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = str(place.parent / "bin/buildah")
    assert call(runtime=other)[call().index("--runtime") + 1] == other
    found = call("--runtime-flag", "log=/x", runtime_flag=["debug"])
    assert [word for word in found if word.startswith("--runtime-flag")] == [
        "--runtime-flag=debug",
        "--runtime-flag=log=/x",
    ]
    monkeypatch.setenv("BUILDAH_RUNTIME", "crun")
    assert "--runtime" not in call(runtime=None) and "--runtime" in call()


def test_the_store(call: Call, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = place.parent / "storage.conf"
    conf.write_text(
        '[storage]\ndriver = "overlay"\n[storage.options]\nadditionalimagestores = ["/a", "/b"]\n'
        '[storage.options.overlay]\nmountopt = "nodev,metacopy=on"\n[storage.options.pypod]\n'
    )
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(conf))
    found = call(root=None, runroot=None, storage_opt=[])
    options = [found[at + 1] for at, word in enumerate(found) if word == "--storage-opt"]
    assert options == [
        '"overlay.additionalimagestore=/a"',
        '"overlay.additionalimagestore=/b"',
        '"overlay.mountopt=nodev,metacopy=on"',
    ]
    found = call(storage_driver="vfs", storage_opt=["vfs.ignore_chown_errors=true", "pypod.files=9", "sync=none"])
    assert found[found.index("--storage-driver") + 1] == "vfs"
    options = [found[at + 1] for at, word in enumerate(found) if word == "--storage-opt"]
    assert options == ['"vfs.ignore_chown_errors=true"']
    with pytest.raises(ConfigError, match="--imagestore"):
        call(imagestore=str(place))
    found = call(cgroup_manager="cgroupfs", log_level="DEBUG")
    assert found[found.index("build") - 4 : found.index("build")] == [
        *("--cgroup-manager", "cgroupfs", "--log-level", "debug"),
    ]
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", "/r.conf")
    assert call()[call().index("--registries-conf") + 1] == "/r.conf"


def test_what_is_built(call: Call, place: Path) -> None:
    other = place.parent / "-o ther"
    other.mkdir()
    (other / "Dockerfile").write_text("FROM x\n")
    (other / "File").write_text("FROM x\n")

    def built(*words: str) -> tuple[list[str], str]:
        found = call(*words)
        assert found[-2] == "--"
        return [word[7:] for word in found if word.startswith("--file=")], found[-1]

    assert built() == ([], str(place))
    assert built(f"{other}") == ([], str(other))
    assert built("--", "../-o ther") == ([], str(other))
    assert built("-f", "../-o ther/File") == ([f"{other}/File"], str(other))
    assert built("-f", "../-o ther/File", ".") == (["../-o ther/File"], str(place))
    assert built("-f", "File", str(other)) == (["File"], str(other))
    assert built("-f", "-") == ([], "-")
    assert built("-f", "-", str(other)) == (["-"], str(other))
    assert built("-") == ([], "-")
    for url in ("https://example.org/x.tar", "git://example.org/x.git", "github.com/a/b"):
        assert built(url) == ([], url)
    assert built("-f", "https://example.org/f", ".") == (["https://example.org/f"], str(place))


def test_what_cannot_be_built(call: Call, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words, message in (
        (("nothing",), f"cannot build {place}/nothing: No such file or directory"),
        (("Containerfile",), f"context must be a directory: {place}/Containerfile"),
        (("-f", "nothing", "."), "cannot read Containerfile nothing"),
        (("-f", "/nowhere/nothing"), "cannot build /nowhere: No such file"),
        ((str(place.parent),), "neither Containerfile nor Dockerfile"),
        (("-f", "https://example.org/f"), "no context directory and no Containerfile specified"),
    ):
        with pytest.raises(UsageError) as caught:
            call(*words)
        assert message in caught.value.message
    (place.parent / "bin/buildah").unlink()
    with pytest.raises(NotFound) as missing:
        call()
    assert (missing.value.message, missing.value.hint) == (
        "cannot build: buildah is not installed",
        "apt install buildah",
    )
    assert not (place.parent / "g").exists()


def test_networks_of_pypods_own(call: Call, place: Path) -> None:
    networks = place.parent / "g/pypod/networks"
    networks.mkdir(parents=True)
    (networks / "mine.json").write_text('{"name": "mine", "id": "' + "a" * 64 + '", "driver": "bridge"}')
    with pytest.raises(PypodError, match="buildah does not know pypod's networks"):
        call("--network", "mine")
    for mode in ("host", "none", "private", "ns:/proc/1/ns/net", "podman", "elsewhere"):
        assert f"--network={mode}" in call("--network", mode)
