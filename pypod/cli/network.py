"""``network create``, ``ls``, ``rm``, ``inspect``, ``exists``, ``prune``."""

from __future__ import annotations

from pypod.base import gojson, times
from pypod.cli import output, targets
from pypod.engine import context as contexts
from pypod.engine import networks as engine
from pypod.engine import rootless
from pypod.errors import InUse, NotFound, PypodError, UsageError
from pypod.network import networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pypod.cli.invocation import Invocation

_FIELDS = {
    "Name": "name",
    "ID": "id",
    "Driver": "driver",
    "NetworkInterface": "network_interface",
    "Created": "created",
    "Subnets": "subnets",
    "IPv6Enabled": "ipv6_enabled",
    "Internal": "internal",
    "DNSEnabled": "dns_enabled",
    "Labels": "labels",
    "Options": "options",
    "IPAMOptions": "ipam_options",
}
_SUBNET_FIELDS = {"Subnet": "subnet", "Gateway": "gateway", "LeaseRange": "lease_range"}
_HEADINGS = {"ID": "NETWORK ID"}


def _pairs(texts: list[str], what: str) -> dict[str, str]:
    result = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key:
            raise UsageError(f'invalid {what} format: "{text}"')
        result[key] = value
    return result


def fields(item: dict[str, Any], *, short: bool) -> dict[str, Any]:
    """A network with the field names of templates."""
    result = {field: item.get(key) for field, key in _FIELDS.items()}
    result["Subnets"] = [
        {field: place.get(key) for field, key in _SUBNET_FIELDS.items()} for place in item.get("subnets", ())
    ]
    if short:
        result["ID"] = str(item.get("id", ""))[:12]
        result["Labels"] = ",".join(f"{key}={value}" for key, value in (item.get("labels") or {}).items())
    return result


def create(invocation: Invocation) -> int:
    flags = invocation.options
    if flags["driver"] != "bridge":
        raise UsageError(
            f"unsupported driver {flags['driver']}: invalid argument", hint="only bridge is supported yet"
        )
    if (flags["gateway"] or flags["ip_range"]) and not flags["subnet"]:
        raise UsageError("cannot set gateway or ip range without a subnet: invalid argument")
    options = _pairs(flags["opt"], "option")
    for key in options:
        if key not in ("mtu", "vlan", "metric", "isolate"):
            raise UsageError(f"unsupported bridge network option {key}: invalid argument")
    context, _ = targets.open_engine(invocation)
    directory = engine.directory(context)
    name = networks.check_name(invocation.args[0]) if invocation.args else networks.free_name(directory)
    contexts.make_directories(context)
    try:
        networks.create(
            directory,
            name,
            subnet=flags["subnet"] or "",
            gateway=flags["gateway"] or "",
            ip_range=flags["ip_range"] or "",
            internal=flags["internal"],
            dns=not flags["disable_dns"],
            labels=_pairs(flags["label"], "label"),
            options=options,
            interface=flags["interface_name"] or "",
            created=times.rfc3339(times.now()),
        )
    except InUse:
        if not flags["ignore"] or not networks.exists(directory, name):
            raise
    output.line(name)
    return 0


def ls(invocation: Invocation) -> int:
    flags = invocation.options
    template = flags["format"]
    if flags["quiet"] and template is not None:
        raise UsageError("quiet and format flags cannot be used together")
    context, _ = targets.open_engine(invocation)
    found = engine.select(context, flags["filter"])
    if flags["quiet"]:
        for item in found:
            output.line(item["name"])
        return 0
    if output.is_json(template):
        output.json(found, 2)
        return 0
    short = not flags["no_trunc"]
    if template is None:
        rows = [[fields(item, short=short)["ID"], item["name"], item["driver"]] for item in found]
        output.table(["NETWORK ID", "NAME", "DRIVER"], rows, noheading=flags["noheading"])
        return 0
    rows_of = [fields(item, short=short) for item in found]
    output.templated(template, rows_of, _HEADINGS, noheading=flags["noheading"])
    return 0


def inspect(invocation: Invocation) -> int:
    template = invocation.options["format"]
    context, _ = targets.open_engine(invocation)
    found = []
    problems: list[PypodError] = []
    for word in invocation.args:
        try:
            found.append(networks.find(engine.directory(context), word))
        except NotFound as error:
            problems.append(error)
    if template is None or output.is_json(template):
        output.line(gojson.text(found, 5))
    else:
        for item in found:
            output.rendered(template, fields(item, short=False))
    output.flush()
    for problem in problems:
        targets.complain(problem)
    return 125 if problems else 0


def exists(invocation: Invocation) -> int:
    context, _ = targets.open_engine(invocation)
    return 0 if networks.exists(engine.directory(context), invocation.args[0]) else 1


def rm(invocation: Invocation) -> int:
    """podman-network-rm(1): 1 for one that does not exist, 2 for one in use, 125 for anything else."""
    flags = invocation.options
    context, store = targets.open_engine(invocation)
    if flags["force"]:
        rootless.enter_user(context)
    code = 0
    for word in invocation.args:
        try:
            output.line(engine.remove(context, store, word, force=flags["force"], timeout=flags["time"]))
        except NotFound as error:
            if flags["force"]:
                continue
            targets.complain(error)
            code = code or 1
        except PypodError as error:
            targets.complain(error)
            code = error.code if code in (0, 1) else code
    return code


def prune(invocation: Invocation) -> int:
    context, store = targets.open_engine(invocation)
    if not invocation.options["force"]:
        from pypod.cli.container_prune import confirmed

        if not confirmed("WARNING! This will remove all networks not used by at least one container."):
            return 0
    for item in networks.every(engine.directory(context)):
        if item["name"] != networks.DEFAULT and not engine.users(context, store, item["name"]):
            output.line(engine.remove(context, store, item["name"], force=False, timeout=None))
    return 0
