"""Names of units, as systemd's own code judges them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pypod.systemd import unit_name
from support import systemd_words


@pytest.mark.parametrize(
    "stem", ["a" * 247, "a" * 248, "", "@", "@a", "a@", "a@b@c", "a\\x2db", "a:b_.-", ".", "a/b", "é"]
)
def test_names(stem: str) -> None:
    name = stem + ".service"
    assert unit_name.valid(name) == systemd_words.is_unit(name)


@given(st.text("a@.:+%é-\\ /_", max_size=5), st.sampled_from([*unit_name.KINDS, "", ".x", ".services"]))
def test_any_names(stem: str, kind: str) -> None:
    assert unit_name.valid(stem + kind) == systemd_words.is_unit(stem + kind)
