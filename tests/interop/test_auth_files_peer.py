"""The same files of credentials, read by pypod and by skopeo: both find the right ones or both do not."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import box
from support.registry import Registry
from support.runner import Pypod

# A real helper: what it has is in its own file, and what it was asked is in its log.
HELPER = """#!/bin/sh
read -r server
echo "$1 $server" >> "$HOME/asked-$(basename "$0")"
case "$(basename "$0")" in
*-good) printf '{"ServerURL":"%s","Username":"u","Secret":"p"}' "$server" ;;
*-wrong) printf '{"ServerURL":"%s","Username":"u","Secret":"q"}' "$server" ;;
*-none) echo "credentials not found in native keychain"; exit 1 ;;
*-broken) echo "the keychain is on fire"; exit 1 ;;
*-rubbish) echo "[1, 2"; exit 0 ;;
esac
"""


def entry(password: str = "p", **more: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"u:{password}".encode()).decode(), **more}


GOOD, WRONG = entry(), entry("wrong")
RUN, OWN, DOCKER, OLD = (
    "run/containers/auth.json",
    ".config/containers/auth.json",
    ".docker/config.json",
    ".dockercfg",
)

# Not here, because skopeo has no part in it: an empty file, which is as none, and a credsStore without entries.
#
# Files in the user's home (a string is written as it is), and {host}/x/one is what is read.
CASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "the session's": {RUN: {"auths": {"{host}": GOOD}}},
    "the user's": {OWN: {"auths": {"{host}": GOOD}}},
    "Docker's": {DOCKER: {"auths": {"{host}": GOOD}}},
    "Docker's old one": {OLD: {"{host}": GOOD}},
    "the first one counts": {RUN: {"auths": {"{host}": WRONG}}, OWN: {"auths": {"{host}": GOOD}}},
    "others are read if it says nothing": {
        RUN: {"auths": {"other.example": WRONG}},
        DOCKER: {"auths": {"{host}": GOOD}},
    },
    "the first one is {{}}": {RUN: {}, OWN: {"auths": {"{host}": GOOD}}},
    "a namespace": {RUN: {"auths": {"{host}/x": GOOD, "{host}": WRONG}}},
    "a repository": {RUN: {"auths": {"{host}/x/one": GOOD, "{host}/x": WRONG, "{host}": WRONG}}},
    "the longest is wrong": {RUN: {"auths": {"{host}/x/one": WRONG, "{host}/x": GOOD, "{host}": GOOD}}},
    "another namespace": {RUN: {"auths": {"{host}/y": WRONG, "{host}/x/on": WRONG, "{host}": GOOD}}},
    "a namespace alone": {RUN: {"auths": {"{host}/y": GOOD}}},
    "a namespace in a later file": {RUN: {"auths": {"{host}": WRONG}}, OWN: {"auths": {"{host}/x": GOOD}}},
    "a URL": {DOCKER: {"auths": {"https://{host}": GOOD}}},
    "a URL with a path": {DOCKER: {"auths": {"https://{host}/v2/": GOOD}}},
    "a URL of plain http": {DOCKER: {"auths": {"http://{host}/v1/": GOOD}}},
    "a URL after the host": {DOCKER: {"auths": {"https://{host}/v1/": WRONG, "{host}": GOOD}}},
    "an empty entry": {RUN: {"auths": {"{host}": {}}}, OWN: {"auths": {"{host}": GOOD}}},
    "an empty entry alone": {RUN: {"auths": {"{host}": {}}}},
    "not base64": {RUN: {"auths": {"{host}": {"auth": "***"}}}},
    "no colon": {RUN: {"auths": {"{host}": {"auth": base64.b64encode(b"up").decode()}}}},
    "zeros at the end": {RUN: {"auths": {"{host}": {"auth": base64.b64encode(b"u:p\0\0").decode()}}}},
    "not JSON": {RUN: "{", OWN: {"auths": {"{host}": GOOD}}},
    "not an object": {RUN: "[]", OWN: {"auths": {"{host}": GOOD}}},
    "auths is a list": {RUN: {"auths": []}},
    "an entry is a string": {RUN: {"auths": {"{host}": "u:p"}}},
    "unknown keys": {
        RUN: {"auths": {"{host}": {**GOOD, "email": "a@b"}}, "HttpHeaders": {"a": "b"}, "psFormat": "x"}
    },
    "a helper": {RUN: {"credHelpers": {"{host}": "good"}}},
    "a helper before entries": {RUN: {"auths": {"{host}": WRONG}, "credHelpers": {"{host}": "good"}}},
    "a helper that is wrong": {RUN: {"auths": {"{host}": GOOD}, "credHelpers": {"{host}": "wrong"}}},
    "a helper of another": {RUN: {"auths": {"{host}": GOOD}, "credHelpers": {"other.example": "wrong"}}},
    "a helper that has none": {RUN: {"auths": {"{host}": GOOD}, "credHelpers": {"{host}": "none"}}},
    "a helper that has none, and a file": {
        RUN: {"credHelpers": {"{host}": "none"}},
        OWN: {"auths": {"{host}": GOOD}},
    },
    "a helper that is broken": {RUN: {"credHelpers": {"{host}": "broken"}}, OWN: {"auths": {"{host}": GOOD}}},
    "a helper that talks rubbish": {RUN: {"credHelpers": {"{host}": "rubbish"}}},
    "a helper that is not there": {RUN: {"credHelpers": {"{host}": "nosuch"}}},
    "a helper of Docker's": {DOCKER: {"credHelpers": {"{host}": "good"}}},
    "a store and entries": {DOCKER: {"auths": {"{host}": GOOD}, "credsStore": "wrong"}},
    "a helper of registries.conf": {"registries.conf": "credential-helpers = ['good']\n"},
    "helpers of registries.conf, in order": {"registries.conf": "credential-helpers = ['none', 'good', 'wrong']\n"},
    "helpers of registries.conf and files": {
        "registries.conf": "credential-helpers = ['none', 'containers-auth.json']\n",
        RUN: {"auths": {"{host}": GOOD}},
    },
    "helpers of registries.conf without files": {
        "registries.conf": "credential-helpers = ['none']\n",
        RUN: {"auths": {"{host}": GOOD}},
    },
    "a broken helper of registries.conf": {"registries.conf": "credential-helpers = ['broken', 'good']\n"},
}


class Place:
    """A registry with a password, a home, and helpers on the path."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.wanted = f"docker://{registry.host}/x/one:1"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with Registry(users={"u": "p"}) as registry:
        yield Place(registry)


