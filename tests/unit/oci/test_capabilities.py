"""--cap-add and --cap-drop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.linux import caps
from pypod.oci import capabilities

NAMES = st.lists(st.sampled_from(caps.NAMES), max_size=5, unique=True)


def merge(add: list[str], drop: list[str]) -> list[str]:
    return capabilities.merge(capabilities.DEFAULT, add, drop, known=caps.NAMES, bounding=caps.NAMES)


def test_default_is_sorted_and_known() -> None:
    assert sorted(capabilities.DEFAULT) == capabilities.DEFAULT
    assert set(capabilities.DEFAULT) <= set(caps.NAMES)


def test_names_as_people_write_them() -> None:
    assert "CAP_NET_ADMIN" in merge(["net_admin"], [])
    assert "CAP_CHOWN" not in merge([], ["CAP_chown"])


def test_all() -> None:
    assert merge(["all"], ["sys_admin"]) == sorted(set(caps.NAMES) - {"CAP_SYS_ADMIN"})
    assert merge(["chown"], ["ALL"]) == ["CAP_CHOWN"]


@pytest.mark.parametrize(("add", "drop"), [(["foo"], []), ([], ["foo"]), (["kill"], ["kill"]), (["all"], ["all"])])
def test_nonsense(add: list[str], drop: list[str]) -> None:
    with pytest.raises(ValueError):
        merge(add, drop)


@given(NAMES, NAMES)
def test_added_are_in_and_dropped_are_out(add: list[str], drop: list[str]) -> None:
    drop = [name for name in drop if name not in add]
    found = merge(add, drop)
    assert set(add) <= set(found)
    assert set(drop).isdisjoint(found)
    assert set(capabilities.DEFAULT) - set(drop) <= set(found)
