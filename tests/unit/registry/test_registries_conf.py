"""registries.conf: which registry a reference belongs to, mirrors, rewriting, short names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pypod.errors import ConfigError, RegistryError
from pypod.oci import reference
from pypod.registry import endpoints, places, registries_conf, shortnames
from pypod.registry.settings import Settings

Write = Callable[..., Settings]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a /etc/containers of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("CONTAINERS_REGISTRIES_CONF", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.setattr(places, "SYSTEM", str(tmp_path / "etc"))
    monkeypatch.setattr(places, "user_id", lambda: 1000)
    (tmp_path / "home/.config/containers/registries.conf.d").mkdir(parents=True)
    (tmp_path / "etc/registries.conf.d").mkdir(parents=True)
    return tmp_path


def system(home: Path, text: str) -> Settings:
    (home / "etc/registries.conf").write_text(text)
    return Settings()


def locations(name: str, settings: Settings) -> list[str]:
    return [item.location for item in endpoints.for_pull(reference.parse(name), settings)]


def test_which_files_count(home: Path) -> None:
    system(home, 'unqualified-search-registries = ["etc.example"]')
    (home / "etc/registries.conf.d/10.conf").write_text('short-name-mode = "enforcing"')
    own = home / "home/.config/containers"
    (own / "registries.conf.d/20.conf").write_text('[aliases]\nx = "own.example/x"')
    (own / "registries.conf.d/not-read.txt").write_text("[")
    known = registries_conf.load()
    assert (known.unqualified, known.mode, known.aliases["x"].name) == (
        ("etc.example",),
        "enforcing",
        "own.example/x",
    )
    (own / "registries.conf").write_text('unqualified-search-registries = ["own.example"]')
    known = registries_conf.load()
    assert (known.unqualified, known.mode) == (("own.example",), "permissive")  # nothing of /etc


def test_the_environment_names_a_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "named.conf").write_text('unqualified-search-registries = ["named.example"]')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(home / "named.conf"))
    assert registries_conf.load().unqualified == ("named.example",)
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(home / "nothing"))
    with pytest.raises(ConfigError, match="nothing"):
        registries_conf.load()


def test_the_longest_prefix_wins(home: Path) -> None:
    settings = system(
        home,
        """
        [[registry]]
        location = "a.example"
        [[registry]]
        prefix = "a.example/deep/er"
        location = "b.example/there"
        [[registry]]
        prefix = "*.wild.example"
        location = "c.example"
        [[registry]]
        prefix = "*.left.wild.example"
        """,
    )
    assert locations("a.example/x:1", settings) == ["a.example/x"]
    assert locations("a.example/deep/er/x:1", settings) == ["b.example/there/x"]
    assert locations("a.example/deep/erx:1", settings) == ["a.example/deep/erx"]
    assert locations("one.wild.example/x", settings) == ["c.example/x"]
    assert locations("wild.example/x", settings) == ["wild.example/x"]
    assert locations("one.left.wild.example/x", settings) == ["one.left.wild.example/x"]
    assert locations("alpine", settings) == ["docker.io/library/alpine"]


def test_mirrors(home: Path) -> None:
    settings = system(
        home,
        """
        [[registry]]
        location = "docker.io"
        [[registry.mirror]]
        location = "one.example/hub"
        insecure = true
        [[registry.mirror]]
        location = "two.example"
        pull-from-mirror = "digest-only"
        [[registry.mirror]]
        location = "three.example"
        pull-from-mirror = "tag-only"
        """,
    )
    digest = "@sha256:" + "1" * 64
    hub = "docker.io/library/alpine"
    found = endpoints.for_pull(reference.parse("alpine:3"), settings)
    assert [item.location for item in found] == [
        "one.example/hub/library/alpine",
        "three.example/library/alpine",
        hub,
    ]
    assert [item.mirror for item in found] == [True, True, False]
    assert found[0].repository == "hub/library/alpine"
    assert locations("alpine" + digest, settings)[1] == "two.example/library/alpine"
    assert endpoints.for_push(reference.parse("alpine:3"), settings).location == hub


def test_blocked(home: Path) -> None:
    settings = system(home, '[[registry]]\nprefix = "a.example/bad"\nlocation = "a.example/bad"\nblocked = true')
    with pytest.raises(RegistryError, match=r"registry a.example/bad is blocked"):
        locations("a.example/bad/x", settings)
    assert locations("a.example/good", settings) == ["a.example/good"]


def test_a_drop_in_replaces_a_table(home: Path) -> None:
    settings = system(home, '[[registry]]\nlocation = "a.example"\nblocked = true')
    (home / "etc/registries.conf.d/1.conf").write_text('[[registry]]\nlocation = "a.example"')
    assert locations("a.example/x", settings) == ["a.example/x"]


def test_version_1(home: Path) -> None:
    settings = system(
        home,
        """
        [registries.search]
        registries = ["a.example"]
        [registries.block]
        registries = ["b.example"]
        """,
    )
    assert shortnames.unqualified_registries(settings) == ["a.example"]
    with pytest.raises(RegistryError, match="blocked"):
        locations("b.example/x", settings)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("unqualified-search-registries = 5", "unqualified-search-registries must be a list"),
        ('unqualified-search-registries = ["http://a"]', "URI schemes"),
        ('unqualified-search-registries = ["a/b"]', "without a path"),
        ('short-name-mode = "no"', "short-name-mode is 'no'"),
        ("[[registry]]\ninsecure = true", "neither prefix nor location"),
        ('[[registry]]\nlocation = "a"\ninsecure = "yes"', "insecure must be true or false"),
        ('[[registry]]\nprefix = "*x"\nlocation = "a"', "only \\*.DOMAIN"),
        ('[[registry]]\nprefix = "x"', "has no location"),
        ('[[registry]]\nlocation = "a"\n[[registry.mirror]]\ninsecure = true', "a mirror of 'a' has no location"),
        ('[[registry]]\nlocation = "a"\npull-from-mirror = "all"', "belongs into a mirror"),
        ('[aliases]\nx = "y"', "must have a registry"),
        ('[aliases]\nx = "a.b/c:1"', "neither tag nor digest"),
        ('[aliases]\nx = "a.b/C"', "lowercase"),
        ('[registries.search]\nregistries = []\n[[registry]]\nlocation = "a"', "v1/v2"),
        ("[", "cannot parse"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(home: Path, text: str, cause: str) -> None:
    system(home, text)
    with pytest.raises(ConfigError, match=cause) as raised:
        registries_conf.load()
    assert f"{home}/etc/registries.conf" in raised.value.message


def test_short_names(home: Path) -> None:
    found = shortnames.resolve("alpine:3", Settings())
    assert [str(item) for item in found.candidates] == ["docker.io/library/alpine:3"] and not found.ask
    settings = system(
        home, 'unqualified-search-registries = ["a.example", "docker.io"]\n[aliases]\nx = "b.example/y"'
    )
    found = shortnames.resolve("alpine", settings)
    assert [str(item) for item in found.candidates] == ["a.example/alpine", "docker.io/library/alpine"]
    assert found.ask and f"({home}/etc/registries.conf)" in found.said
    found = shortnames.resolve("x@sha256:" + "1" * 64, settings)
    assert [item.name for item in found.candidates] == ["b.example/y"] and "as an alias" in found.said
    shortnames.remember("alpine", found.candidates[0])
    shortnames.remember("team/tool", reference.parse("c.example/tool:7"))
    assert [item.name for item in shortnames.resolve("alpine:9", settings).candidates] == ["b.example/y"]
    assert [str(item) for item in shortnames.resolve("team/tool:9", settings).candidates] == ["c.example/tool:9"]
    assert shortnames.alias_file() == f"{home}/home/.cache/containers/short-name-aliases.conf"
    settings = system(
        home, 'short-name-mode = "disabled"\nunqualified-search-registries = ["a.example", "b.example"]'
    )
    found = shortnames.resolve("busybox", settings)
    assert not found.ask and [item.domain for item in found.candidates] == ["a.example", "b.example"]
    assert [item.name for item in shortnames.resolve("alpine", settings).candidates] == ["b.example/y"]


def test_an_empty_list_means_no_registry(home: Path) -> None:
    settings = system(home, "unqualified-search-registries = []")
    with pytest.raises(RegistryError, match='short-name "alpine" did not resolve to an alias'):
        shortnames.resolve("alpine", settings)
