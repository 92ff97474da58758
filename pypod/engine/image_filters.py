"""The filters of ``images`` and ``image prune`` (podman-images(1))."""

from __future__ import annotations

from pypod.base import times
from pypod.engine import images
from pypod.errors import NoSuchImage, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pypod.engine.images import Overview, Summary

    Test = Callable[[Summary], bool]

_TRUE = ("true", "t", "1")
_FALSE = ("false", "f", "0")


def compile(overview: Overview, filters: Sequence[str]) -> list[Test]:
    """One test for each key; values of one key are alternatives, except for labels and times, which must all hold.

    Raises UsageError.
    """
    by_key: dict[str, list[Test]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f'invalid image filter "{text}": must be in the format "filter=value"')
        maker = _MAKERS.get(key.removesuffix("!"))
        if maker is None:
            raise UsageError(f'unsupported image filter "{key}"')
        test = maker(overview, value)
        by_key.setdefault(key, []).append(_not(test) if key.endswith("!") else test)
    return [
        _all(tests) if key.rstrip("!") in _CONJUNCTIVE or key.endswith("!") else _any(tests)
        for key, tests in by_key.items()
    ]


def _not(test: Test) -> Test:
    return lambda item: not test(item)


def _all(tests: list[Test]) -> Test:
    return lambda item: all(test(item) for test in tests)


def _any(tests: list[Test]) -> Test:
    return lambda item: any(test(item) for test in tests)


def _truth(key: str, value: str) -> bool:
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise UsageError(f'non-boolean value "{value}" for {key} filter')


def _dangling(overview: Overview, value: str) -> Test:
    wanted = _truth("dangling", value)
    return lambda item: item.dangling is wanted


def _manifest(overview: Overview, value: str) -> Test:
    wanted = _truth("manifest", value)
    return lambda item: item.image.is_list is wanted


def _intermediate(overview: Overview, value: str) -> Test:
    wanted = _truth("intermediate", value)
    return lambda item: item.intermediate is wanted


def _readonly(overview: Overview, value: str) -> Test:
    wanted = _truth("readonly", value)
    return lambda item: item.image.read_only is wanted


def _containers(overview: Overview, value: str) -> Test:
    wanted = _truth("containers", value)
    return lambda item: bool(item.containers) is wanted


def _label(overview: Overview, value: str) -> Test:
    key, equals, wanted = value.partition("=")

    def test(item: Summary) -> bool:
        labels = overview.labels(item.image)
        return key in labels and (not equals or labels[key] == wanted)

    return test


def _id(overview: Overview, value: str) -> Test:
    value = value.removeprefix("sha256:")
    return lambda item: item.image.id.startswith(value)


def _reference_time(overview: Overview, value: str, key: str) -> int:
    try:
        return images.created_at(overview.store.find_image(value, lists=True))
    except NoSuchImage:
        raise UsageError(f'could not find local image for filter "{key}={value}": {value}: image not known') from None


def _before(overview: Overview, value: str) -> Test:
    limit = _reference_time(overview, value, "before")
    return lambda item: item.created < limit


def _since(overview: Overview, value: str) -> Test:
    limit = _reference_time(overview, value, "since")
    return lambda item: item.created > limit


def _until(overview: Overview, value: str) -> Test:
    import time

    from pypod.engine import sizes

    if value.isdecimal():
        limit = int(value) * 1_000_000_000
    else:
        try:
            limit = times.parse_rfc3339(value)
        except ValueError:
            try:
                limit = time.time_ns() - sizes.parse_duration(value)
            except ValueError:
                raise UsageError(f'filter "until={value}": not a time or duration') from None
    return lambda item: item.created < limit


def _reference(overview: Overview, value: str) -> Test:
    """A name, or a pattern in the shell's way: with registry and tag, without the tag, or the last parts alone."""
    import fnmatch

    exact = ""
    try:
        exact = overview.store.find_image(value, lists=True).id
    except NoSuchImage:
        pass
    pattern = "*" not in value and "?" not in value and "[" not in value

    def matches(name: str) -> bool:
        repository = images.split_name(name)[0]
        for text in (name, repository):
            parts = text.split("/")
            for start in range(len(parts)):
                if fnmatch.fnmatchcase("/".join(parts[start:]), value):
                    return True
        return False

    def test(item: Summary) -> bool:
        if exact and pattern and item.image.id == exact:
            return True
        return any(matches(name) for name in item.image.names)

    return test


_MAKERS: dict[str, Callable[[Overview, str], Test]] = {
    "after": _since,
    "before": _before,
    "containers": _containers,
    "dangling": _dangling,
    "id": _id,
    "intermediate": _intermediate,
    "label": _label,
    "manifest": _manifest,
    "readonly": _readonly,
    "reference": _reference,
    "since": _since,
    "until": _until,
}
_CONJUNCTIVE = ("label", "before", "since", "after", "until")
