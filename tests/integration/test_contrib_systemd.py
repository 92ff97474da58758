"""contrib/systemd: what `make install-systemd` installs, and that systemd accepts it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support import box
from support.runner import Pypod, Result

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "contrib" / "systemd" / "install"
UNITS = [
    "pypod-auto-update.service",
    "pypod-auto-update.timer",
    "pypod-clean-transient.service",
    "pypod-restart.service",
]


def call(*words: str | Path, **variables: str | Path) -> Result:
    argv = [str(word) for word in words]
    env = {"PATH": os.environ["PATH"], **{key: str(value) for key, value in variables.items()}}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=ROOT, check=False)
    return Result(argv, done.returncode, done.stdout, done.stderr)


def files(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir())


def test_for_packagers(pypod: Pypod, shared_dir: Path) -> None:
    place = shared_dir / "dest"
    given = ("make", "-s", f"DESTDIR={place}", "PREFIX=/usr", f"PYPOD={pypod.program}")
    call(*given, "install-systemd").ok()
    flavour = "user" if pypod.rootless else "system"
    assert files(place / "usr/lib") == [
        "systemd/system-generators/pypod-system-generator",
        *(f"systemd/system-preset/{name}" for name in ("90-pypod.preset",)),
        *(f"systemd/system/{name}" for name in UNITS),
        "systemd/user-generators/pypod-user-generator",
        *(f"systemd/user-preset/{name}" for name in ("90-pypod.preset",)),
        *(f"systemd/user/{name}" for name in UNITS),
        "tmpfiles.d/pypod.conf",
    ]
    units = [place / f"usr/lib/systemd/{flavour}/{name}" for name in UNITS]
    for path in units:
        assert "@" not in path.read_text()
        assert path.suffix == ".timer" or f"={pypod.program} " in path.read_text()
    verify = box.need("systemd-analyze", "systemd")
    done = pypod.as_user(verify, f"--{flavour}", "verify", "--man=no", *units).ok()
    assert not done.err
    call(*given, "uninstall-systemd").ok()
    assert files(place) == []


def test_help() -> None:
    done = call(INSTALL, "--help").ok()
    assert "install [--remove] [--system | --user] PYPOD" in done.out and "#" not in done.out


def test_a_preset_names_units_that_are_there() -> None:
    lines = (ROOT / "contrib/systemd/preset/90-pypod.preset").read_text().splitlines()
    named = [line.split()[1] for line in lines if line and not line.startswith("#")]
    for kind in ("system", "user"):
        there = [path.stem for path in (INSTALL.parent / kind).glob("*.in")]
        assert sorted(there) == UNITS and set(named) < set(there)


def test_for_one_user(shared_dir: Path) -> None:
    call(INSTALL, "--user", "/opt/pypod", HOME=shared_dir, DESTDIR="").ok()
    assert files(shared_dir) == [f".local/share/systemd/user/{name}" for name in UNITS]
    call(INSTALL, "--user", "--remove", XDG_DATA_HOME=shared_dir / ".local/share").ok()
    assert files(shared_dir) == []


@pytest.mark.parametrize("words", [[], ["pypod"], ["/opt/100%/pypod"], ["/opt/a b"], ["--global", "/opt/pypod"]])
def test_refusals(words: list[str], tmp_path: Path) -> None:
    done = call(INSTALL, *words, DESTDIR=tmp_path)
    assert done.code == 2 and done.err.startswith("install: ")
    assert files(tmp_path) == []


def test_runtime_directories_outlive_the_clean_up_of_tmp(tmp_path: Path) -> None:
    """Not a boot: what was true before that is not true any more."""
    tmpfiles = box.need("systemd-tmpfiles", "systemd")
    (tmp_path / "tmp/storage-run-1/containers").mkdir(parents=True)
    (tmp_path / "tmp/other").mkdir()
    rules = tmp_path / "usr/lib/tmpfiles.d"
    rules.mkdir(parents=True)
    (rules / "pypod.conf").write_bytes((INSTALL.parent / "tmpfiles.d/pypod.conf").read_bytes())
    (rules / "tmp.conf").write_text("D /tmp 1777 - - 0\n")
    call(tmpfiles, f"--root={tmp_path}", "--clean").ok()
    assert sorted(os.listdir(tmp_path / "tmp")) == ["storage-run-1"]
    assert (tmp_path / "tmp/storage-run-1/containers").is_dir()
    (rules / "tmp.conf").unlink()
    call(tmpfiles, f"--root={tmp_path}", "--remove").ok()
    assert os.listdir(tmp_path / "tmp") == ["storage-run-1"]
    call(tmpfiles, f"--root={tmp_path}", "--remove", "--boot").ok()
    assert os.listdir(tmp_path / "tmp") == []
