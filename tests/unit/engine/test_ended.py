"""The exit codes of containers that are gone: found, the last one, and never more than fits."""

import os
from types import SimpleNamespace
from typing import Any

import pytest

from pypod.engine import ended


@pytest.fixture
def context(tmp_path) -> Any:
    return SimpleNamespace(tmpdir=str(tmp_path))


def identity(number: int) -> str:
    return f"{number:064x}"


def test_the_last_code_counts(context):
    for code in (3, 0, 137):
        ended.note(context, identity(1), code)
    ended.note(context, identity(2), -1)
    assert ended.lookup(context, identity(1)) == 137
    assert ended.lookup(context, identity(2)) == -1
    assert ended.lookup(context, identity(3)) is None


def test_only_a_full_id_is_looked_up(context):
    ended.note(context, identity(1), 5)
    assert ended.lookup(context, "1") is None
    assert ended.lookup(context, "") is None


def test_nothing_grows(context):
    for number in range(5000):
        ended.note(context, identity(number), number % 256)
    assert sorted(os.listdir(context.tmpdir)) == ["ended", "ended.old"]
    assert all(os.path.getsize(f"{context.tmpdir}/{name}") < ended.LIMIT + 200 for name in os.listdir(context.tmpdir))
    assert [ended.lookup(context, identity(number)) for number in range(4200, 5000)] == [
        n % 256 for n in range(4200, 5000)
    ]


def test_without_a_directory_it_is_no_error(context):
    context.tmpdir += "/nosuch"
    ended.note(context, identity(1), 1)
    assert ended.lookup(context, identity(1)) is None


def test_it_is_nobody_elses_business(context):
    ended.note(context, identity(1), 1)
    assert os.stat(f"{context.tmpdir}/ended").st_mode & 0o077 == 0
