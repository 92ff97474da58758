"""The filters of ``ps``, and of the commands that take --filter to choose containers (podman-ps(1))."""

from __future__ import annotations

import time

from pypod.base import times
from pypod.engine import container as containers
from pypod.errors import NoSuchContainer, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.engine.context import Context
    from pypod.engine.ps_view import Row
    from storage.store import Store

    Test = Callable[[Row], bool]

STATES = ("created", "exited", "initialized", "paused", "removing", "running", "stopped", "stopping", "unknown")
HEALTH = ("healthy", "unhealthy", "starting", "none")


def compile(context: Context, store: Store, filters: Sequence[str]) -> list[Test]:
    """One test for each key; the values of one key are alternatives, but all labels must be there.

    Raises UsageError for a key or value that means nothing.
    """
    by_key: dict[str, list[str]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f'invalid filter "{text}": must be in the form of filter=value')
        by_key.setdefault(key.lower(), []).append(value)
    tests: list[Test] = []
    for key, values in by_key.items():
        maker = _MAKERS.get(key)
        if maker is None:
            known = ", ".join(sorted(_MAKERS))
            raise UsageError(f"{key} is an invalid filter", hint=f"one of {known}")
        made = [maker(context, store, value) for value in values]
        tests.append(_all(made) if key.startswith("label") else _any(made))
    return tests


def _any(tests: list[Test]) -> Test:
    return lambda row: any(test(row) for test in tests)


def _all(tests: list[Test]) -> Test:
    return lambda row: all(test(row) for test in tests)


def _pattern(text: str) -> Callable[[str], bool]:
    """Whether a name holds ``text``, which may be a regular expression."""
    if text.replace("-", "").replace("_", "").isalnum():
        return lambda name: text in name
    import re

    try:
        compiled = re.compile(text)
    except re.error as error:
        raise UsageError(f'invalid filter "{text}": {error}') from None
    return lambda name: compiled.search(name) is not None


def _id(context: Context, store: Store, value: str) -> Test:
    if value and not set(value) <= set("0123456789abcdef"):
        matches = _pattern(value)
        return lambda row: matches(row.container.id)
    return lambda row: row.container.id.startswith(value)


def _name(context: Context, store: Store, value: str) -> Test:
    matches = _pattern(value.removeprefix("/"))
    return lambda row: matches(row.container.name)


def _command(context: Context, store: Store, value: str) -> Test:
    matches = _pattern(value)
    return lambda row: bool(row.container.config.command) and matches(row.container.config.command[0])


def label_test(value: str) -> Callable[[dict[str, str]], bool]:
    """Whether labels hold KEY or KEY=VALUE; a * at the end of the key stands for anything."""
    key, equals, wanted = value.partition("=")
    if key.endswith("*"):
        head = key[:-1]
        return lambda labels: any(
            name.startswith(head) and (not equals or item == wanted) for name, item in labels.items()
        )
    if equals:
        return lambda labels: labels.get(key) == wanted
    return lambda labels: key in labels


def _label(context: Context, store: Store, value: str) -> Test:
    matches = label_test(value)
    return lambda row: matches(row.container.config.labels)


def _no_label(context: Context, store: Store, value: str) -> Test:
    matches = label_test(value)
    return lambda row: not matches(row.container.config.labels)


def _status(context: Context, store: Store, value: str) -> Test:
    if value not in STATES:
        raise UsageError(f"{value} is not a valid status", hint="one of " + ", ".join(STATES))
    wanted = "exited" if value == "stopped" else value
    return lambda row: row.state.status == wanted


def _exited(context: Context, store: Store, value: str) -> Test:
    try:
        code = int(value)
    except ValueError:
        raise UsageError(f'exited code out of range "{value}": not a number') from None
    return lambda row: row.state.status == "exited" and row.state.exit_code == code


def _ancestor(context: Context, store: Store, value: str) -> Test:
    ids: set[str] = set()
    from pypod.errors import NoSuchImage

    try:
        ids.add(store.find_image(value).id)
    except NoSuchImage:
        pass
    plain = value.removeprefix("sha256:")
    tagged = ":" in value.rpartition("/")[2]

    def test(row: Row) -> bool:
        config = row.container.config
        name = config.image if tagged else config.image.rpartition(":")[0] or config.image
        return (
            config.image_id in ids
            or bool(plain)
            and config.image_id.startswith(plain)
            or name == value
            or name.endswith("/" + value)
        )

    return test


