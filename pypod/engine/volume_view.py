"""Volumes as podman shows them: podman-volume-inspect(1), podman-volume-ls(1) and its filters."""

from __future__ import annotations

from pypod.engine import volumes
from pypod.engine.volumes import Volume
from pypod.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pypod.engine.context import Context
    from storage.store import Store

    Test = Callable[[Volume], bool]


def describe(context: Context, store: Store, volume: Volume, users: volumes.Users | None = None) -> dict[str, Any]:
    """One volume with podman's keys; what is zero or false is left out, as podman does. ``users`` serves many."""
    result: dict[str, Any] = {
        "Name": volume.name,
        "Driver": volume.driver,
        "Mountpoint": volumes.mountpoint(context, volume.name),
        "CreatedAt": volume.created,
        "Labels": dict(volume.labels),
        "Scope": "local",
        "Options": dict(volume.options),
    }
    if "o" in volume.options:  # podman keeps the owner twice
        owner = {"UID": volume.uid, "GID": volume.gid}
        result["Options"] |= {
            key: str(value) for key, value in owner.items() if key.lower() + "=" in volume.options["o"]
        }
    for key, value in (("UID", volume.uid), ("GID", volume.gid), ("Anonymous", volume.anonymous)):
        if value:
            result[key] = value
    result["MountCount"] = mount_count(users or volumes.Users(context, store), volume.name)
    if volume.needs_copy_up:
        result["NeedsCopyUp"] = True
    if volume.needs_chown:
        result["NeedsChown"] = True
    return result


def mount_count(users: volumes.Users, name: str) -> int:
    """How many running containers have the volume mounted."""
    from pypod.engine import container

    return sum(1 for other in users.of(name) if container.observe(other).live)


def select(context: Context, store: Store, filters: Sequence[str], *, keys: Sequence[str] = ()) -> list[Volume]:
    """The volumes that all ``filters`` (KEY=VALUE) describe; values of one key are alternatives, but for labels.

    Raises UsageError for a key that is unknown or not in ``keys``.
    """
    by_key: dict[str, list[Test]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"filter arguments must be in the form of filter=value, not {text}")
        maker = _MAKERS.get(key)
        if maker is None or (keys and key not in keys):
            known = ", ".join(keys or sorted(_MAKERS))
            raise UsageError(f'"{key}" is an invalid volume filter', hint=f"one of {known}")
        by_key.setdefault(key, []).append(maker(context, store, value))
    result = []
    for volume in volumes.every(context):
        if all(
            all(test(volume) for test in tests) if key.startswith("label") else any(test(volume) for test in tests)
            for key, tests in by_key.items()
        ):
            result.append(volume)
    return result


def _dangling(context: Context, store: Store, value: str) -> Test:
    wanted = {"true": True, "1": True, "false": False, "0": False}.get(value.lower())
    if wanted is None:
        raise UsageError(f'"{value}" is not a valid value for the "dangling" filter - must be true or false')
    users = volumes.Users(context, store)
    return lambda volume: (not users.of(volume.name)) is wanted


def _label(context: Context, store: Store, value: str) -> Test:
    from pypod.engine import filters

    matches = filters.label_test(value)
    return lambda volume: matches(volume.labels)


def _no_label(context: Context, store: Store, value: str) -> Test:
    from pypod.engine import filters

    matches = filters.label_test(value)
    return lambda volume: not matches(volume.labels)


def _name(context: Context, store: Store, value: str) -> Test:
    import re

    try:
        pattern = re.compile(value)
    except re.error as error:
        raise UsageError(f'invalid name filter "{value}": {error}') from None
    return lambda volume: pattern.search(volume.name) is not None


def _opt(context: Context, store: Store, value: str) -> Test:
    key, equals, wanted = value.partition("=")
    return lambda volume: key in volume.options and (not equals or volume.options[key] == wanted)


def _moment(value: str) -> int:
    from pypod.engine import filters

    return filters.parse_moment(value)


def _until(context: Context, store: Store, value: str) -> Test:
    from pypod.base import times

    limit = _moment(value)
    return lambda volume: times.parse_rfc3339(volume.created) < limit


def _since(context: Context, store: Store, value: str) -> Test:
    from pypod.base import times

    limit = _moment(value)
    return lambda volume: times.parse_rfc3339(volume.created) > limit


_MAKERS: dict[str, Callable[[Context, Store, str], Test]] = {
    "dangling": _dangling,
    "driver": lambda context, store, value: lambda volume: volume.driver == value,
    "label": _label,
    "label!": _no_label,
    "name": _name,
    "opt": _opt,
    "scope": lambda context, store, value: lambda volume: value == "local",
    "since": _since,
    "after": _since,
    "until": _until,
}
