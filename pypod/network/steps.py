"""What a network driver would do, in words: for --dry-run."""

from __future__ import annotations

from pypod.base.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@record
class Step:
    """A program that would be started, or a request to one that runs.

    ``input`` is the JSON value that it gets: on its stdin, or by the API socket of the program before where there is
    no ``argv``.
    """

    what: str
    argv: list[str] = []
    input: Any = None
