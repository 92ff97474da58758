"""docs/tutorial.md works as it stands."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from support.runner import Pypod

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"


def commands() -> list[str]:
    return [line[6:] for line in PAGE.read_text().splitlines() if line.startswith("    $ ")]


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
def test_every_line_works(fresh: Pypod, busybox_tar: Path, shared_dir: Path) -> None:
    fresh("import", busybox_tar, "docker.io/library/alpine:latest").ok()
    name = shared_dir / "pypod"
    name.write_text(f'#!/bin/sh\nexec {shlex.join(fresh.argv())} "$@"\n')
    name.chmod(0o755)
    environment = fresh.environment()
    environment["PATH"] = f"{shared_dir}:{environment['PATH']}"
    assert len(commands()) > 30
    script = "\n".join(f"echo {shlex.quote(line)}\n{line}" for line in commands())
    done = subprocess.run(
        ["sh", "-ec", script],
        env=environment,
        cwd=shared_dir,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **fresh.user.popen_options(),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "THROUGH A PIPE" in done.stdout
    assert "it ended with 3" in done.stdout
    assert "well: Up" in done.stdout
    assert '"ref":"not-found"' in done.stderr
