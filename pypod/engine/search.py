"""``search``: images that registries find for a term, and the tags of one repository (podman-search(1))."""

from __future__ import annotations

import itertools

from pypod.base.record import record
from pypod.base.text import show
from pypod.errors import NotThere, PypodError, RegistryError, UsageError
from pypod.oci import reference
from pypod.registry import endpoints, shortnames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pypod.registry.settings import Settings

LIMIT = 25  # results of one registry, unless it is said otherwise
_ASKED = 100  # that a registry is asked for at most: filters need more than they leave
_LISTED = 10_000  # of those of a registry that only lists
_TRUNCATED = 44  # characters of a description


@record
class Found:
    """One repository. ``index`` is the registry; ``official`` and ``automated`` are "[OK]" or ""."""

    index: str
    name: str
    description: str = ""
    stars: int = 0
    official: str = ""
    automated: str = ""


def search(term: str, settings: Settings, *, limit: int = 0, filters: Sequence[str] = ()) -> list[Found]:
    """What all registries in question find; those that fail are told of if none answers.

    Raises UsageError, RegistryError, ConfigError.
    """
    tests = [_test(text) for text in filters]
    if reference.has_registry(term):
        host, _, rest = term.partition("/")
        places = [host]
    else:
        rest = term
        places = shortnames.unqualified_registries(settings)
    if not places:
        raise RegistryError(f'cannot search for "{show(term)}": no unqualified-search registries are defined')
    result: list[Found] = []
    problems: list[PypodError] = []
    for host in places:
        try:
            found = _at(host, rest, settings)
        except RegistryError as error:
            problems.append(error)
            continue
        result += [item for item in found if all(test(item) for test in tests)][: limit or LIMIT]
    if len(problems) == len(places):
        if len(problems) == 1:
            raise problems[0]
        told = "; ".join(problem.message for problem in problems)
        raise RegistryError(f"{len(problems)} errors occurred while searching: {told}")
    return result


def _at(host: str, term: str, settings: Settings) -> list[Found]:
    """One registry's: by its search, or of all its repositories those with the term in their names."""
    client = endpoints.host_client(host, settings)
    try:
        try:
            rows = client.search(term, _ASKED) if term else None
        except NotThere:
            rows = None
        if rows is None:
            names = itertools.islice((name for name in client.catalog() if term in name), _LISTED)
            return [Found(index=host, name=f"{host}/{show(name)}") for name in names]
    finally:
        client.close()
    return [_row(host, row) for row in rows]


def _row(host: str, row: dict[str, Any]) -> Found:
    name = row.get("name")
    name = show(name) if isinstance(name, str) else ""
    if host == "docker.io" and "/" not in name:
        name = f"library/{name}"
    text, stars = row.get("description"), row.get("star_count")
    return Found(
        index=host,
        name=name if name.startswith(f"{host}/") else f"{host}/{name}",
        description=show(text, 4096) if isinstance(text, str) else "",
        stars=stars if isinstance(stars, int) and not isinstance(stars, bool) else 0,
        official="[OK]" if row.get("is_official") is True else "",
        automated="[OK]" if row.get("is_automated") is True else "",
    )


def shortened(text: str) -> str:
    """A description as it is shown without --no-trunc."""
    return f"{text[:_TRUNCATED]}..." if len(text) > _TRUNCATED else text


def _test(text: str) -> Callable[[Found], bool]:
    key, _, value = text.partition("=")
    if key == "stars":
        if not value.isdecimal():
            raise UsageError(f'incorrect value type for stars filter: "{show(value)}" is no number', code=125)
        least = int(value)
        return lambda item: item.stars >= least
    if key in ("is-official", "is-automated"):
        if value not in ("", "true", "false"):
            raise UsageError(f'{key} filter must be true or false, not "{show(value)}"', code=125)
        wanted = value != "false"
        if key == "is-official":
            return lambda item: bool(item.official) is wanted
        return lambda item: bool(item.automated) is wanted
    raise UsageError(f'invalid filter type "{show(key)}": there are stars, is-official and is-automated', code=125)


def tags(term: str, settings: Settings, *, limit: int = 0) -> tuple[str, list[str]]:
    """The name of a repository, and its tags. Raises UsageError, RegistryError, ConfigError."""
    try:
        where = reference.parse(term.removeprefix("docker://"))
    except reference.BadReference as error:
        raise UsageError(f'reference "{show(term)}" must be a docker reference: {error.message}', code=125) from None
    if where.tag or where.digest:
        raise UsageError(f'cannot list the tags of "{show(term)}": it has one already', code=125)
    client = None
    problems: list[PypodError] = []
    for endpoint in endpoints.for_pull(where, settings):
        client = endpoint.client
        try:
            found = []
            for tag in client.tags(endpoint.repository):
                found.append(tag)
                if limit and len(found) >= limit:
                    break
            return where.name, found
        except RegistryError as error:
            problems.append(error)
        finally:
            client.close()
    raise problems[-1]
