"""Credentials that a helper keeps, logins side by side, and what a blocked registry is spared."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import box
from support.registry import Registry
from support.runner import Pypod

# Docker's protocol, with one file for each server.
HELPER = """#!/bin/sh
cd "$KEYCHAIN" || exit 1
echo "$*" >> asked
input=$(cat)
name() { printf %s "$1" | tr -c 'a-z0-9\\n' _; }
case "$1" in
store) printf %s "$input" > "$(name "$(printf %s "$input" | sed 's/.*"ServerURL": *"\\([^"]*\\)".*/\\1/')")" ;;
get) cat "$(name "$input")" 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm "$(name "$input")" 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
esac
"""


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry(users={"u": "p:w"}) as running:
        yield running


@pytest.fixture
def env(pypod: Pypod, shared_dir: Path) -> dict[str, str]:
    """A helper "toy" on the path, with a keychain."""
    program = shared_dir / "docker-credential-toy"
    program.write_text(HELPER)
    program.chmod(0o755)
    keychain = shared_dir / "keychain"
    keychain.mkdir()
    os.chown(keychain, pypod.user.uid, pypod.user.gid)
    return {"PATH": f"{shared_dir}:{os.environ['PATH']}", "KEYCHAIN": str(keychain)}


def kept(env: dict[str, str]) -> list[str]:
    return sorted(name for name in os.listdir(env["KEYCHAIN"]) if name != "asked")


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_helper_keeps_the_password(
    pypod: Pypod, registry: Registry, shared_dir: Path, env: dict[str, str], key: str
) -> None:
    auth = shared_dir / "auth.json"
    value: object = "toy" if key == "credsStore" else {registry.host: "toy"}
    auth.write_text(json.dumps({key: value, "other": [1]}))
    os.chown(auth, pypod.user.uid, pypod.user.gid)
    common = ("--authfile", auth, "--tls-verify=false")
    done = pypod("login", "-v", *common, "-u", "u", "--password-stdin", registry.host, input="p:w", env=env).ok()
    assert done.lines == ["Used:  docker-credential-toy", "Login Succeeded!"]
    assert len(kept(env)) == 1 and "p:w" not in auth.read_text() and json.loads(auth.read_text())["other"] == [1]
    assert "p:w" not in (Path(env["KEYCHAIN"]) / "asked").read_text()
    pypod("push", "-q", *common, "localhost/bb:1", f"{registry.host}/helped:1", env=env).ok()
    if key == "credHelpers":
        skopeo = [box.need("skopeo"), "inspect", "--authfile", auth, "--tls-verify=false"]
        theirs = subprocess.run(
            [*map(str, skopeo), f"docker://{registry.host}/helped:1"],
            env=pypod.environment(env),
            capture_output=True,
            cwd="/",
            check=False,
            **pypod.user.popen_options(),
        )
        assert theirs.returncode == 0, theirs.stderr
    assert pypod("login", *common, "--get-login", registry.host, env=env).ok().out == "u\n"
    pypod("logout", "--authfile", auth, registry.host, env=env).ok()
    assert kept(env) == []
    pypod("logout", "--authfile", auth, registry.host, env=env).fails(125, "not logged into", registry.host)


def test_logins_side_by_side(pypod: Pypod, registry: Registry, shared_dir: Path) -> None:
    """None of them takes away what another has written."""
    auth = shared_dir / "auth.json"
    keys = [f"{registry.host}/{number}" for number in range(6)]
    started = [
        pypod.popen("login", "--authfile", auth, "--tls-verify=false", "-u", "u", "-p", "p:w", key) for key in keys
    ]
    for process in started:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, b"Login Succeeded!\n"), err
    assert sorted(json.loads(auth.read_text())["auths"]) == keys
    assert auth.stat().st_mode & 0o777 == 0o600


def test_a_blocked_registry_is_not_asked(pypod: Pypod, registry: Registry, shared_dir: Path) -> None:
    conf = shared_dir / "registries.conf"
    conf.write_text(f'[[registry]]\nlocation = "{registry.host}"\nblocked = true\n')
    env = {"CONTAINERS_REGISTRIES_CONF": str(conf)}
    auth = shared_dir / "auth.json"
    registry.forget()
    for words in (
        ["pull", f"{registry.host}/a"],
        ["push", "localhost/bb:1", f"{registry.host}/a"],
        ["run", "--rm", f"{registry.host}/a", "true"],
        ["login", "--authfile", str(auth), "-u", "u", "-p", "p:w", registry.host],
        ["search", f"{registry.host}/a"],
        ["search", "--list-tags", f"{registry.host}/a"],
        ["image", "inspect", f"docker://{registry.host}/a"],
    ):
        done = pypod(*words, env=env)
        assert done.code == 125 and done.out in ("", "[]\n"), done  # inspect says what it has found
        assert f"registry {registry.host} is blocked" in done.err, done
    assert registry.requests == [] and not auth.exists()
