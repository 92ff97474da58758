"""The integration tests with another monitor: PYPOD_TEST_CONMON=/usr/bin/conmon pytest FILE ...

What needs our own monitor has the mark ``ours_only``, with the reason.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

MARKER = "ours_only(reason): shows a defect of conmon that our monitor has not, or an option of our own"


def other() -> str:
    """The monitor that is wanted in place of ours; empty for ours."""
    return os.environ.get("PYPOD_TEST_CONMON", "")


def options() -> tuple[str, ...]:
    """pypod's options for it."""
    return ("--conmon", other()) if other() else ()


def skip_ours_only(items: list[pytest.Item]) -> None:
    """With another monitor, leave out what is marked."""
    import pytest

    if not other():
        return
    for item in items:
        mark = item.get_closest_marker("ours_only")
        if mark is not None:
            item.add_marker(pytest.mark.skip(reason=f"ours only: {mark.args[0]}"))
