"""``volume create``, ``ls``, ``rm``, ``inspect``, ``exists``, ``prune``, ``export``, ``import``."""

from __future__ import annotations

import os

from pypod.base import gojson
from pypod.cli import output, targets
from pypod.engine import context as contexts
from pypod.engine import events, mounts, names, rootless, volume_remove, volume_view, volumes
from pypod.errors import InUse, NoSuchVolume, PypodError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.context import Context
    from storage.store import Store

HEADINGS = {"Name": "VOLUME NAME", "Driver": "DRIVER", "Mountpoint": "MOUNTPOINT", "CreatedAt": "CREATED AT"}
_PRUNE_FILTERS = ("label", "label!", "until")


def _open(invocation: Invocation) -> tuple[Context, Store]:
    """With the user's ids at hand: files in volumes belong to all of them."""
    context, store = targets.open_engine(invocation)
    contexts.make_directories(context)
    rootless.enter_user(context)
    return context, store


def create(invocation: Invocation) -> int:
    flags = invocation.options
    if flags["driver"] != "local":
        driver, name = flags["driver"], "".join(invocation.args)
        raise UsageError(
            f"volume {name} uses volume plugin {driver} but it could not be retrieved: no volume plugin with name"
            f" {driver} available: required plugin missing"
        )
    labels = {}
    for text in flags["label"]:
        key, _, value = text.partition("=")
        if not key:
            raise UsageError(f'invalid label format: "{text}"')
        labels[key] = value
    options, uid, gid = _driver_options(flags["opt"])
    uid = uid if flags["uid"] is None else flags["uid"]
    gid = gid if flags["gid"] is None else flags["gid"]
    name = mounts.check_volume_name(invocation.args[0]) if invocation.args else names.random_id()
    context, _ = _open(invocation)
    try:
        volumes.create(context, name, labels=labels, options=options, uid=uid, gid=gid)
    except InUse:
        if not flags["ignore"]:
            raise
    output.line(name)
    return 0


def _driver_options(texts: list[str]) -> tuple[dict[str, str], int, int]:
    """The options, and the owner that o=uid=N,gid=N names. Raises UsageError."""
    options = {}
    ids = {"uid": 0, "gid": 0}
    for text in texts:
        key, equals, value = text.partition("=")
        if key not in ("o", "type", "device"):
            raise UsageError(f"invalid mount option {key} for driver 'local': invalid argument")
        if key != "o" or not equals:
            raise UsageError(f"volume option {key} is not supported yet: only o=uid=N,gid=N is")
        for word in value.split(","):
            name, _, number = word.partition("=")
            if name not in ids or not number.isdecimal():
                raise UsageError(f"volume option o={word} is not supported yet: only o=uid=N,gid=N is")
            ids[name] = int(number)
        options[key] = value
    return options, ids["uid"], ids["gid"]


def ls(invocation: Invocation) -> int:
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    found = volume_view.select(context, store, flags["filter"])
    template = flags["format"]
    if flags["quiet"]:
        if template is not None:
            raise UsageError("quiet and format flags cannot be used together")
        for volume in found:
            output.line(volume.name)
        return 0
    if template is None:
        if found or not flags["noheading"]:
            rows = [[volume.driver, volume.name] for volume in found]
            if found:
                output.table(["DRIVER", "VOLUME NAME"], rows, noheading=flags["noheading"])
        return 0
    users = volumes.Users(context, store)
    described = [volume_view.describe(context, store, volume, users) for volume in found]
    if output.is_json(template):
        output.json(described, 2)
        return 0
    from pypod.cli import inspect_fields

    fields = [inspect_fields.fields(item, "volume") for item in described]
    output.templated(template, fields, HEADINGS, noheading=flags["noheading"])
    return 0


def inspect(invocation: Invocation) -> int:
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    found: list[dict[str, Any]] = []
    problems: list[PypodError] = []
    wanted = [volume.name for volume in volumes.every(context)] if flags["all"] else invocation.args
    for name in wanted:
        try:
            found.append(volume_view.describe(context, store, volumes.find(context, name)))
        except NoSuchVolume:
            problems.append(NoSuchVolume(f"inspecting object: no such volume {name}"))
    template = flags["format"]
    if template is None or output.is_json(template):
        output.line(gojson.text(found, 5))
    else:
        from pypod.cli import inspect_fields

        for item in found:
            output.rendered(template, inspect_fields.fields(item, "volume"))
    output.flush()
    for problem in problems:
        targets.complain(problem)
    return 125 if problems else 0


def exists(invocation: Invocation) -> int:
    context, _ = targets.open_engine(invocation)
    try:
        volumes.load(context, invocation.args[0])
    except NoSuchVolume:
        return 1
    return 0


def rm(invocation: Invocation) -> int:
    """podman-volume-rm(1): 1 for one that does not exist, 2 for one in use, 125 for anything else."""
    flags = invocation.options
    context, store = _open(invocation)
    wanted = [volume.name for volume in volumes.every(context)] if flags["all"] else invocation.args
    code = 0
    for word in wanted:
        try:
            name = volumes.find(context, word).name
            volume_remove.remove(context, store, name, force=flags["force"], timeout=flags["time"])
        except NoSuchVolume as error:
            if flags["force"]:
                continue
            targets.complain(error)
            code = code or 1
            continue
        except InUse as error:
            targets.complain(error)
            code = max(code, 2) if code < 125 else code
            continue
        except PypodError as error:
            targets.complain(error)
            code = 125
            continue
        output.line(name)
    return code


def prune(invocation: Invocation) -> int:
    flags = invocation.options
    context, store = _open(invocation)
    users = volumes.Users(context, store)
    found = [
        volume
        for volume in volume_view.select(context, store, flags["filter"], keys=_PRUNE_FILTERS)
        if not users.of(volume.name)
    ]
    if not flags["force"]:
        if not found:
            output.line("No dangling volumes found")
            return 0
        from pypod.cli.container_prune import confirmed

        listed = "\n".join(volume.name for volume in found)
        if not confirmed(
            "WARNING! This will remove all volumes not used by at least one container."
            f" The following volumes will be removed:\n{listed}"
        ):
            return 0
    code = 0
    for volume in found:
        try:
            volume_remove.remove(context, store, volume.name)
        except NoSuchVolume:
            continue
        except PypodError as error:
            targets.complain(error)
            code = error.code
            continue
        events.volume(context, "prune", volume.name)
        output.line(volume.name)
    return code


def export(invocation: Invocation) -> int:
    from pypod.engine import volume_archive

    path = invocation.options["output"]
    if not path and os.isatty(1):
        raise UsageError("cannot write an archive to a terminal: use --output, or redirect stdout")
    context, store = _open(invocation)
    output.flush()
    volume_archive.pack(context, volumes.find(context, invocation.args[0]), path or "")
    return 0


def import_(invocation: Invocation) -> int:
    from pypod.engine import volume_archive

    source = invocation.args[1] if len(invocation.args) > 1 else "-"
    context, store = _open(invocation)
    volume_archive.unpack(context, volumes.load(context, invocation.args[0]), source)
    return 0


def mount(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    volume = volumes.find(context, invocation.args[0])
    # A volume of the local driver is a directory: it is always where it is.
    output.line(volumes.mountpoint(context, volume.name))
    return 0


def unmount(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    output.line(volumes.find(context, invocation.args[0]).name)
    return 0
