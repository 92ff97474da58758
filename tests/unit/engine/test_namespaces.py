"""--userns and its maps, --network, --pid and their like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.engine import namespaces
from pypod.engine.config import Namespace
from pypod.errors import UsageError


def userns(text: str, **changes: int) -> namespaces.UserNamespace:
    values = {"uid": 1000, "gid": 1000, "uid_ids": 65537, "gid_ids": 65537, **changes}
    return namespaces.user_namespace(text, rootless=True, **values)  # type: ignore[arg-type]


def test_keep_id() -> None:
    found = userns("keep-id")
    assert found.uid_map == [[0, 1, 1000], [1000, 0, 1], [1001, 1001, 64536]]
    assert found.user == "1000:1000"


def test_keep_id_as_another() -> None:
    found = userns("keep-id:uid=200,gid=210")
    assert found.uid_map[1] == [200, 0, 1]
    assert found.gid_map[1] == [210, 0, 1]
    assert found.user == "200:210"


@given(st.integers(0, 70000), st.integers(2, 65537))
def test_keep_id_maps_every_id_once(own: int, total: int) -> None:
    found = userns(f"keep-id:uid={own}", uid_ids=total).uid_map
    outside = [number for _, first, count in found for number in (first, first + count - 1)]
    assert sum(count for _, _, count in found) == total
    assert max(outside) == total - 1
    assert [own, 0, 1] in found
    covered: set[int] = set()
    for inside, _, count in found:
        ids = range(inside, inside + count)
        assert covered.isdisjoint(ids)
        covered.update(ids)


def test_nomap_leaves_the_caller_out() -> None:
    assert userns("nomap").uid_map == [[0, 1, 65536]]


def test_auto_takes_the_first_gap() -> None:
    found = namespaces.user_namespace(
        "auto:size=1000",
        rootless=True,
        uid=1000,
        gid=1000,
        uid_ids=65537,
        gid_ids=65537,
        auto_taken=[(1, 500), (1501, 1000), (600, 100)],
    )
    assert found.uid_map == [[0, 2501, 1000]]
    with pytest.raises(UsageError, match="not enough unused IDs"):
        userns("auto:size=70000")


@pytest.mark.parametrize(
    "text", ["foo", "keep-id:x=1", "keep-id:uid=x", "container:", "ns:rel", "host:1", "auto:size"]
)
def test_bad_userns(text: str) -> None:
    with pytest.raises(UsageError):
        userns(text)


def test_maps() -> None:
    assert namespaces.parse_map(["0:1:10", "10:20"], "--uidmap", 65537) == [[0, 1, 10], [10, 20, 1]]
    for bad in ("0", "0:1:0", "a:1:1", "0:65536:2"):
        with pytest.raises(UsageError):
            namespaces.parse_map([bad], "--uidmap", 65537)


@pytest.mark.parametrize(
    ("texts", "mode", "options"),
    [
        ([], "private", {}),
        (["none"], "none", {}),
        (["host"], "host", {}),
        (["ns:/run/netns/x"], "ns", {}),
        (["pasta:-T,5000"], "pasta", {"pasta": ["-T", "5000"]}),
        (["slirp4netns:mtu=1500"], "slirp4netns", {"slirp4netns": ["mtu=1500"]}),
        (["bridge"], "bridge", {}),
        (["mine:ip=10.0.0.2,alias=x", "other"], "bridge", {"mine": ["ip=10.0.0.2", "alias=x"], "other": []}),
    ],
)
def test_network(texts: list[str], mode: str, options: dict[str, list[str]]) -> None:
    found = namespaces.parse_network(texts)
    assert (found.namespace.mode, found.options) == (mode, options)


@pytest.mark.parametrize("texts", [["none", "host"], ["host:x"], ["container:"], ["ns:relative"], ["mine", "none"]])
def test_bad_network(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        namespaces.parse_network(texts)


def test_other_kinds() -> None:
    assert namespaces.parse("host", "pid") == Namespace(mode="host")
    assert namespaces.parse("container:c1", "ipc") == Namespace(mode="container", value="c1")
    assert namespaces.parse("none", "ipc") == Namespace(mode="none")
    for kind, text in (("pid", "none"), ("uts", "shareable"), ("cgroup", "x"), ("pid", "ns:rel")):
        with pytest.raises(UsageError):
            namespaces.parse(text, kind)
