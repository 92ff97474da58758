"""``quadlet install``, ``list``, ``print`` and ``rm``: Quadlet files where systemd's generator looks for them.

What belongs together is noted beside it, as podman does: ``.NAME.app`` lists the files of a directory that was
installed as a whole, ``.NAME.asset`` those that came with the Quadlet file NAME; one name a line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pypod.base import files, report
from pypod.engine import quadlet
from pypod.errors import ConfigError, InUse, NotFound, PypodError, UsageError, reason
from pypod.systemd import manager
from pypod.systemd.quadlet_model import SECTIONS, close

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pypod.systemd.quadlet_model import Problem, Setting


@dataclass(frozen=True)
class Installed:
    """One Quadlet file that the generator finds."""

    name: str
    service: str  # with .service; "" if there is none because the file is broken
    path: str
    status: str  # "active/running", "Not loaded"
    app: str  # the directory that it was installed with


def reload(user: bool) -> None:
    """Let systemd run its generators again; a warning if it cannot."""
    try:
        manager.systemctl(("daemon-reload",), user=user)
    except manager.ManagerError as error:
        command = f"systemctl {'--user ' if user else ''}daemon-reload"
        report.warning(f"cannot reload systemd: {error}: run `{command}` when there is one")


def every(setting: Setting) -> list[Installed]:
    """All Quadlet files that are in force, in the order of their names."""
    loaded = quadlet.load(quadlet.directories(setting.user))
    services = quadlet.convert(loaded, setting).services
    names = {name: services[name].name if name in services else "" for name in sorted(loaded.sources)}
    states = _states(setting.user, [name for name in names.values() if name and "@." not in name])
    apps: dict[str, dict[str, str]] = {}
    result = []
    for name, service in names.items():
        source = loaded.sources[name]
        if source.directory not in apps:
            apps[source.directory] = _apps(source.directory)
        state = states.get(service, "Not loaded")
        result.append(Installed(name, service, source.path, state, apps[source.directory].get(name, "")))
    return result


def _states(user: bool, services: Sequence[str]) -> dict[str, str]:
    """``ActiveState/SubState`` of the units that are loaded."""
    if not services:
        return {}
    wanted = "--property=Id,LoadState,ActiveState,SubState"
    try:
        output = manager.systemctl(("show", wanted, "--", *services), user=user)
    except manager.ManagerError:
        return {}  # there is none, and so nothing is loaded
    found = {}
    for block in output.split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.split("\n"))
        if values.get("LoadState") == "loaded":
            found[values.get("Id", "")] = f"{values.get('ActiveState')}/{values.get('SubState')}"
    return found


def _listed(path: str) -> list[str]:
    try:
        return [line for line in os.fsdecode(files.read(path)).split("\n") if line and "/" not in line]
    except OSError:
        return []


def _apps(directory: str) -> dict[str, str]:
    """Which file of a directory was installed with which other directory."""
    found: dict[str, str] = {}
    for mark in _marks(directory, ".app"):
        for name in _listed(f"{directory}/{mark}"):
            found[name] = mark[1:-4]
    return found


def _marks(directory: str, suffix: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory) if name.startswith(".") and name.endswith(suffix))
    except OSError:
        return []


# install


def install(setting: Setting, paths: Sequence[str], *, replace: bool) -> list[str]:
    """Copy Quadlet files, and what they need, to where the generator finds them; nothing if anything is wrong.

    A directory is installed as a whole. Files that are no Quadlet files belong to the one before them. Returns the
    new paths of the Quadlet files. Raises PypodError.
    """
    target = quadlet.config_directory(setting.user)
    wanted: dict[str, str] = {}  # name: where it is now
    notes: dict[str, list[str]] = {}
    last = ""
    for path in paths:
        if path.startswith(("https://", "http://")):
            raise UsageError(f"cannot install {path}: only files are", hint=f"curl -O {path}")
        path = os.path.abspath(path)
        if os.path.isdir(path):
            last = ""
            listed = _plain_files(path)
            if not any(quadlet.kind(name) for name in listed):
                raise UsageError(f"there is no Quadlet file in {path}")
            notes[f".{os.path.basename(path)}.app"] = listed
            found = {name: f"{path}/{name}" for name in listed}
        else:
            name = os.path.basename(path)
            found = {name: path}
            if quadlet.kind(name):
                last = name
            elif last:
                notes.setdefault(f".{last}.asset", []).append(name)
            else:
                known = ", ".join("." + kind for kind in SECTIONS)
                raise UsageError(f"{path} is no Quadlet file", hint=f"its name must end in one of {known}")
        for name, place in found.items():
            if name in wanted:
                raise UsageError(f"two files are called {name}: {wanted[name]} and {place}")
            wanted[name] = place
    contents = {name: _content(place) for name, place in wanted.items()}
    if not replace:
        for name in wanted:
            if os.path.lexists(f"{target}/{name}"):
                raise InUse(f"{target}/{name} exists already", hint="--replace")
    _verify(setting, wanted)
    fresh = [name for name in (*contents, *notes) if not os.path.lexists(f"{target}/{name}")]
    try:
        os.makedirs(target, exist_ok=True)
        for name, content in contents.items():
            files.replace(f"{target}/{name}", content, mode=0o644, durable=True)
        for mark, names in notes.items():
            text = "".join(name + "\n" for name in names)
            files.replace(f"{target}/{mark}", os.fsencode(text), mode=0o644, durable=True)
    except OSError as error:
        for name in fresh:
            try:
                os.unlink(f"{target}/{name}")
            except OSError:
                pass  # it was not written
        raise PypodError(f"cannot write to {target}: {reason(error)}") from None
    return [f"{target}/{name}" for name in wanted if quadlet.kind(name)]


def _plain_files(directory: str) -> list[str]:
    try:
        names = sorted(os.listdir(directory))
    except OSError as error:
        raise PypodError(f"cannot read {directory}: {reason(error)}") from None
    found = []
    for name in names:
        if name.startswith("."):
            continue
        if os.path.isdir(f"{directory}/{name}"):
            raise UsageError(f"cannot install {directory}/{name}: only plain files of a directory are installed")
        found.append(name)
    return found


def _content(path: str) -> bytes:
    try:
        return files.read_plain(path)
    except OSError as error:
        raise PypodError(f"cannot read {path}: {reason(error)}") from None


def _verify(setting: Setting, wanted: dict[str, str]) -> None:
    """Raise ConfigError if one of the files would become no unit; warn of what else is wrong."""
    problems = check(setting, [place for name, place in wanted.items() if quadlet.kind(name)])
    bad = [problem for problem in problems if problem.fatal]
    for problem in problems:
        if not problem.fatal:
            report.warning(str(problem))
    if bad:
        first, *others = bad
        for problem in others:
            report.warning(str(problem))
        raise ConfigError(f"nothing was installed: {first.message}", hint=first.hint)


def check(setting: Setting, paths: Sequence[str]) -> list[Problem]:
    """What is wrong with ``paths`` as if they were installed, together with what is; of a name only one."""
    problems: list[Problem] = []
    paths = [os.path.abspath(path) for path in paths]
    places = [*dict.fromkeys(map(os.path.dirname, paths)), *quadlet.directories(setting.user)]
    loaded = quadlet.load(places)
    chosen = {os.path.basename(path): path for path in paths}
    for name, path in chosen.items():
        loaded.sources.pop(name, None)
        source = quadlet.read(path, places, problems)
        if source is not None:  # an empty file masks others
            loaded.sources[name] = source
    quadlet.convert(loaded, setting)
    for name in chosen:
        if name in loaded.sources:
            problems += loaded.sources[name].problems
    return problems


# print, rm


def find(setting: Setting, name: str) -> str:
    """The path of a Quadlet file that is in force. Raises NotFound."""
    known = quadlet.by_name(quadlet.directories(setting.user), [])
    if name not in known:
        raise NotFound(f"no such quadlet: {name}", hint=close(name, known))
    return known[name]


def remove(setting: Setting, names: Sequence[str], *, force: bool, ignore: bool) -> list[str]:
    """Remove Quadlet files, and what was installed with them; with ``force`` their services are stopped first.

    A name may be that of a directory that was installed, NAME.app. Returns the names of the Quadlet files. Raises
    NotFound, InUse, PypodError.
    """
    services = {one.name: one for one in every(setting)}
    chosen: dict[str, str] = {}  # name: path
    for name in names:
        if name.endswith(".app"):
            chosen.update(_of_app(setting, name, ignore))
            continue
        try:
            chosen[name] = find(setting, name)
        except NotFound:
            if not ignore:
                raise
    for name in chosen:
        one = services.get(name)
        if one is None or not one.status.startswith(("active", "activating", "reloading")):
            continue
        if not force:
            raise InUse(f"quadlet {name} is running: {one.service} is {one.status}", hint="--force stops it")
        try:
            manager.systemctl(("stop", "--", one.service), user=setting.user)
        except manager.ManagerError as error:
            raise PypodError(
                f"cannot stop {one.service} of quadlet {name}: {error}", hint=f"systemctl status {one.service}"
            ) from None
    for name, path in chosen.items():
        _unlink(path)
        directory = os.path.dirname(path)
        mark = f"{directory}/.{name}.asset"
        for asset in _listed(mark):
            _unlink(f"{directory}/{asset}")
        _unlink(mark)
        _forget(directory, name)
    return list(chosen)


def _of_app(setting: Setting, name: str, ignore: bool) -> dict[str, str]:
    directory = quadlet.config_directory(setting.user)
    listed = [one for one in _listed(f"{directory}/.{name.removeprefix('.')}") if quadlet.kind(one)]
    if not listed and not ignore:
        raise NotFound(f"no such quadlet application: {name}")
    return {one: f"{directory}/{one}" for one in listed}


def _forget(directory: str, name: str) -> None:
    """Take a file from the list of its directory; with the last Quadlet file go the others."""
    for mark in _marks(directory, ".app"):
        listed = _listed(f"{directory}/{mark}")
        if name not in listed:
            continue
        listed.remove(name)
        try:
            if any(quadlet.kind(one) for one in listed):
                text = "".join(one + "\n" for one in listed)
                files.replace(f"{directory}/{mark}", os.fsencode(text), mode=0o644, durable=True)
                continue
        except OSError as error:
            raise PypodError(f"cannot write {directory}/{mark}: {reason(error)}") from None
        for other in listed:
            _unlink(f"{directory}/{other}")
        _unlink(f"{directory}/{mark}")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise PypodError(f"cannot remove {path}: {reason(error)}") from None
