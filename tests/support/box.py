"""What this machine offers, and what to do where something is missing.

On a developer's machine a test that needs an absent component is skipped; with PYPOD_TEST_STRICT=1 it fails, so that
a CI run that forgot to install something cannot look green.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys

STRICT = os.environ.get("PYPOD_TEST_STRICT") == "1"
ROOT = os.geteuid() == 0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def python_environment() -> dict[str, str]:
    """With this, and "/" as its directory, another interpreter imports the very packages that the tests do."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def missing(what: str) -> None:
    """Skip the test, or fail it where nothing may be missing."""
    import pytest  # here, so that the benchmark runs without it

    if STRICT:
        pytest.fail(f"PYPOD_TEST_STRICT is set and {what}", pytrace=False)
    pytest.skip(what)


def need(program: str, package: str = "") -> str:
    """The path of ``program``; the test is skipped (or fails) without it."""
    found = shutil.which(program, path=PATH)
    if found is None:
        missing(f"{program} is not installed (package {package or program})")
    assert found
    return found


@functools.cache
def cgroup2() -> bool:
    """Whether /sys/fs/cgroup is a plain cgroup v2 tree."""
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")


@functools.cache
def runtime() -> str:
    """The name of a runtime that works here: Debian's crun refuses a hybrid cgroup v1 tree."""
    order = ("crun", "runc") if cgroup2() else ("runc",)
    for name in order:
        if shutil.which(name, path=PATH):
            return name
    missing(f"none of {', '.join(order)} is installed")
    raise AssertionError


@functools.cache
def may_raise_rlimits() -> bool:
    """Whether root here may raise hard limits (CAP_SYS_RESOURCE); podman's defaults need it, pypod's do not."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> 24 & 1)
    return False
