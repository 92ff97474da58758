"""``pypod doctor``: each fault is made, seen, and told with the command that cures it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.runner import Pypod

# Each fault: what root does in a mount namespace of its own ($U is the user, $T a directory there), the check that
# tells of it, its status, a word of the message, a word of the cure.
FAULTS = {
    "no-subuids": (": > $T/f; mount --bind $T/f /etc/subuid", "subuid", "error", "no range", "usermod --add-subuids"),
    "no-subgids": (": > $T/f; mount --bind $T/f /etc/subgid", "subgid", "error", "no range", "usermod --add-subgids"),
    "few-ids": (
        "echo $U:200000:1000 > $T/f; mount --bind $T/f /etc/subuid",
        "subuid",
        "warning",
        "1000 ids",
        "usermod --add-subuids 201000-266535",
    ),
    "shared-ids": (
        "printf '%s:200000:65536\\nother:265000:65536\\n' $U > $T/f; mount --bind $T/f /etc/subuid",
        "subuid",
        "warning",
        "other",
        "/etc/subuid",
    ),
    "newuidmap-without-rights": (
        "cp /usr/bin/newuidmap $T/f; mount --bind $T/f /usr/bin/newuidmap",
        "newuidmap",
        "error",
        "may not map",
        "chmod u+s",
    ),
    "no-newgidmap": (
        ": > $T/f; mount --bind $T/f /usr/bin/newgidmap",
        "newgidmap",
        "error",
        "not installed",
        "install uidmap",
    ),
    "no-user-namespaces": (
        "echo 0 > $T/f; mount --bind $T/f /proc/sys/user/max_user_namespaces",
        "user-namespaces",
        "error",
        "user.max_user_namespaces is 0",
        "user.max_user_namespaces=",
    ),
    "debian's-switch": (
        "mount -t tmpfs none /proc/sys/kernel; echo 0 > /proc/sys/kernel/unprivileged_userns_clone",
        "user-namespaces",
        "error",
        "unprivileged_userns_clone is 0",
        "unprivileged_userns_clone=1",
    ),
    "ubuntu's-switch": (
        "mount -t tmpfs none /proc/sys/kernel; echo 1 > /proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "user-namespaces",
        "error",
        "AppArmor",
        "apparmor_restrict_unprivileged_userns=0",
    ),
    "tun-closed": (
        ": > $T/f; chmod 600 $T/f; mount --bind $T/f /dev/net/tun",
        "network",
        "error",
        "/dev/net/tun",
        "chmod 0666 /dev/net/tun",
    ),
    "no-network-program": (
        ": > $T/f; mount --bind $T/f $(command -v pasta); mount --bind $T/f $(command -v slirp4netns)",
        "network",
        "error",
        "pasta",
        "install passt",
    ),
    "disk-full": (
        "mkdir -p $G; mount -t tmpfs -o size=64m,mode=777 none $G",
        "disk-space",
        "error",
        "MiB are left",
        "image prune",
    ),
    "noexec": (
        "mkdir -p $G; mount -t tmpfs -o noexec,mode=777 none $G",
        "graphroot",
        "error",
        "noexec",
        "remount,exec",
    ),
    "not-ours": ("mkdir -p $G; mount -t tmpfs -o mode=755 none $G", "graphroot", "error", "written to", "chown"),
    "store-from-the-future": (
        "mkdir -p $G; mount -t tmpfs -o mode=777 none $G; touch -d '+2 days' $G",
        "clock",
        "warning",
        "future",
        "timedatectl",
    ),
}

Found = dict[str, dict[str, str]]


def examined(result: str) -> Found:
    return {one["Check"]: one for one in json.loads(result)}


@pytest.fixture
def with_fault(pypod: Pypod, tmp_path: Path) -> Callable[[str], tuple[int, Found]]:
    """Runs doctor in a mount namespace where root has done something."""
    if os.geteuid() != 0:
        pytest.skip("only root can make the faults")

    def run(script: str) -> tuple[int, Found]:
        user = pypod.user
        graphroot = f"{pypod.graphroot}-doctor"
        names = f"U={user.name} G={graphroot} T={tmp_path}; "
        switch = f'exec setpriv --reuid {user.uid} --regid {user.gid} --groups {user.gid} -- "$@"'
        words = ["unshare", "-m", "sh", "-ec", f"{names}{script}\n{switch}", "sh"]
        tested = Pypod(pypod.program, user, graphroot=Path(graphroot), runroot=pypod.runroot)
        try:
            done = subprocess.run(
                [*words, *tested.argv("doctor", "--format", "json")],
                env=pypod.environment(),
                cwd=pypod.cwd,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            if os.path.isdir(graphroot):
                os.rmdir(graphroot)
        assert "Traceback" not in done.stderr
        return done.returncode, examined(done.stdout)

    return run


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_its_cure(with_fault: Callable[[str], tuple[int, Found]], fault: str) -> None:
    script, check, status, message, cure = FAULTS[fault]
    code, found = with_fault(script)
    assert found[check]["Status"] == status, found[check]
    assert message.lower() in found[check]["Message"].lower()
    assert cure in found[check]["Cure"]
    assert code == (125 if status == "error" else code)


def settings(place: Path, name: str, text: str) -> None:
    (place / "containers").mkdir(parents=True)
    (place / "containers" / name).write_text(text)


@pytest.mark.parametrize(
    ("options", "check", "words"),
    [
        (["--runtime", "/no/such/runtime"], "runtime", "/no/such/runtime"),
        (["--conmon", "/no/such/monitor"], "monitor", "/no/such/monitor"),
    ],
)
def test_what_is_configured_and_missing(pypod: Pypod, options: list[str], check: str, words: str) -> None:
    done = pypod.with_options(*options)("doctor", "--format", "json")
    assert done.code == 125
    found = examined(done.out)
    assert found[check]["Status"] == "error" and words in found[check]["Message"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("containers.conf", "[engine\n"), ("registries.conf", "unqualified-search-registries = 5\n")],
)
def test_a_broken_configuration(pypod: Pypod, shared_dir: Path, name: str, text: str) -> None:
    settings(shared_dir, name, text)
    variable = {"containers.conf": "CONTAINERS_CONF", "registries.conf": "CONTAINERS_REGISTRIES_CONF"}[name]
    done = pypod("doctor", "--format", "json", env={variable: str(shared_dir / "containers" / name)})
    assert done.code == 125
    assert "Traceback" not in done.err
    found = examined(done.out)["configuration"]
    assert found["Status"] == "error" and name in found["Message"]


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
def test_a_runtime_directory_of_somebody_else(pypod: Pypod) -> None:
    done = pypod("doctor", "--format", "json", env={"XDG_RUNTIME_DIR": "/root"})
    found = examined(done.out)["runtime-directory"]
    assert found["Status"] == "error" and "/root" in found["Message"]
    assert found["Cure"] == f"export XDG_RUNTIME_DIR=/run/user/{pypod.user.uid}"


def test_forms_of_output(pypod: Pypod) -> None:
    plain = pypod("doctor")
    assert "overlay: can be mounted" in plain.out
    assert pypod("doctor", "--format", "{{.Check}} {{.Status}}").out.count("\n") == len(
        examined(pypod("doctor", "--format", "json").out)
    )
    assert ("checks failed" in plain.err) == (plain.code == 125)


def test_it_changes_nothing(pypod: Pypod) -> None:
    def tree() -> list[Any]:
        return sorted(str(path) for path in Path(pypod.graphroot or "").rglob("*") if "overlay/" not in str(path))

    before = tree()
    pypod("doctor")
    time.sleep(0.05)
    assert tree() == before
