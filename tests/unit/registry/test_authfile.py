"""Credentials and TLS files: where they are looked for, what is written, and what errors never show."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.errors import ConfigError
from pypod.registry import authfile, certs, places
from pypod.registry.access import Credentials, Tls


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(places, "SYSTEM", str(tmp_path / "etc"))
    return tmp_path


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def write(path: Path, **document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def user(name: str, path: str = "") -> str:
    found = authfile.find(name, path)
    return found.username if found is not None else ""


def test_the_order_of_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".dockercfg", **{"a.example": auth("dockercfg:p")})
    assert user("a.example/x") == "dockercfg"
    write(home / ".docker/config.json", auths={"a.example": auth("docker:p")}, other=1)
    assert user("a.example/x") == "docker"
    write(home / ".config/containers/auth.json", auths={"a.example": auth("config:p")})
    assert user("a.example/x") == "config"
    write(home / "run/containers/auth.json", auths={"a.example": auth("session:p"), "b.example": {}})
    assert user("a.example/x") == "session"
    assert user("b.example/x") == ""
    named = write(home / "named.json", auths={"c.example": auth("named:p")})
    assert (user("a.example/x", str(named)), user("c.example", str(named))) == ("", "named")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(named))
    assert (user("a.example/x"), user("c.example")) == ("", "named")


def test_the_most_specific_key_wins(home: Path) -> None:
    path = write(
        home / "a.json",
        auths={
            "r.example": auth("host:p"),
            "r.example/a": auth("a:p"),
            "r.example/a/b/image": auth("image:p:with:colons"),
            "https://index.docker.io/v1/": auth("hub:p"),
            "https://old.example/v1/": auth("old:p"),
        },
    )
    names = (
        "r.example",
        "r.example/x",
        "r.example/a/x",
        "r.example/ab",
        "r.example/a/b/image",
        "docker.io/library/x",
    )
    assert [user(name, str(path)) for name in names] == ["host", "host", "a", "host", "image", "hub"]
    assert user("old.example/x", str(path)) == "old"
    assert user("other.example/x", str(path)) == ""
    found = authfile.find("r.example/a/b/image", str(path))
    assert found is not None and found.password == "p:with:colons"
    assert "with" not in repr(found)


@given(st.text(max_size=30).filter(lambda text: ":" not in text and text), st.text(max_size=50))
def test_what_is_stored_is_found(tmp_path_factory: pytest.TempPathFactory, name: str, password: str) -> None:
    path = str(tmp_path_factory.mktemp("auth") / "deep/auth.json")
    try:
        base = Credentials(username=name, password=password.rstrip("\0"))
        f"{name}{password}".encode()
    except UnicodeEncodeError:
        return
    authfile.store("r.example/x", base, path)
    assert authfile.find("r.example/x/y", path) == base
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_what_others_wrote_stays(home: Path) -> None:
    path = write(home / "a.json", auths={"x.example": auth("x:p")}, HttpHeaders={"a": "b"})
    authfile.store("r.example", Credentials(username="u", password="p"), str(path))
    assert json.loads(path.read_text())["HttpHeaders"] == {"a": "b"}
    assert authfile.entries(str(path)) == {"x.example": "x", "r.example": "u"}
    assert authfile.erase("r.example", str(path)) and not authfile.erase("r.example", str(path))
    assert authfile.erase_all(str(path)) == ["x.example"]
    assert json.loads(path.read_text()) == {"auths": {}, "HttpHeaders": {"a": "b"}}


def test_a_link_leads_to_the_file(home: Path) -> None:
    write(home / "real.json")
    (home / "a.json").symlink_to("real.json")
    authfile.store("r.example", Credentials(username="u", password="p"), str(home / "a.json"))
    assert (home / "a.json").is_symlink() and user("r.example", str(home / "real.json")) == "u"


@pytest.mark.parametrize(
    "text",
    [
        "{secret",
        '["secret"]',
        '{"auths": ["secret"]}',
        '{"auths": {"r.example": "secret"}}',
        '{"auths": {"r.example": {"auth": "secret!"}}}',
        '{"auths": {"r.example": {"auth": "c2VjcmV0"}}}',
        '{"auths": {"r.example": {"auth": 5}}}',
        "[" * 100_000,
    ],
)
def test_broken_files_are_named_and_not_shown(home: Path, text: str) -> None:
    path = home / "a.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        authfile.find("r.example", str(path))
    assert str(path) in raised.value.message and "secret" not in raised.value.message


HELPER = """#!/bin/sh
read input || [ "$input" ]
echo "$1 $input" >> {log}
case "$1 $input" in
"get r.example") echo '{{"ServerURL": "r.example", "Username": "helped", "Secret": "s"}}';;
"get https://index.docker.io/v1/") echo '{{"Username": "<token>", "Secret": "identity"}}';;
"get odd.example") echo '[]';;
store*) ;;
*) echo "credentials not found in native keychain"; exit 1;;
esac
"""


def test_helpers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = home / "bin/docker-credential-toy"
    program.parent.mkdir()
    program.write_text(HELPER.format(log=home / "log"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}/bin", prepend=":")
    hosts = dict.fromkeys(("r.example", "docker.io", "odd.example", "none.example"), "toy")
    path = str(write(home / "a.json", auths={"x.example": auth("x:p")}, credHelpers=hosts | {"lost.example": "lost"}))
    assert user("r.example/x", path) == "helped"
    assert user("x.example", path) == "x"
    assert authfile.find("none.example", path) is None
    found = authfile.find("docker.io/library/x", path)
    assert found is not None and found.identity_token == "identity"
    for host, cause in (("odd.example", "what is no credentials"), ("lost.example", "cannot run credential helper")):
        with pytest.raises(ConfigError, match=cause):
            authfile.find(host, path)
    assert authfile.store("r.example", Credentials(username="u", password="p"), path) == "docker-credential-toy"
    assert json.loads((home / "log").read_text().splitlines()[-1].partition(" ")[2]) == {
        "ServerURL": "r.example",
        "Username": "u",
        "Secret": "p",
    }
    assert user("r.example", "") == ""
    assert authfile.find("r.example", "", ["toy"]) is not None  # credential-helpers of registries.conf
    store = str(write(home / "store.json", auths={"x.example": auth("x:p")}, credsStore="toy"))
    assert (user("r.example", store), user("x.example", store)) == ("helped", "x")
    # What the store keeps from now on is not hidden by what was in the file.
    write(home / "store.json", auths={"r.example": auth("old:p"), "x.example": auth("x:p")}, credsStore="toy")
    assert user("r.example", store) == "old"
    authfile.store("r.example", Credentials(username="u", password="p"), store)
    assert user("r.example", store) == "helped"
    # Of several a broken one does not hide the next, and is told if none has any.
    assert authfile.find("r.example", "", ["lost", "toy"]) is not None
    with pytest.raises(ConfigError, match="docker-credential-lost"):
        authfile.find("none.example", "", ["lost", "toy"])


def test_certificates(home: Path) -> None:
    assert certs.tls("r.example:5000") == Tls()
    place = home / "etc/certs.d/r.example:5000"
    place.mkdir(parents=True)
    for name in ("a.crt", "b.crt", "c.cert", "c.key", "README"):
        (place / name).touch()
    found = certs.tls("r.example:5000")
    assert found == Tls(
        authorities=(f"{place}/a.crt", f"{place}/b.crt"), certificate=f"{place}/c.cert", key=f"{place}/c.key"
    )
    own = home / ".config/containers/certs.d/r.example:5000"
    own.mkdir(parents=True)
    assert certs.tls("r.example:5000", verify=False) == Tls(verify=False)
    (own / "x.cert").touch()
    with pytest.raises(ConfigError, match=r"x.cert: missing x.key"):
        certs.tls("r.example:5000")
    with pytest.raises(ConfigError, match="No such file"):
        certs.tls("r.example", str(home / "nothing"))
