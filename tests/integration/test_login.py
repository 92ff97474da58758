"""``login``, ``logout`` and ``search`` with a real registry; skopeo reads what we keep, and we what it keeps."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from support import box
from support.registry import Registry
from support.runner import Pypod
from support.users import User


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry(tls=True, users={"u": "p:w", "other": "x"}) as running:
        yield running


@pytest.fixture
def place(shared_dir: Path) -> Path:
    """A directory of the user's."""
    return shared_dir


def skopeo(who: User, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [box.need("skopeo"), *map(str, words)],
        capture_output=True,
        text=True,
        env=who.environment(),
        cwd="/",
        check=False,
        **who.popen_options(),
    )


def test_login_and_logout(pypod: Pypod, who: User, registry: Registry, place: Path) -> None:
    auth = place / "auth.json"
    common = ("--authfile", auth, "--cert-dir", registry.certs_dir)
    done = pypod("login", *common, "-u", "u", "--password-stdin", registry.host, input=b"p:w\n").ok()
    assert done.out == "Login Succeeded!\n"
    assert auth.stat().st_mode & 0o777 == 0o600 and auth.stat().st_uid == who.uid
    assert pypod("login", *common, "--get-login", registry.host).ok().out == "u\n"
    again = pypod("login", *common, registry.host).ok().out
    assert "Existing credentials are valid. Already logged in to" in again
    pypod("push", *common, "localhost/bb:1", f"{registry.host}/a/b:1").ok()
    digest = skopeo(
        who, "inspect", "--authfile", auth, "--cert-dir", registry.certs_dir, f"docker://{registry.host}/a/b:1"
    )
    assert digest.returncode == 0, digest.stderr
    bad = pypod("login", *common, "-u", "u", "-p", "wrong", registry.host)
    assert bad.code == 125 and f'logging into "{registry.host}": invalid username/password' in bad.err
    assert "wrong" not in bad.err
    assert pypod("login", *common, "--get-login", registry.host).ok().out == "u\n"  # it is as before
    logout = pypod("logout", "--authfile", auth, registry.host).ok()
    assert logout.out == f"Removed login credentials for {registry.host}\n"
    gone = pypod("logout", "--authfile", auth, registry.host)
    assert (gone.code, f"not logged into {registry.host}" in gone.err) == (125, True)
    refused = pypod("pull", *common, f"{registry.host}/a/b:1")
    assert refused.code == 125 and "unauthorized" in refused.err.lower() and refused.out == ""


def test_the_password_from_a_secret(pypod: Pypod, registry: Registry, place: Path) -> None:
    pypod("secret", "create", "u", "-", input=b"p:w\n").ok()
    common = ("--authfile", place / "auth.json", "--cert-dir", registry.certs_dir)
    assert pypod("login", *common, "--secret", "u", registry.host).ok().out == "Login Succeeded!\n"
    assert pypod("login", *common, "--secret", "u", "-u", "u", registry.host).ok().out == "Login Succeeded!\n"
    pypod("secret", "rm", "u").ok()


def test_what_skopeo_keeps_is_read(pypod: Pypod, who: User, registry: Registry, place: Path) -> None:
    auth = place / "auth.json"
    done = skopeo(
        who,
        *("login", "--authfile", auth, "--cert-dir", registry.certs_dir, "-u", "other", "-p", "x"),
        f"{registry.host}",
    )
    assert done.returncode == 0, done.stderr
    assert pypod("login", "--authfile", auth, "--get-login", registry.host).ok().out == "other\n"
    pypod(
        "login", "--authfile", auth, "--cert-dir", registry.certs_dir, "-u", "u", "-p", "p:w", f"{registry.host}/a"
    ).ok()
    assert set(json.loads(auth.read_text())["auths"]) == {registry.host, f"{registry.host}/a"}
    assert pypod("logout", "--authfile", auth, "--all").ok().out == "Removed login credentials for all registries\n"
    assert not json.loads(auth.read_text())["auths"]