def fill(value: Any, host: str) -> Any:
    if isinstance(value, dict):
        return {fill(key, host): fill(item, host) for key, item in value.items()}
    return value.replace("{host}", host) if isinstance(value, str) else value


@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
@pytest.mark.parametrize("case", CASES)
def test_the_same_credentials(fresh: Pypod, place: Place, shared_dir: Path, case: str) -> None:
    home, host = shared_dir, place.registry.host
    files = fill(CASES[case], host)
    conf = home / "registries.conf"
    conf.write_text(files.pop("registries.conf", "") + f"[[registry]]\nlocation = '{host}'\ninsecure = true\n")
    for name, content in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    (home / "run").mkdir(exist_ok=True)
    programs = home / "bin"
    programs.mkdir()
    for name in ("good", "wrong", "none", "broken", "rubbish"):
        program = programs / f"docker-credential-{name}"
        program.write_text(HELPER)
        program.chmod(0o755)
    user = fresh.user
    for path in home.rglob("*"):
        os.chown(path, user.uid, user.gid)
    (home / "run").chmod(0o700)
    env = fresh.environment(
        {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "XDG_CONFIG_HOME": None,
            "DOCKER_CONFIG": None,
            "REGISTRY_AUTH_FILE": None,
            "CONTAINERS_REGISTRIES_CONF": str(conf),
            "PATH": f"{programs}:{os.environ['PATH']}",
        }
    )
    theirs = subprocess.run(
        [box.need("skopeo"), "--registries-conf", conf, "inspect", "--raw", place.wanted],
        capture_output=True,
        text=True,
        env=env,
        cwd="/",
        check=False,
        **user.popen_options(),
    )
    expected = _asked(home)
    ours = fresh("image", "inspect", "--raw", place.wanted, env=env)
    shown = f"skopeo: {theirs.stderr}pypod: {ours.err}"
    found = "manifest unknown"  # who comes so far is known
    assert (found in ours.err.lower()) is (found in theirs.stderr.lower()), shown
    assert _asked(home) == expected, shown
    ours.fails(125)
    assert "dTpw" not in ours.err and "u:p" not in ours.err


def _asked(home: Path) -> dict[str, list[str]]:
    """What each helper has been asked since the last time, without repetition."""
    found = {}
    for path in sorted(home.glob("asked-*")):
        found[path.name] = list(dict.fromkeys(path.read_text().splitlines()))
        path.unlink()
    return found
