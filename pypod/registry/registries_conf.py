"""registries.conf and its drop-ins: containers-registries.conf(5), version 2, and 1 as far as podman takes it."""

from __future__ import annotations

import os

from pypod.base import conf
from pypod.base.record import record
from pypod.errors import ConfigError
from pypod.registry import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.oci.reference import Reference

MODES = ("enforcing", "permissive", "disabled")
_MIRRORED = ("all", "digest-only", "tag-only")


@record
class Place:
    """A location of images: "host[:port][/path]", to be reached without certificates if ``insecure``.

    ``when`` is a mirror's pull-from-mirror: all, digest-only or tag-only.
    """

    location: str
    insecure: bool = False
    when: str = "all"


@record
class Registry:
    """A [[registry]] table. ``prefix`` may be "*.DOMAIN"; ``place.location`` "" leaves the name as it is."""

    prefix: str
    place: Place
    mirrors: tuple[Place, ...] = ()
    blocked: bool = False


@record
class Alias:
    """What a short name stands for, and the file that says so."""

    name: str
    file: str


@record
class Registries:
    """``unqualified`` None: no file says anything of it. ``said_by`` is the file that does."""

    registries: tuple[Registry, ...] = ()
    unqualified: tuple[str, ...] | None = None
    said_by: str = ""
    mode: str = "permissive"
    helpers: tuple[str, ...] = ()
    aliases: dict[str, Alias] = {}

    def find(self, reference: Reference) -> Registry | None:
        """The table with the longest prefix of a reference."""
        return self.find_name(str(reference))

    def find_name(self, name: str) -> Registry | None:
        """The table with the longest prefix of HOST[/PATH]."""
        best: Registry | None = None
        length = 0
        for registry in self.registries:
            matched = matches(registry.prefix, name)
            # Of two that match as much, one without a wildcard says more.
            if matched > length or (matched == length and best is not None and best.prefix[0] == "*"):
                best, length = registry, matched
        return best


def matches(prefix: str, name: str) -> int:
    """How many characters of ``name`` a prefix stands for, 0 for none."""
    if prefix.startswith("*."):
        host = name.partition("/")[0]
        bare = host.partition(":")[0] if ":" not in prefix else host
        return len(bare) if bare.endswith(prefix[1:]) and len(bare) > len(prefix) - 1 else 0
    if name.startswith(prefix) and (len(name) == len(prefix) or name[len(prefix)] in ":/@"):
        return len(prefix)
    return 0


def paths(named: str = "") -> list[str]:
    """The files that exist, as they apply: ``named``, the user's or the system's, then drop-ins."""
    own = f"{places.config()}/registries.conf"
    user = conf.drop_ins(f"{places.config()}/registries.conf.d")
    named = named or os.environ.get("CONTAINERS_REGISTRIES_CONF", "")
    if not named and os.path.exists(own):
        return [own, *user]
    main = named or f"{places.SYSTEM}/registries.conf"
    found = [main] if named or os.path.exists(main) else []
    return [*found, *conf.drop_ins(f"{places.SYSTEM}/registries.conf.d"), *user]


def load(named: str = "") -> Registries:
    """What all files together say. Raises ConfigError, which names the file and the key."""
    result = Registries()
    for number, path in enumerate(paths(named)):
        result = _with(result, path, conf.parse(path), number == 0)
    return result


def _fail(path: str, cause: str) -> ConfigError:
    return ConfigError(f"cannot use {path}: {cause}")


