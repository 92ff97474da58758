"""Quadlet files on disk: where they are looked for, their drop-ins, and the services they become.

Source: podman-systemd.unit(5), "FILES" and "DESCRIPTION"; systemd.unit(5) for drop-ins.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pypod.base import files
from pypod.errors import reason
from pypod.systemd import quadlet_convert, unit_file
from pypod.systemd.quadlet_model import SECTIONS, Problem, Setting, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pypod.systemd.quadlet_model import Service

_SYSTEM = ("/run/containers/systemd", "/etc/containers/systemd", "/usr/share/containers/systemd")
_FOR_USERS = ("/etc/containers/systemd/users", "/usr/share/containers/systemd/users")
_NULL = "/dev/null"


@dataclass
class Loaded:
    """What was found: the files by name, and what could not be read."""

    sources: dict[str, Source] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """The services by the names of their files, and everything that is wrong."""

    services: dict[str, Service]
    problems: list[Problem]


def setting(user: bool, commands: Iterable[str]) -> Setting:
    """Whom units are for; ``commands`` are those that this pypod has."""
    from pypod.engine import units

    return Setting(tuple(units.program()), user, frozenset(commands), os.path.exists)


def kind(filename: str) -> str:
    """What a file describes, or "" if it is no Quadlet file."""
    stem, _, suffix = filename.rpartition(".")
    return suffix if suffix in SECTIONS and stem and not stem.startswith(".") else ""


def directories(user: bool) -> list[str]:
    """The directories that are searched, in the order of precedence, with those below them. Not all need exist."""
    given = os.environ.get("QUADLET_UNIT_DIRS")
    if given:
        roots = [path for path in given.split(":") if path.startswith("/")]
    elif user:
        uid = os.getuid()
        roots = [config_directory(True)]
        if runtime := os.environ.get("XDG_RUNTIME_DIR"):
            roots.insert(0, runtime + "/containers/systemd")
        roots += [path for place in _FOR_USERS for path in (f"{place}/{uid}", place)]
    else:
        roots = list(_SYSTEM)
    seen: set[str] = set()
    return [path for root in roots for path in _below(root, user, seen)]


def config_directory(user: bool) -> str:
    """Where the administrator, or the user, puts Quadlet files."""
    if not user:
        return "/etc/containers/systemd"
    config = os.environ.get("XDG_CONFIG_HOME")
    if not config:
        home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
        config = home + "/.config"
    return config + "/containers/systemd"


def _below(path: str, user: bool, seen: set[str]) -> Iterator[str]:
    """A directory and those in it, also by way of symbolic links; none twice, so that circles of links end."""
    real = os.path.realpath(path)
    if real in seen:
        return
    seen.add(real)
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return
    yield path
    for name in names:
        below = f"{path}/{name}"
        if name.endswith(".d") and (kind(name[:-2]) or name[:-2] in SECTIONS):
            continue  # drop-ins
        if below in _FOR_USERS and not user:
            continue
        if path in _FOR_USERS and name.isdecimal():
            continue  # another user's, or listed by itself
        yield from _below(below, user, seen)


def load(paths: Sequence[str]) -> Loaded:
    """Read the Quadlet files of ``paths``, directories in the order of precedence.

    A file that is empty, or a link to /dev/null, masks those of its name in later directories.
    """
    result = Loaded()
    masked: set[str] = set()
    for directory in paths:
        for name in _names(directory, result.problems):
            if not kind(name) or name in result.sources or name in masked:
                continue
            source = read(f"{directory}/{name}", paths, result.problems)
            if source is None:
                masked.add(name)
            else:
                result.sources[name] = source
    return result


def _names(directory: str, problems: list[Problem]) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(Problem(directory, 0, f"cannot be read: {reason(error)}"))
        return []


def read(path: str, paths: Sequence[str], problems: list[Problem]) -> Source | None:
    """One Quadlet file with its drop-ins of the directories ``paths``; None if it is masked or cannot be read."""
    name = path.rpartition("/")[2]
    text = _text(path, problems)
    if not text:
        return None
    unit, complaints = unit_file.parse(text, path)
    for drop_in in drop_ins(name, paths):
        more, others = unit_file.parse(_text(drop_in, problems), drop_in)
        unit.merge(more)
        complaints += others
    source = Source(name, path, unit)
    source.problems += [Problem(one.path, one.line, one.text) for one in complaints]
    return source


def _text(path: str, problems: list[Problem]) -> str:
    if os.path.realpath(path) == _NULL:
        return ""
    try:
        return files.read(path).decode("utf-8", "surrogateescape")
    except OSError as error:
        problems.append(Problem(path, 0, f"cannot be read: {reason(error)}"))
        return ""


def drop_in_directories(name: str) -> list[str]:
    """The names of a file's directories of drop-ins, the most specific first: a-b@c.container.d … container.d."""
    stem, _, suffix = name.rpartition(".")
    stems = [stem]
    base, at, instance = stem.partition("@")
    if at and instance:
        stems.append(base + "@")
    while "-" in base:
        base = base.rpartition("-")[0]
        stems.append(base + "-")
    return [*(f"{stem}.{suffix}.d" for stem in stems), suffix + ".d"]


def drop_ins(name: str, paths: Sequence[str]) -> list[str]:
    """The drop-ins of a file in the order of their names; of two with one name the more specific one is taken."""
    found: dict[str, str] = {}
    for directory in drop_in_directories(name):
        for path in paths:
            try:
                names = os.listdir(f"{path}/{directory}")
            except OSError:
                continue
            for conf in names:
                if conf.endswith(".conf"):
                    found.setdefault(conf, f"{path}/{directory}/{conf}")
    return [found[conf] for conf in sorted(found)]


def convert(loaded: Loaded, setting: Setting) -> Outcome:
    """The services of all files, and all that is wrong."""
    services = quadlet_convert.convert(loaded.sources, setting)
    problems = list(loaded.problems)
    for source in loaded.sources.values():
        problems += source.problems
    return Outcome(services, problems)


def write(directory: str, services: Iterable[Service]) -> list[Problem]:
    """Write units and their links below ``directory``, for systemd to read. What cannot be written is returned."""
    problems = []
    for service in services:
        path = f"{directory}/{service.name}"
        try:
            files.replace(path, service.text.encode("utf-8", "surrogateescape"), mode=0o644)
            for link, target in service.links.items():
                path = f"{directory}/{link}"
                os.makedirs(path.rpartition("/")[0], exist_ok=True)
                _link(target, path)
        except OSError as error:
            problems.append(Problem(path, 0, f"cannot be written: {reason(error)}"))
    return problems


def _link(target: str, path: str) -> None:
    try:
        os.symlink(target, path)
    except FileExistsError:
        os.unlink(path)
        os.symlink(target, path)