def test_the_default_file_is_found_by_all(pypod: Pypod, who: User, registry: Registry, place: Path) -> None:
    env = {"XDG_RUNTIME_DIR": who.runtime_dir or str(place), "REGISTRY_AUTH_FILE": str(place / "session.json")}
    pypod("login", "--cert-dir", registry.certs_dir, "-u", "u", "-p", "p:w", registry.host, env=env).ok()
    pypod("push", "--cert-dir", registry.certs_dir, "localhost/bb:1", f"{registry.host}/c:1", env=env).ok()
    found = pypod("search", "--cert-dir", registry.certs_dir, "--format", "json", f"{registry.host}/c", env=env).ok()
    assert [item["Name"] for item in found.json] == [f"{registry.host}/c"]
    jsonschema.validate(found.json, pypod("schema", "search").ok().json)
    listing = ("search", "--list-tags", "--cert-dir", registry.certs_dir, f"{registry.host}/c")
    jsonschema.validate(
        pypod(*listing, "--format", "json", env=env).ok().json, pypod("schema", "search", "--list-tags").ok().json
    )
    pypod(*listing, "--format", "{{.Tga}}", env=env).fails(125, "can't evaluate field Tga", "did you mean .Tag")
    tags = pypod(*listing, env=env).ok()
    assert tags.lines[0].split() == ["NAME", "TAG"] and tags.lines[1].split() == [f"{registry.host}/c", "1"]
    table = pypod("search", "--cert-dir", registry.certs_dir, f"{registry.host}/", env=env).ok()
    assert table.lines[0].split() == ["NAME", "DESCRIPTION"]


def test_the_terminal_is_asked_without_an_echo(pypod: Pypod, registry: Registry, place: Path) -> None:
    auth = place / "auth.json"
    with pypod.terminal("login", "--authfile", auth, "--cert-dir", registry.certs_dir, registry.host) as terminal:
        terminal.expect("Username: ")
        terminal.send("u\n")
        terminal.expect("Password: ")
        terminal.send("p:w\n")
        terminal.expect("Login Succeeded!")
        assert b"p:w" not in terminal.output
    assert pypod("login", "--authfile", auth, "--get-login", registry.host).ok().out == "u\n"


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["--password-stdin", "r.example"], "must provide --username with --password-stdin"),
        (["-u", "a", "-p", "b", "--password-stdin", "r.example"], "both --password-stdin and --password"),
        (["--secret", "s", "r.example"], "no such secret"),
        (["--secret", "s", "-p", "x", "r.example"], "--secret goes with neither"),
        (["--get-login", "r.example"], "not logged into r.example"),
        (["-u", "a", "r.example"], "stdin is not a terminal"),
        (["-u", "a:b", "-p", "c", "r.example"], "cannot have a colon"),
        (["-u", "a", "-p", "c", "r. example"], "is not the name of a registry"),
    ],
)
@pytest.mark.parametrize("mode", ["rootless"], indirect=True)
def test_bad_words(pypod: Pypod, place: Path, words: list[str], cause: str) -> None:
    done = pypod("login", "--authfile", place / "a.json", *words)
    assert done.code == 125 and cause in done.err and done.out == ""
    assert not (place / "a.json").exists()


def test_mirrors_are_asked_first(pypod: Pypod, who: User, registry: Registry, place: Path) -> None:
    with Registry() as mirror:
        conf = place / "registries.conf"
        conf.write_text(
            f"""
            unqualified-search-registries = ["{registry.host}"]
            [[registry]]
            location = "{registry.host}"
            [[registry.mirror]]
            location = "{mirror.host}/copies"
            insecure = true
            [[registry]]
            prefix = "moved.example/old"
            location = "{mirror.host}/copies/a"
            insecure = true
            [[registry]]
            prefix = "bad.example"
            location = "bad.example"
            blocked = true
            """
        )
        env = {"CONTAINERS_REGISTRIES_CONF": str(conf), "REGISTRY_AUTH_FILE": str(place / "auth.json")}
        certs = ("--cert-dir", registry.certs_dir)
        pypod("login", *certs, "-u", "u", "-p", "p:w", registry.host, env=env).ok()
        pypod("push", "--tls-verify=false", "localhost/bb:1", f"{mirror.host}/copies/a/image:1", env=env).ok()
        pypod("push", *certs, "localhost/bb:1", f"{registry.host}/only/here:1", env=env).ok()
        registry.forget()
        id = pypod("pull", "-q", *certs, "a/image:1", env=env).ok().out.strip()
        assert registry.count("GET") == 0 and mirror.count("GET", "copies/a/image/manifests") == 1
        assert pypod("image", "inspect", "-f", "{{.RepoTags}}", id).ok().out.count(f"{registry.host}/a/image:1")
        pypod("pull", "-q", *certs, f"{registry.host}/only/here:1", env=env).ok()
        assert registry.count("GET", "only/here/manifests")
        pypod("pull", "-q", "moved.example/old/image:1", env=env).ok()
        blocked = pypod("pull", "bad.example/x", env=env)
        assert blocked.code == 125 and "registry bad.example is blocked" in blocked.err
        for name in (f"{registry.host}/a/image:1", f"{registry.host}/only/here:1", "moved.example/old/image:1"):
            pypod("untag", "localhost/bb:1", name).ok()