def _get(path: str, table: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    value = table.get(key, default)
    if value is not default and not isinstance(value, kind):
        raise _fail(path, f"{key} must be {_KINDS[kind]}")
    return value


_KINDS: dict[type, str] = {str: "a string", bool: "true or false", list: "a list", dict: "a table"}


def _strings(path: str, table: dict[str, Any], key: str) -> tuple[str, ...]:
    value = _get(path, table, key, list, [])
    if not all(isinstance(item, str) for item in value):
        raise _fail(path, f"{key} must be a list of strings")
    return tuple(value)


def _with(known: Registries, path: str, document: dict[str, Any], first: bool) -> Registries:
    """``known`` with what one more file says."""
    old = _get(path, document, "registries", dict, {})
    if old:
        new = [key for key in ("registry", "unqualified-search-registries") if key in document]
        if new:
            raise _fail(path, f"mixing sysregistry v1/v2 is not supported ([registries] and {new[0]})")
        if not first:
            raise _fail(path, "[registries] is version 1, which drop-in files cannot have")
        return _version_1(path, old)
    own: dict[str, Registry] = {}
    for table in _get(path, document, "registry", list, []):
        if not isinstance(table, dict):
            raise _fail(path, "registry must be a list of tables")
        registry = _registry(path, table)
        other = own.setdefault(registry.prefix, registry)
        for key, one, two in (
            ("insecure", other.place.insecure, registry.place.insecure),
            ("blocked", other.blocked, registry.blocked),
        ):
            if one is not two:
                raise _fail(path, f"registry {registry.prefix!r} is defined multiple times with conflicting {key!r}")
    by_prefix = {**{item.prefix: item for item in known.registries}, **own}
    mode = _get(path, document, "short-name-mode", str, "") or known.mode
    if mode not in MODES:
        raise _fail(path, f"short-name-mode is {mode!r}: it must be {', '.join(MODES)}")
    unqualified, said_by = known.unqualified, known.said_by
    if "unqualified-search-registries" in document:
        unqualified = tuple(
            _location(path, item) for item in _strings(path, document, "unqualified-search-registries")
        )
        said_by = path
        if any("/" in item for item in unqualified):
            raise _fail(path, "unqualified-search-registries must be hosts, without a path")
    return Registries(
        registries=tuple(by_prefix.values()),
        unqualified=unqualified,
        said_by=said_by,
        mode=mode,
        helpers=_strings(path, document, "credential-helpers") or known.helpers,
        aliases=aliases(path, document, known.aliases),
    )


def aliases(path: str, document: dict[str, Any], known: dict[str, Alias]) -> dict[str, Alias]:
    """``known`` with the [aliases] of one more file; an empty one takes away. Raises ConfigError."""
    from pypod.oci import reference

    result = dict(known)
    for key, value in _get(path, document, "aliases", dict, {}).items():
        if not isinstance(value, str):
            raise _fail(path, f"the alias {key!r} must be a string")
        if not value:
            result.pop(key, None)
            continue
        try:
            whole = reference.parse(value)
        except reference.BadReference as error:
            raise _fail(path, f"the alias {key!r}: {value!r}: {error.message}") from None
        if whole.tag or whole.digest or not reference.has_registry(value):
            raise _fail(path, f"the alias {key!r}: {value!r} must have a registry, and neither tag nor digest")
        result[key] = Alias(name=value, file=path)
    return result


def _location(path: str, text: str) -> str:
    if "://" in text:
        raise _fail(path, f"invalid location {text!r}: URI schemes are not supported")
    return text.rstrip("/")


def _place(path: str, table: dict[str, Any], when: str = "all") -> Place:
    when = _get(path, table, "pull-from-mirror", str, "") or when
    if when not in _MIRRORED:
        raise _fail(path, f"pull-from-mirror is {when!r}: it must be {', '.join(_MIRRORED)}")
    return Place(
        location=_location(path, _get(path, table, "location", str, "")),
        insecure=_get(path, table, "insecure", bool, False),
        when=when,
    )


def _registry(path: str, table: dict[str, Any]) -> Registry:
    place = _place(path, {key: value for key, value in table.items() if key != "pull-from-mirror"})
    prefix = _location(path, _get(path, table, "prefix", str, "")) or place.location
    if not prefix:
        raise _fail(path, "a [[registry]] has neither prefix nor location")
    if prefix.startswith("*"):
        if not prefix.startswith("*.") or "/" in prefix:
            raise _fail(path, f"invalid prefix {prefix!r}: only *.DOMAIN may have a wildcard")
    elif not place.location:
        raise _fail(path, f"the [[registry]] with prefix {prefix!r} has no location")
    if "pull-from-mirror" in table:
        raise _fail(path, f"pull-from-mirror belongs into a mirror of {prefix!r}, not beside its prefix")
    by_digest = _get(path, table, "mirror-by-digest-only", bool, False)
    mirrors = []
    for item in _get(path, table, "mirror", list, []):
        if not isinstance(item, dict):
            raise _fail(path, f"mirror of {prefix!r} must be a list of tables")
        if by_digest and item.get("pull-from-mirror"):
            raise _fail(path, f"mirror-by-digest-only of {prefix!r} and pull-from-mirror cannot be set both")
        mirror = _place(path, item, "digest-only" if by_digest else "all")
        if not mirror.location:
            raise _fail(path, f"a mirror of {prefix!r} has no location")
        mirrors.append(mirror)
    return Registry(
        prefix=prefix,
        place=place,
        mirrors=tuple(mirrors),
        blocked=_get(path, table, "blocked", bool, False),
    )


def _version_1(path: str, old: dict[str, Any]) -> Registries:
    """[registries.search], [registries.insecure] and [registries.block], each with ``registries``."""
    lists: dict[str, tuple[str, ...]] = {}
    for key in ("search", "insecure", "block"):
        table = _get(path, old, key, dict, {})
        lists[key] = tuple(_location(path, item) for item in _strings(path, table, "registries"))
    names = dict.fromkeys((*lists["insecure"], *lists["block"]))
    return Registries(
        registries=tuple(
            Registry(
                prefix=name,
                place=Place(location=name, insecure=name in lists["insecure"]),
                blocked=name in lists["block"],
            )
            for name in names
        ),
        unqualified=lists["search"],
        said_by=path,
    )
