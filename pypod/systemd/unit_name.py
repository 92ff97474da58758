"""Names of units as systemd takes them (systemd.unit(5), "DESCRIPTION")."""

from __future__ import annotations

KINDS = (
    *(".service", ".socket", ".target", ".mount", ".automount", ".swap", ".timer", ".path", ".slice", ".scope"),
    ".device",
)
CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@")
RULE = "names of units are of ASCII letters, digits and :-_.\\@, and at most 255 characters long"
_LONGEST = 255


def valid(name: str) -> bool:
    """Whether systemd loads a unit of this name: a.service, a@.service or a@b.service, say."""
    stem, _, _ = name.rpartition(".")
    return (
        name.endswith(KINDS)
        and CHARACTERS.issuperset(name)
        and bool(stem.partition("@")[0])
        and len(name) <= _LONGEST
    )
