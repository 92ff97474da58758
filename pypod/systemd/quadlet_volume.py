""".volume files: a volume, made by a service that is then active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pypod.systemd import quadlet_keys, quadlet_unit
from pypod.systemd import quadlet_model as model
from pypod.systemd.quadlet_keys import OWN
from pypod.systemd.quadlet_references import Needs, resource

if TYPE_CHECKING:
    from pypod.systemd.quadlet_keys import Table
    from pypod.systemd.quadlet_model import Setting, Source
    from pypod.systemd.quadlet_references import Sources

KEYS: Table = {
    "VolumeName": OWN,
    "Driver": ("value", "--driver", ""),
    "Label": ("pairs", "--label", ""),
    "UID": ("value", "--uid", ""),
    "GID": ("value", "--gid", ""),
    "Device": OWN,
    "Type": OWN,
    "Options": OWN,
    "User": OWN,
    "Group": OWN,
    "Copy": OWN,
    "Image": OWN,
}
_NUMBERS = (("User", "uid"), ("Group", "gid"))  # which the driver takes among its options


def convert(source: Source, sources: Sources, setting: Setting) -> model.Service:
    """The service. What is wrong is noted in ``source``; then the service is of no use."""
    needs = Needs()
    words = ["volume", "create", "--ignore", *quadlet_keys.flags(source, KEYS)]
    words += _image(source, sources, needs) if source.value("Driver") == "image" else _local(source, needs)
    words += quadlet_keys.words(source, "PodmanArgs")
    words.append(source.value("VolumeName") or resource(source))
    start = model.command(setting, words, quadlet_keys.before(source))
    return quadlet_unit.service(source, sources, setting, needs, quadlet_unit.oneshot(source, start))


def _image(source: Source, sources: Sources, needs: Needs) -> list[str]:
    entry = source.entry("Image")
    if entry is None:
        source.bad(source.entry("Driver"), "image needs Image=")
        return []
    return ["--opt", "image=" + sources.image(source, entry, source.value("Image"), needs)]


def _local(source: Source, needs: Needs) -> list[str]:
    words: list[str] = []
    device, kind, options = source.value("Device"), source.value("Type"), source.value("Options")
    if source.entry("Copy"):
        words += ["--opt", "copy" if source.flag("Copy", True) else "nocopy"]
    for key, what in (("Type", kind), ("Options", options)):
        if what and not device:
            source.bad(source.entry(key), "needs Device=")
    if entry := source.entry("Image"):
        source.bad(entry, "needs Driver=image")
    if device:
        words += ["--opt", "device=" + device]
        if kind == "bind":
            needs.path(device)
    if kind:
        words += ["--opt", "type=" + kind]
    shown = []
    for key, option in _NUMBERS:
        if number := source.value(key):
            if not number.isdecimal() and "%" not in number and "$" not in number:
                source.bad(source.entry(key), f"must be a number: {number!r}")
            shown.append(f"{option}={number}")
    if options:
        shown.append(options)
    return [*words, "--opt", "o=" + ",".join(shown)] if shown else words
