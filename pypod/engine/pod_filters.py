"""The filters of ``pod ps`` (podman-pod-ps(1))."""

from __future__ import annotations

import re

from pypod.engine import filters as container_filters
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pypod.engine.pod_view import View

    Test = Callable[[View], bool]

STATES = ("stopped", "running", "paused", "exited", "dead", "created", "degraded")


def select(found: list[View], filters: Sequence[str]) -> list[View]:
    """Those that all keys describe; the values of one key are alternatives, but all labels must be there.

    Raises UsageError.
    """
    by_key: dict[str, list[Test]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"filter input must be in the form of filter=value: {text} is invalid")
        maker = _MAKERS.get(key.lower())
        if maker is None:
            raise UsageError(f"{key} is an invalid filter", hint="one of " + ", ".join(sorted(_MAKERS)))
        by_key.setdefault(key.lower(), []).append(maker(value))
    return [item for item in found if all(_holds(key, tests, item) for key, tests in by_key.items())]


def _holds(key: str, tests: list[Test], item: View) -> bool:
    results = [test(item) for test in tests]
    return all(results) if key.startswith("label") else any(results)


def _pattern(value: str) -> Callable[[str], bool]:
    try:
        compiled = re.compile(value)
    except re.error as error:
        raise UsageError(f'invalid filter "{value}": {error}') from None
    return lambda text: compiled.search(text) is not None


def _ctr_ids(value: str) -> Test:
    matches = _pattern(value)
    return lambda item: any(matches(one.container.id) for one in item.members)


def _ctr_names(value: str) -> Test:
    matches = _pattern(value)
    return lambda item: any(matches(one.container.name) for one in item.members)


def _ctr_number(value: str) -> Test:
    if not value.isdecimal():
        raise UsageError(f'strconv.Atoi: parsing "{value}": invalid syntax')
    return lambda item: len(item.members) == int(value)


def _ctr_status(value: str) -> Test:
    if value not in ("created", "running", "paused", "stopped", "exited", "unknown"):
        raise UsageError(f"{value} is not a valid status")
    wanted = "exited" if value == "stopped" else value
    return lambda item: any(one.state.status == wanted for one in item.members)


def _id(value: str) -> Test:
    matches = _pattern(value)
    return lambda item: matches(item.pod.id)


def _name(value: str) -> Test:
    matches = _pattern(value)
    return lambda item: matches(item.pod.name)


def _label(value: str) -> Test:
    matches = container_filters.label_test(value)
    return lambda item: matches(item.pod.labels)


def _no_label(value: str) -> Test:
    matches = container_filters.label_test(value)
    return lambda item: not matches(item.pod.labels)


def _network(value: str) -> Test:
    return lambda item: value in item.networks


def _status(value: str) -> Test:
    if value not in STATES:
        raise UsageError(f"{value} is not a valid pod status", hint="one of " + ", ".join(STATES))
    return lambda item: item.status.lower() == value


def _until(value: str) -> Test:
    moment = container_filters.parse_moment(value)
    return lambda item: item.created < moment


_MAKERS: dict[str, Callable[[str], Test]] = {
    "ctr-ids": _ctr_ids,
    "ctr-names": _ctr_names,
    "ctr-number": _ctr_number,
    "ctr-status": _ctr_status,
    "id": _id,
    "label": _label,
    "label!": _no_label,
    "name": _name,
    "network": _network,
    "status": _status,
    "until": _until,
}

_SORTS: dict[str, Callable[[View], Any]] = {
    "created": lambda item: -item.created,
    "id": lambda item: item.pod.id,
    "name": lambda item: item.pod.name,
    "number": lambda item: len(item.members),
    "status": lambda item: item.status,
}


def order(found: list[View], key: str) -> list[View]:
    """In the order of one field. Raises UsageError."""
    if key not in _SORTS:
        raise UsageError("invalid option for --sort, options are: id, names, or number")
    return sorted(found, key=_SORTS[key])
