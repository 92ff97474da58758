"""Whatever registries.conf and auth.json say: they are used, or the error names the file; never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pypod.errors import PypodError
from pypod.oci import reference
from pypod.registry import authfile, endpoints, places, shortnames
from pypod.registry.settings import Settings

FEW = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

GOOD = st.sampled_from(["a.example", "a.example/x", "*.example", "b.example:5000/y", "docker.io", "r.example"])
BAD = st.sampled_from(
    ["*.", "*", "", "/", "x", "https://a.example", "a.example/x:1", "a.example/X", "[::1]:5000", "a.example//x"]
    + ["a.example/x/", "\u00e9.example", "a b", "*.a/b", "a.example:5000"]
)
PLACES = st.integers(0, 9).flatmap(lambda number: BAD if number == 9 else GOOD)
ODD = st.one_of(
    st.booleans(), st.integers(0, 9), st.text(max_size=4), st.just([]), st.just({}), st.lists(PLACES, max_size=2)
)


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Once in a while something odd."""
    return st.integers(0, 30).flatmap(lambda number: odd if number == 30 else usual)


def table(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Some of the keys, now and then with a value that does not belong there."""
    return st.fixed_dictionaries({}, optional={key: mostly(value, ODD) for key, value in fields.items()})


MIRROR = table(
    location=PLACES,
    insecure=st.booleans(),
    **{"pull-from-mirror": mostly(st.sampled_from(["all", "digest-only"]), st.just("no"))},
)
REGISTRY = table(
    prefix=PLACES,
    location=PLACES,
    insecure=st.booleans(),
    blocked=st.booleans(),
    mirror=st.lists(MIRROR, max_size=2),
    **{"mirror-by-digest-only": st.booleans()},
)
OLD = st.dictionaries(
    st.sampled_from(["search", "insecure", "block"]), table(registries=st.lists(PLACES)), max_size=2
)
NEW = table(
    registry=st.lists(REGISTRY, max_size=3),
    aliases=st.dictionaries(st.sampled_from(["x", "x/y", "X:1"]), st.one_of(PLACES, ODD), max_size=2),
    **{
        "unqualified-search-registries": st.lists(PLACES, max_size=2),
        "short-name-mode": mostly(st.sampled_from(["enforcing", "permissive", "disabled"]), st.just("no")),
        "credential-helpers": st.lists(st.sampled_from(["containers-auth.json", "nosuch", "../x", ""]), max_size=2),
    },
)
CONF = mostly(NEW, st.one_of(table(registries=OLD), st.builds(lambda new, old: {**new, "registries": old}, NEW, OLD)))
NAMES = st.sampled_from(
    ["a.example/x:1", "b.a.example/x", "a.example:5000/x/y", "docker.io/library/x", "r.example/x"]
)


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() or c in " *./:[]-_" else f"\\U{ord(c):08x}" for c in value) + '"'
    return json.dumps(value)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(places, "SYSTEM", str(tmp_path / "etc"))
    monkeypatch.setattr(places, "user_id", lambda: 1000)
    return tmp_path


@FEW
@given(document=CONF, name=NAMES)
def test_registries_conf(home: Path, document: dict[str, Any], name: str) -> None:
    path = home / "registries.conf"
    path.write_text("".join(f"{key} = {toml(value)}\n" for key, value in document.items()))
    known = Settings(registries_conf=str(path))
    where = reference.parse(name)
    try:
        found = endpoints.for_pull(where, known)
    except PypodError as error:
        assert "\n" not in error.message
    else:
        assert found and all(reference.parse(f"{item.location}:1").path == item.repository for item in found)
    for ask in (lambda: endpoints.for_push(where, known), lambda: endpoints.host_client("a.example", known)):
        try:
            ask()
        except PypodError as error:
            assert "\n" not in error.message
    for short in ("x", "x/y:1", "z"):
        try:
            candidates = shortnames.resolve(short, known).candidates
        except PypodError as error:
            assert "\n" not in error.message
        else:
            assert candidates
        try:
            shortnames.here(short, known)
        except PypodError:
            pass


SECRET = "c2VjcmV0OnNlY3JldA=="  # secret:secret
ENTRY = table(
    auth=st.sampled_from([SECRET, "***", "", "c2VjcmV0", "/w=="]),
    identitytoken=st.sampled_from(["secret", ""]),
    registrytoken=st.sampled_from(["secret", ""]),
    username=st.just("secret"),
    password=st.just("secret"),
)
KEYS = st.sampled_from(
    ["a.example", "a.example/x", "https://a.example/v1/", "https://index.docker.io/v1/", "", "/", "docker.io"]
)
AUTH = table(
    auths=st.dictionaries(KEYS, st.one_of(ENTRY, ENTRY, ODD), max_size=3),
    credHelpers=st.dictionaries(KEYS, st.one_of(st.sampled_from(["nosuch", "../x", ""]), ODD), max_size=1),
    credsStore=st.sampled_from(["", "nosuch"]),
)


@FEW
@given(
    document=st.one_of(AUTH, AUTH, AUTH, ODD, st.lists(AUTH, max_size=1)),
    name=st.sampled_from(["a.example/x", "docker.io/library/x", "b.example"]),
)
def test_auth_files(home: Path, document: object, name: str) -> None:
    path = home / "auth.json"
    path.write_text(json.dumps(document))
    host = name.partition("/")[0]
    for ask in (
        lambda: authfile.find(name, str(path)),
        lambda: authfile.entries(str(path)),
        lambda: authfile.erase(host, str(path)),
        lambda: authfile.store(host, authfile.Credentials(username="u", password="p"), str(path)),
        lambda: authfile.erase_all(str(path)),
    ):
        try:
            ask()
        except PypodError as error:
            assert "\n" not in error.message
            assert "secret" not in error.message and SECRET not in error.message
