"""``secret create``, ``ls``, ``inspect``, ``rm``, ``exists``."""

from __future__ import annotations

import os
import sys

from pypod.base import gojson, times, units
from pypod.cli import output, targets
from pypod.engine import events, secrets
from pypod.engine.context import open_context
from pypod.engine.secrets import NoSuchSecret, Secret
from pypod.errors import PypodError, UsageError, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation
    from pypod.engine.context import Context

HEADINGS = {"ID": "ID", "Name": "NAME", "Driver": "DRIVER", "CreatedAt": "CREATED", "UpdatedAt": "UPDATED"}


def create(invocation: Invocation) -> int:
    flags = invocation.options
    name, source = invocation.args
    if flags["driver"] != "file":
        raise UsageError(f"secret driver {flags['driver']} is not supported: only file is")
    if flags["driver_opts"]:
        raise UsageError("--driver-opts is not supported: secrets are always below graphroot")
    labels = {}
    for text in flags["label"]:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"unable to process labels: {text} must be formatted as key=value")
        labels[key] = value
    secrets.check_name(name)
    content = _environment(source) if flags["env"] else _content(source)
    context = open_context(invocation.globals)
    made = secrets.create(context, name, content, labels=labels, replace=flags["replace"], ignore=flags["ignore"])
    events.secret(context, "create", made.id, made.name)
    output.line(made.id)
    return 0


def _environment(name: str) -> bytes:
    value = os.environb.get(os.fsencode(name))
    if value is None:
        raise UsageError(f"cannot create store secret data: environment variable {name} is not set")
    return value


def _content(source: str) -> bytes:
    try:
        if source == "-":
            if os.isatty(0):
                raise UsageError("if `-` is used, data must be passed into stdin")
            return sys.stdin.buffer.read(secrets.MOST + 1)
        with open(source, "rb") as file:
            return file.read(secrets.MOST + 1)
    except OSError as error:
        raise UsageError(f"cannot read secret {source}: {reason(error)}") from None


def _described(secret: Secret) -> dict[str, Any]:
    return {
        "ID": secret.id,
        "CreatedAt": secret.created,
        "UpdatedAt": secret.updated,
        "Spec": {
            "Name": secret.name,
            "Driver": {"Name": secret.driver, "Options": dict(secret.options)},
            "Labels": dict(secret.labels),
        },
    }


def ls(invocation: Invocation) -> int:
    flags = invocation.options
    found = _filtered(secrets.every(open_context(invocation.globals)), flags["filter"])
    template = flags["format"]
    if flags["quiet"]:
        if template is not None:
            raise UsageError("quiet and format flags cannot be used together")
        for one in found:
            output.line(one.id)
        return 0
    if template is not None and output.is_json(template):
        output.json([_described(one) for one in found], 4)
        return 0
    now = times.now()
    rows = [
        {
            "ID": one.id,
            "Name": one.name,
            "Driver": one.driver,
            "CreatedAt": units.ago(times.parse_rfc3339(one.created), now),
            "UpdatedAt": units.ago(times.parse_rfc3339(one.updated), now),
        }
        for one in found
    ]
    if template is None:
        if rows or not flags["noheading"]:
            output.table(list(HEADINGS.values()), [list(row.values()) for row in rows], noheading=flags["noheading"])
        return 0
    from pypod.cli.gotemplate import Struct

    output.templated(
        template, [Struct(row, "secrets.secretListing") for row in rows], HEADINGS, noheading=flags["noheading"]
    )
    return 0


def _filtered(known: list[Secret], filters: list[str]) -> list[Secret]:
    """The secrets that the filters describe: alternatives within name and id, all of the labels."""
    import re

    names, ids = [], []
    for text in filters:
        key, equals, value = text.partition("=")
        if not equals or key not in ("name", "id", "label"):
            raise UsageError(f'"{text}" is an invalid secret filter', hint="one of id, label, name")
        if key == "name":
            try:
                names.append(re.compile(value))
            except re.error as error:
                raise UsageError(f"filter name={value} is no regular expression: {error}") from None
        elif key == "id":
            ids.append(value)
        else:
            label, given, wanted = value.partition("=")
            known = [one for one in known if label in one.labels and (not given or one.labels[label] == wanted)]
    return [
        one
        for one in known
        if (not names or any(name.search(one.name) for name in names))
        and (not ids or any(one.id.startswith(identity) for identity in ids))
    ]


def inspect(invocation: Invocation) -> int:
    flags = invocation.options
    context = open_context(invocation.globals)
    found: list[dict[str, Any]] = []
    problems: list[PypodError] = []
    for reference in invocation.args:
        try:
            secret = secrets.find(context, reference)
            described = _described(secret)
            if flags["showsecret"]:
                described["SecretData"] = secrets.data(context, secret).decode("utf-8", "surrogateescape")
            found.append(described)
        except NoSuchSecret as error:
            problems.append(NoSuchSecret(f"inspecting secret: {error.message}", hint=error.hint))
    template = flags["format"]
    if flags["pretty"]:
        if template is not None:
            raise UsageError("please specify only one of --pretty and --format")
        for one in found:
            _pretty(one)
    elif template is None or output.is_json(template):
        output.line(gojson.text(found, 4))
    else:
        for one in found:
            output.rendered(template, _struct(one))
    output.flush()
    for problem in problems:
        targets.complain(problem)
    return 125 if problems else 0


def _struct(described: dict[str, Any]) -> Any:
    from pypod.cli.gotemplate import Struct

    spec = dict(described["Spec"])
    spec["Driver"] = Struct(spec["Driver"], "define.SecretDriverSpec")
    return Struct({**described, "Spec": Struct(spec, "define.SecretSpec")}, "define.SecretInfoReport")


def _pretty(described: dict[str, Any]) -> None:
    spec = described["Spec"]
    rows = [("ID", described["ID"]), ("Name", spec["Name"])]
    for name, value in rows:
        output.line(f"{name + ':':<19}{value}")
    output.line("Labels:")
    for key, value in sorted(spec["Labels"].items()):
        output.line(f" - {key}={value}")
    rows = [("Driver", spec["Driver"]["Name"])]
    rows += [("Created at", described["CreatedAt"]), ("Updated at", described["UpdatedAt"])]
    rows += [("Secret data", described["SecretData"])] if "SecretData" in described else []
    for name, value in rows:
        output.line(f"{name + ':':<19}{value}")


def rm(invocation: Invocation) -> int:
    """1 for one that does not exist, 125 for anything else, as podman's other removals have it."""
    flags = invocation.options
    context: Context = open_context(invocation.globals)
    wanted = [one.id for one in secrets.every(context)] if flags["all"] else invocation.args
    if flags["all"] and invocation.args:
        raise UsageError("`podman secret rm --all` takes no arguments".replace("podman", "pypod"))
    if not wanted and not flags["all"]:
        raise UsageError('"pypod secret rm" requires at least 1 secret name or ID, or --all')
    code = 0
    for reference in wanted:
        try:
            removed = secrets.remove(context, reference)
            events.secret(context, "remove", removed.id, removed.name)
            output.line(removed.id)
        except NoSuchSecret as error:
            if flags["ignore"]:
                continue
            output.flush()
            targets.complain(error)
            code = code or 1
        except PypodError as error:
            output.flush()
            targets.complain(error)
            code = 125
    return code


def exists(invocation: Invocation) -> int:
    try:
        secrets.find(open_context(invocation.globals), invocation.args[0])
    except NoSuchSecret:
        return 1
    return 0
