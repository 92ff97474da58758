"""From keys to flags: what the table of a kind of file says, applied to a file.

A table has for each key ``(kind, flag, prefix)``; what ``prefix`` has comes before each value:

``value``  the last one is the flag's value            ``path``   the same, a path relative to the file
``bool``   --flag or --flag=false                      ``paths``  each word is a path relative to the file
``on``     --flag prefix, if it is true                ``pairs``  each word is a value NAME=VALUE, the last of a name
``lines``  each assignment is one value                ``words``  each word is one value
``own``    the module of the kind deals with it        ``no``     refused; ``flag`` says what to do instead
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pypod.systemd import quadlet_model as model
from pypod.systemd import unit_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pypod.systemd.quadlet_model import Source
    from pypod.systemd.unit_file import Entry

    Table = Mapping[str, tuple[str, str, str]]

OWN = ("own", "", "")
# Keys of every kind.
COMMON: Table = {"ContainersConfModule": OWN, "GlobalArgs": OWN, "PodmanArgs": OWN, "ServiceName": OWN}
_SHARED_SECTIONS = ("Unit", "Service", "Install", "Quadlet")
_QUADLET = ("DefaultDependencies",)
_INSTALL = ("Alias", "DefaultInstance", "RequiredBy", "UpheldBy", "WantedBy", "Also")
# Keys that are often looked for in the file's own section.
_ELSEWHERE = {
    "Unit": ("After", "Before", "BindsTo", "Description", "Documentation", "PartOf", "Requires", "Wants"),
    "Service": (
        *(
            "ExecReload",
            "ExecStart",
            "ExecStartPost",
            "ExecStartPre",
            "ExecStop",
            "ExecStopPost",
            "KillMode",
            "Restart",
        ),
        *("RemainAfterExit", "RestartSec", "SuccessExitStatus", "TimeoutStartSec", "TimeoutStopSec", "Type"),
    ),
    "Install": _INSTALL,
    "Quadlet": _QUADLET,
}


def check(source: Source, table: Table) -> None:
    """Note the sections and keys that nobody knows."""
    known_sections = (*_SHARED_SECTIONS, source.section)
    for name, section in source.unit.sections.items():
        if name == source.section:
            keys = sorted((*table, *COMMON))
        elif name == "Quadlet":
            keys = sorted(_QUADLET)
        elif name == "Install":
            keys = sorted(_INSTALL)
        else:
            if name not in known_sections and not name.startswith("X-"):
                source.problems.append(
                    model.Problem(
                        section.path,
                        section.line,
                        f"a .{source.kind} file has no section [{name}]",
                        model.close(name, known_sections),
                        fatal=False,
                    )
                )
            continue
        for entry in section.entries:
            if entry.key in keys:
                kind, instead, _ = table.get(entry.key, OWN) if name == source.section else OWN
                if kind == "no":
                    source.bad(entry, "is not supported", instead)
            elif not entry.key.startswith("X-"):
                belongs = [f"it is one of [{other}]" for other, known in _ELSEWHERE.items() if entry.key in known]
                source.bad(entry, f"is no key of [{name}]", (belongs or [model.close(entry.key, keys)])[0])
    if source.section not in source.unit.sections:
        source.lacks(f"there is no section [{source.section}]")


def flags(source: Source, table: Table) -> list[str]:
    """The words of the flags, in the order of the table. What cannot be read is noted."""
    words: list[str] = []
    for key, (kind, flag, prefix) in table.items():
        if kind in ("own", "no"):
            continue
        if kind in ("bool", "on"):
            if source.entry(key) is not None:
                true = source.flag(key, False)
                words += ([flag] if true else [flag + "=false"]) if kind == "bool" else [flag, prefix] * true
            continue
        for value in _values(source, key, kind):
            words += [flag, prefix + value]
    return words


def _values(source: Source, key: str, kind: str) -> list[str]:
    entries = source.unit.entries(source.section, key)
    if kind in ("value", "path"):
        entries = entries[-1:]
    if kind in ("value", "lines", "path"):
        found = [unit_file.whole(entry.value) for entry in entries]
        return [absolute(source, value) for value in found] if kind == "path" else found
    found = [word for entry in entries for word in split(source, entry)]
    if kind == "paths":
        return [absolute(source, value) for value in found]
    if kind == "pairs":
        return list({word.partition("=")[0]: word for word in found}.values())
    return found


def words(source: Source, key: str) -> list[str]:
    """All words of a key of the file's own section."""
    return _values(source, key, "words")


def lines(source: Source, key: str) -> list[tuple[Entry, str]]:
    """The assignments of a key, each one value, and where they are."""
    return [(entry, unit_file.whole(entry.value)) for entry in source.unit.entries(source.section, key)]


def split(source: Source, entry: Entry) -> list[str]:
    """The words of one assignment."""
    try:
        return unit_file.split(entry.value)
    except unit_file.BadWords as error:
        source.bad(entry, f"cannot be split into words: {error}")
        return []


def absolute(source: Source, path: str) -> str:
    """A path of the host as an absolute one: it is relative to the file, unless it begins with a specifier."""
    if not path or path[0] in "/%" or path.startswith("${"):
        return path
    return os.path.normpath(f"{model.literal(source.directory)}/{path}")


def before(source: Source) -> list[str]:
    """The global flags."""
    modules = [word for _, value in lines(source, "ContainersConfModule") for word in ("--module", value)]
    return [*modules, *words(source, "GlobalArgs")]
