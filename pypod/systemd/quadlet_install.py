"""[Install] of a Quadlet file: a generated unit cannot be enabled by systemctl, so the generator makes the links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pypod.systemd import unit_name

if TYPE_CHECKING:
    from pypod.systemd.quadlet_model import Source
    from pypod.systemd.unit_file import Entry

_DIRECTORIES = {"WantedBy": ".wants", "RequiredBy": ".requires", "UpheldBy": ".upholds"}


def links(source: Source, service: str) -> dict[str, str]:
    """The links for ``service`` (with .service), name to target, relative to the directory of the units.

    A template is pulled in as its DefaultInstance=; without one only its aliases are links. What cannot be a link is
    noted.
    """
    found: dict[str, str] = {}
    for entry, alias in _names(source, "Alias", service):
        if alias == service:
            source.bad(entry, f"{alias} is the service itself", fatal=False)
        elif _can_be_alias(alias, service):
            found[alias] = service
        else:
            source.bad(entry, f"{alias} cannot be another name of {service}")
    default = source.unit.last("Install", "DefaultInstance")
    template = source.templated and not source.instance
    if default and not template:
        source.bad(default, "is only for templates, NAME@." + source.kind, fatal=False)
    pulled = service
    if template and default:
        pulled = service.replace("@.service", f"@{default.value}.service")
        if not unit_name.valid(pulled):
            source.bad(default, f"{default.value!r} cannot be in the name of a unit", unit_name.RULE)
    for key, suffix in _DIRECTORIES.items():
        for _, name in _names(source, key, pulled):
            if template and not default:
                continue
            found[f"{name}{suffix}/{pulled}"] = f"../{service}"
    for entry in source.unit.entries("Install", "Also"):
        source.bad(entry, "does nothing: every Quadlet file is enabled by its own [Install]", fatal=False)
    if template and not default:
        for key in _DIRECTORIES:
            for entry in source.unit.entries("Install", key):
                source.bad(entry, "does nothing for a template without DefaultInstance=", fatal=False)
    return found


def _can_be_alias(alias: str, service: str) -> bool:
    """Of a template all instances may be aliases, of an instance only ones called the same."""
    _, at, instance = service.removesuffix(".service").partition("@")
    _, alias_at, alias_instance = alias.removesuffix(".service").partition("@")
    return alias.endswith(".service") and at == alias_at and (not instance or instance == alias_instance)


def _names(source: Source, key: str, service: str) -> list[tuple[Entry, str]]:
    return [
        (entry, name)
        for entry in source.unit.entries("Install", key)
        for word in entry.value.split()
        if (name := _expanded(source, entry, word, service))
    ]


def _expanded(source: Source, entry: Entry, word: str, service: str) -> str:
    """A name of a unit with its specifiers replaced, of which a generator can know these few."""
    stem = service.removesuffix(".service")
    base, _, instance = stem.partition("@")
    meanings = {"%": "%", "n": service, "N": stem, "p": base, "i": instance}
    result = ""
    at = 0
    while at < len(word):
        if word[at] != "%":
            result += word[at]
            at += 1
            continue
        letter = word[at + 1 : at + 2]
        if letter not in meanings:
            source.bad(entry, f"can have no %{letter} here", "%n, %N, %p and %i")
            return ""
        result += meanings[letter]
        at += 2
    if not unit_name.valid(result):
        hint = f"{result}.service?" if "." not in result and unit_name.valid(f"{result}.service") else ""
        source.bad(entry, f"{word!r} is no name of a unit", hint)
        return ""
    return result
