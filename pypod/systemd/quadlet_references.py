"""Quadlet files that name each other: ``Volume=data.volume:/srv`` is another file's volume, and needs its service."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pypod.systemd import quadlet_keys, unit_file
from pypod.systemd import quadlet_model as model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pypod.systemd.quadlet_model import Source
    from pypod.systemd.unit_file import Entry

_NAME_KEYS = {"container": "ContainerName", "pod": "PodName", "volume": "VolumeName", "network": "NetworkName"}
# Settings of [Unit] that list units, where a Quadlet file stands for its service.
DEPENDENCIES = (
    *("After", "Before", "BindsTo", "Conflicts", "OnFailure", "OnSuccess", "PartOf", "PropagatesReloadTo"),
    *("PropagatesStopTo", "ReloadPropagatedFrom", "Requires", "Requisite", "StopPropagatedFrom", "Upholds", "Wants"),
)


@dataclass(frozen=True)
class Target:
    """What a reference leads to; specifiers and variables in both names are meant."""

    source: Source
    name: str  # of the container, pod, volume, network or image
    service: str  # without .service


@dataclass
class Needs:
    """The services that a unit depends on, in the order in which it names them."""

    requires: list[str] = field(default_factory=list)
    binds_to: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)  # paths of the host, as words of a command

    def path(self, path: str) -> None:
        """A path of the host has to be there, which may be on a file system of its own."""
        if path.startswith("/") and (path := os.path.normpath(path)) not in self.mounts:
            self.mounts.append(path)


class Sources:
    """All files of one run, by their names."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources

    def target(self, reference: str) -> Target | None:
        """What ``data.volume``, ``data@one.volume`` or ``data@%i.volume`` is, or None."""
        source = self._sources.get(reference)
        if source is not None:
            return Target(source, resource(source), model.literal(source.service))
        stem, _, kind = reference.rpartition(".")
        base, at, instance = stem.partition("@")
        source = self._sources.get(f"{base}@.{kind}") if at else None
        if source is None:
            return None
        return Target(source, resource(source, instance), model.literal(source.service) + instance)

    def find(self, source: Source, entry: Entry, reference: str) -> Target | None:
        """The same; a reference that leads nowhere is noted."""
        found = self.target(reference)
        if found is None:
            kind = reference.rpartition(".")[2]
            alike = [name for name in self._sources if name.endswith("." + kind)]
            source.bad(entry, f"names {reference}, and there is no such file", model.close(reference, alike))
        return found

    def need(self, source: Source, entry: Entry, reference: str, needs: Needs) -> str:
        """The name of what a reference means, whose service is then needed; "" if there is none."""
        found = self.find(source, entry, reference)
        if found is None:
            return ""
        if found.service not in needs.requires:
            needs.requires.append(found.service)
        return found.name

    def image(self, source: Source, entry: Entry, value: str, needs: Needs) -> str:
        """``Image=``: a name, or a .image or .build file."""
        if value.endswith((".image", ".build")):
            return self.need(source, entry, value, needs)
        return value

    def network(self, source: Source, entry: Entry, value: str, needs: Needs) -> str:
        """``Network=``: a mode, or a .network or .container file, and options after a colon."""
        head, colon, options = value.partition(":")
        if head.endswith(".network"):
            return self.need(source, entry, head, needs) + colon + options
        if head.endswith(".container"):
            if colon:
                source.bad(entry, f"cannot have options with the network of another container: {options}")
            return "container:" + self.need(source, entry, head, needs)
        return value

    def volume(self, source: Source, entry: Entry, value: str, needs: Needs) -> str:
        """``Volume=``: SOURCE:DESTINATION[:OPTIONS], where SOURCE may be a .volume file or relative to this file."""
        head, colon, rest = value.partition(":")
        if not colon:
            return value
        if head.startswith("."):
            head = quadlet_keys.absolute(source, head)
        elif head.endswith(".volume") and not head.startswith("/"):
            return self.need(source, entry, head, needs) + colon + rest
        needs.path(head)
        return head + colon + rest

    def mount(self, source: Source, entry: Entry, value: str, needs: Needs) -> str:
        """``Mount=``: type=TYPE,KEY=VALUE…, where the source may be another file or relative to this one."""
        parts = value.split(",")
        kind = next((part[5:] for part in parts if part.startswith("type=")), "volume")
        for number, part in enumerate(parts):
            key, equals, path = part.partition("=")
            if key not in ("source", "src") or not equals:
                continue
            if kind in ("bind", "glob"):
                if path.startswith("."):
                    path = quadlet_keys.absolute(source, path)
                if kind == "bind":
                    needs.path(path)
            elif (kind == "volume" and path.endswith(".volume")) or (
                kind == "image" and path.endswith((".image", ".build"))
            ):
                path = self.need(source, entry, path, needs)
            parts[number] = f"{key}={path}"
        return ",".join(parts)

    def dependency(self, source: Source, entry: Entry) -> str:
        """A setting of [Unit] that lists units, with services in place of files."""
        if entry.key not in DEPENDENCIES or not any("." + kind in entry.value for kind in model.SECTIONS):
            return entry.value
        words = entry.value.split()
        for number, word in enumerate(words):
            if word.rpartition(".")[2] in model.SECTIONS:
                found = self.find(source, entry, word)
                words[number] = found.service.replace("$$", "$") + ".service" if found else word
        return " ".join(words)


def resource(source: Source, instance: str | None = None) -> str:
    """The name of what a file makes, as a word of a command in any unit; ``instance`` of a template."""
    if instance is None:
        instance = source.instance
    given = source.value(_NAME_KEYS.get(source.kind, ""))
    if source.kind == "image":
        given = source.value("ImageTag") or source.value("Image")
    elif source.kind == "build":
        tags = source.unit.entries("Build", "ImageTag")
        given = unit_file.whole(tags[0].value) if tags else ""
    if given or source.kind in ("image", "build"):
        return _elsewhere(source, given, instance)
    stem = source.service if source.kind == "container" and not source.templated else source.stem
    if not source.templated:
        return "systemd-" + model.literal(stem)
    return f"systemd-{model.literal(source.base)}_{instance or '%i'}"


def _elsewhere(source: Source, text: str, instance: str) -> str:
    """A name with specifiers of the unit itself, as another unit has to say it."""
    service = model.literal(source.service) + (instance if source.templated and not source.instance else "")
    meanings = {
        "%": "%%",
        "N": service,
        "n": service + ".service",
        "p": service.partition("@")[0],
        "i": instance or "%i",
    }
    result = ""
    at = 0
    while at < len(text):
        if text[at] == "%" and at + 1 < len(text):
            result += meanings.get(text[at + 1], text[at : at + 2])
            at += 2
        else:
            result += text[at]
            at += 1
    return result
