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
_ENOUGH = 20  # lines of a file that are told of: one that is no text would fill the kernel's log


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
    return [path for root in roots for path in below(root, user, seen)]


def config_directory(user: bool) -> str:
    """Where the administrator, or the user, puts Quadlet files."""
    if not user:
        return "/etc/containers/systemd"
    config = os.environ.get("XDG_CONFIG_HOME")
    if not config:
        home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
        config = home + "/.config"
    return config + "/containers/systemd"


def below(path: str, user: bool, seen: set[str]) -> Iterator[str]:
    """A directory and those in it, also by way of symbolic links; none twice, so that circles of links end.

    One that cannot be read is given all the same: ``load`` says so.
    """
    real = os.path.realpath(path)
    if real in seen:
        return
    seen.add(real)
    try:
        names = sorted(os.listdir(path))
    except FileNotFoundError:
        return
    except OSError:
        names = []
    yield path
    for name in names:
        inner = f"{path}/{name}"
        if not os.path.isdir(inner):
            continue
        if name.endswith(".d") and (kind(name[:-2]) or name[:-2] in SECTIONS):
            continue  # drop-ins
        if inner in _FOR_USERS and not user:
            continue
        if path in _FOR_USERS and name.isdecimal():
            continue  # another user's, or listed by itself
        yield from below(inner, user, seen)


def load(paths: Sequence[str]) -> Loaded:
    """Read the Quadlet files of ``paths``, directories in the order of precedence.

    A file that is empty, or a link to /dev/null, masks those of its name in later directories.
    """
    result = Loaded()
    for name, path in by_name(paths, result.problems).items():
        source = read(path, paths, result.problems)
        if source is not None:
            result.sources[name] = source
    return result


def by_name(paths: Sequence[str], problems: list[Problem]) -> dict[str, str]:
    """The paths of the Quadlet files of directories in the order of precedence; of a name the first, a mask too."""
    found: dict[str, str] = {}
    for directory in paths:
        for name in _names(directory, problems):
            if kind(name):
                found.setdefault(name, f"{directory}/{name}")
    return found


def _names(directory: str, problems: list[Problem]) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        pass
    except OSError as error:
        problem = Problem(directory, 0, f"cannot be read: {reason(error)}")
        if problem not in problems:
            problems.append(problem)
    return []


def read(path: str, paths: Sequence[str], problems: list[Problem]) -> Source | None:
    """One Quadlet file with its drop-ins of the directories ``paths``; None if it is masked or cannot be read."""
    name = path.rpartition("/")[2]
    text = _text(path, problems)
    if not text:
        return None
    unit, complaints = unit_file.parse(text, path)
    for drop_in in drop_ins(name, paths, problems):
        more, others = unit_file.parse(_text(drop_in, problems), drop_in)
        unit.merge(more)
        complaints += others
    source = Source(name, path, unit)
    source.problems += [Problem(one.path, one.line, one.text) for one in complaints[:_ENOUGH]]
    if len(complaints) > _ENOUGH:
        source.problems.append(Problem(path, 0, f"{len(complaints) - _ENOUGH} more lines are wrong"))
    return source


def _text(path: str, problems: list[Problem]) -> str:
    if os.path.realpath(path) == _NULL:
        return ""
    try:
        return files.read_plain(path).decode("utf-8", "surrogateescape")
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


def drop_ins(name: str, paths: Sequence[str], problems: list[Problem]) -> list[str]:
    """The drop-ins of a file in the order of their names.

    Of two with one name that of the first of ``paths`` is taken, and there the more specific one.
    """
    found: dict[str, str] = {}
    for path in paths:
        for directory in drop_in_directories(name):
            place = f"{path}/{directory}"
            for conf in _names(place, problems) if os.path.isdir(place) else ():
                if conf.endswith(".conf"):
                    found.setdefault(conf, f"{place}/{conf}")
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
