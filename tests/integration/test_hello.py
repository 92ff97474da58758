"""The image that pypod carries: the first thing that anybody runs, without a network."""

import os
import re
from pathlib import Path

from support import leaks
from support.runner import Pypod


def test_hello_needs_no_image_and_no_network(fresh: Pypod) -> None:
    done = fresh("run", "--rm", "hello").ok()
    assert done.err == ""
    said = done.out.lower()
    for word in ("hello", "uid", "namespace", "overlay", "conmon"):
        assert word in said, done.out
    assert str(fresh.user.uid) in done.out
    assert "runc" in said or "crun" in said


def test_hello_leaves_nothing_but_its_image(fresh: Pypod) -> None:
    fresh("run", "--rm", "hello").ok()
    before = leaks.snapshot(fresh)
    fresh("run", "--rm", "hello").ok()
    assert not leaks.since(fresh, before)
    assert fresh("ps", "-a", "-q").ok().out == ""
    assert fresh("images", "--format", "{{.Repository}}").ok().out.strip().endswith("hello")


def test_hello_in_a_network_namespace_without_any_interface(fresh: Pypod) -> None:
    assert "ello" in fresh("run", "--rm", "--network", "none", "hello").ok().out


def test_version_and_help(pypod: Pypod) -> None:
    assert pypod("--version").ok().out.startswith("pypod version ")
    assert pypod("version", "--format", "{{.Client.Version}}").ok().out.strip() == pypod("--version").out.split()[-1]


def test_a_link_called_podman_has_podmans_version(pypod: Pypod, shared_dir: Path) -> None:
    """Programs decide by it what they may ask for: podman-compose's pattern is this one."""
    link = shared_dir / "podman"
    link.symlink_to(pypod.program)
    for words in (("--version",), ("-v",), ("--log-level", "debug", "--version")):
        out = pypod.as_user(link, *words).ok().out
        assert re.fullmatch(r"podman version (\d+)\.(\d+)\.(\d+)\n", out), out
    assert pypod.as_user(link, "version", "--format", "{{.Client.Version}}").ok().out.strip() == out.split()[-1]
    assert pypod.as_user(link, *pypod.argv("info", "--format", "{{.Store.GraphRoot}}")[1:]).ok().out
    out = pypod("--help").ok().out
    for verb in ("run", "exec", "ps", "images", "import", "load", "unshare"):
        assert f"\n  {verb}" in out
    assert "--publish" in pypod("run", "--help").ok().out
    assert pypod("help").ok().out


def test_info(pypod: Pypod) -> None:
    found = pypod("info", "--format", "json").ok().json
    assert found["store"]["graphRoot"] == str(pypod.graphroot)
    assert found["host"]["security"]["rootless"] is pypod.rootless
    assert os.path.exists(found["host"]["ociRuntime"]["path"])
    assert os.path.exists(found["host"]["conmon"]["path"])
    assert pypod("info", "--format", "{{.Store.GraphRoot}}").ok().out == f"{pypod.graphroot}\n"