def _reference(context: Context, store: Store, value: str, key: str) -> str:
    try:
        return times.order(containers.find(context, store, value).config.created)
    except NoSuchContainer as error:
        raise UsageError(f"filter {key}={value}: {error.message}") from None


def _before(context: Context, store: Store, value: str) -> Test:
    moment = _reference(context, store, value, "before")
    return lambda row: times.order(row.container.config.created) < moment


def _since(context: Context, store: Store, value: str) -> Test:
    moment = _reference(context, store, value, "since")
    return lambda row: times.order(row.container.config.created) > moment


def _volume(context: Context, store: Store, value: str) -> Test:
    source, colon, destination = value.partition(":")

    def test(row: Row) -> bool:
        for mount in row.container.config.mounts:
            if colon:
                if source in (mount.source, mount.name) and mount.destination == destination:
                    return True
            elif source in (mount.source, mount.name, mount.destination):
                return True
        return False

    return test


def _health(context: Context, store: Store, value: str) -> Test:
    if value not in HEALTH:
        raise UsageError(f"{value} is not a valid health status", hint="one of " + ", ".join(HEALTH))
    wanted = "" if value == "none" else value
    return lambda row: row.health == wanted


def _network(context: Context, store: Store, value: str) -> Test:
    return lambda row: value in row.networks or row.container.config.network.mode == value


def _restart(context: Context, store: Store, value: str) -> Test:
    if value not in ("no", "never", "always", "on-failure", "unless-stopped"):
        raise UsageError(f"invalid restart policy: {value} is not a valid restart policy")
    wanted = ("", "no", "never") if value in ("no", "never") else (value,)
    return lambda row: row.container.config.restart_policy in wanted


def _until(context: Context, store: Store, value: str) -> Test:
    moment = parse_moment(value)
    return lambda row: row.created < moment


def _pod(context: Context, store: Store, value: str) -> Test:
    from pypod.engine import pods

    # A name, or the beginning of an id; the names are those of now.
    wanted = {
        pod.id for pod in pods.every(context) if value in (pod.name, pod.id) or value and pod.id.startswith(value)
    }
    return lambda row: row.container.config.pod in wanted


def _boot(context: Context, store: Store, value: str) -> Test:
    if value not in ("true", "false"):
        raise UsageError(f'invalid filter "should-start-on-boot={value}": must be true or false')
    wanted = value == "true"

    def test(row: Row) -> bool:
        policy = row.container.config.restart_policy
        starts = policy == "always" or policy == "unless-stopped" and not row.state.stopped_by_user
        return starts is wanted

    return test


def parse_moment(text: str, *, ahead: bool = False) -> int:
    """ns since 1970 of a time as people write it: RFC 3339, a date, Unix seconds, or a Go duration, which is that
    long ago, or ``ahead``.

    Raises UsageError.
    """
    from pypod.engine import sizes

    whole, dot, fraction = text.partition(".")
    if whole.isdecimal() and (not dot or fraction.isdecimal()):
        return int(whole) * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))
    try:
        distance = sizes.parse_duration(text)
        return time.time_ns() + (distance if ahead else -distance)
    except ValueError:
        pass
    date, _, clock = text.replace(" ", "T", 1).partition("T")
    zoned = clock.endswith(("Z", "z")) or "+" in clock or "-" in clock
    if clock.count(":") == 1 and not zoned:
        clock += ":00"
    try:
        if zoned:
            time.strptime(f"{date}T{clock[:8]}", "%Y-%m-%dT%H:%M:%S")  # for the ranges of the numbers
            return times.parse_rfc3339(f"{date}T{clock}")
        # Without a zone, in the local one.
        seconds, _, part = (clock or "00:00:00").partition(".")
        parts = time.strptime(f"{date}T{seconds}", "%Y-%m-%dT%H:%M:%S")
        return int(time.mktime(parts)) * 1_000_000_000 + int((part or "0")[:9].ljust(9, "0"))
    except ValueError:
        raise UsageError(
            f'cannot parse time "{text}"', hint="RFC 3339, YYYY-MM-DD, Unix seconds, or a duration such as 10m"
        ) from None


_MAKERS: dict[str, Callable[[Context, Store, str], Test]] = {
    "ancestor": _ancestor,
    "before": _before,
    "command": _command,
    "exited": _exited,
    "health": _health,
    "id": _id,
    "label": _label,
    "label!": _no_label,
    "name": _name,
    "network": _network,
    "pod": _pod,
    "restart-policy": _restart,
    "should-start-on-boot": _boot,
    "since": _since,
    "status": _status,
    "until": _until,
    "volume": _volume,
}
