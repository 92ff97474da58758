"""``quadlet install``, ``list``, ``print``, ``rm``."""

from __future__ import annotations

import fnmatch
import os

from pypod.base import files
from pypod.cli import output, table
from pypod.engine import quadlet as engine
from pypod.engine import quadlet_installed as installed
from pypod.errors import PypodError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.systemd.quadlet_model import Setting

_HEADINGS = {
    "Name": "NAME",
    "UnitName": "UNIT NAME",
    "Path": "PATH ON DISK",
    "Status": "STATUS",
    "App": "APPLICATION",
}


def setting(user: bool | None = None) -> Setting:
    """Whom units are for: None is root's system manager, or a user's own."""
    return engine.setting(os.getuid() != 0 if user is None else user, table.COMMANDS)


def install(invocation: Invocation) -> int:
    whom = setting()
    for path in installed.install(whom, invocation.args, replace=invocation.options["replace"]):
        output.line(path)
    _reload(invocation, whom)
    return 0


def _reload(invocation: Invocation, whom: Setting) -> None:
    if invocation.options["reload_systemd"]:
        output.flush()
        installed.reload(whom.user)


def ls(invocation: Invocation) -> int:
    flags = invocation.options
    rows: list[dict[str, Any]] = [
        {"Name": one.name, "UnitName": one.service, "Path": one.path, "Status": one.status, "App": one.app}
        for one in _filtered(installed.every(setting()), flags["filter"])
    ]
    template = flags["format"]
    if template is not None and output.is_json(template):
        output.json(rows, 4)
    elif template is None:
        output.table(list(_HEADINGS.values()), [list(row.values()) for row in rows], noheading=flags["noheading"])
    else:
        from pypod.cli.gotemplate import Struct

        structs = [Struct(row, "entities.ListQuadlet") for row in rows]
        output.templated(template, structs, _HEADINGS, noheading=flags["noheading"])
    return 0


def _filtered(known: list[installed.Installed], filters: list[str]) -> list[installed.Installed]:
    """The quadlets that the filters describe: one value of each key has to fit."""
    wanted: dict[str, list[str]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if key not in ("name", "status") or not equals:
            raise UsageError(f"{text} is not a valid filter", hint="name=PATTERN or status=STATE")
        wanted.setdefault(key, []).append(value)
    return [
        one
        for one in known
        if all(
            any(fnmatch.fnmatchcase(one.name if key == "name" else one.status, value) for value in values)
            for key, values in wanted.items()
        )
    ]


def show(invocation: Invocation) -> int:
    path = installed.find(setting(), invocation.args[0])
    try:
        output.data(files.read_plain(path))
    except OSError as error:
        raise PypodError(f"cannot read {path}: {reason(error)}") from None
    return 0


def rm(invocation: Invocation) -> int:
    flags = invocation.options
    whom = setting()
    names = list(invocation.args)
    if flags["all"]:
        if names:
            raise UsageError("no arguments are needed with --all")
        directory = engine.config_directory(whom.user)
        names = [one.name for one in installed.every(whom) if one.path.startswith(directory + "/")]
    elif not names:
        raise UsageError("at least one quadlet file must be selected")
    for name in installed.remove(whom, names, force=flags["force"], ignore=flags["ignore"]):
        output.line(name)
    _reload(invocation, whom)
    return 0
